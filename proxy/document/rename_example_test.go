package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Rename() {
	d, _ := document.Parse([]byte(`{"a":1,"b":2}`))
	fmt.Println(d.Rename(document.MustPath("a"), "c"))
	fmt.Println(d.Rename(document.MustPath("a"), "b"))
	// Output:
	// {"c":1,"b":2}
	// {"b":1}
}

func ExampleDocument_RenameAll() {
	swap, _ := document.ParseRenames("a", "b", "b", "a")
	d, _ := document.Parse([]byte(`{"a":1,"b":2}`))
	fmt.Println(d.RenameAll(swap))
	// Output: {"b":1,"a":2}
}
