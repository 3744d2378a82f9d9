package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Get() {
	d, _ := document.Parse([]byte(`{"items":[{"id":1},{"id":2},{}],"a.b":3}`))
	fmt.Println(d.Get(document.MustPath("items.1.id")))
	fmt.Println(d.Get(document.MustPath("items.*.id")))
	fmt.Println(d.Get(document.MustPath(`a\.b`)))
	fmt.Println(d.Get(document.MustPath("items.9")).IsZero())
	// Output:
	// 2
	// [1,2]
	// 3
	// true
}
