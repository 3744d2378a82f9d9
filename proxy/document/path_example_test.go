package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExamplePathOf() {
	fmt.Println(document.PathOf("example.com", "*", ""))
	// Output: example\.com.\*.\e
}
