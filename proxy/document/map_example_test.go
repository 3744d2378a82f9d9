package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Map() {
	d, _ := document.Parse([]byte(`{"items":[{"id":1},{"id":2}]}`))
	d, _ = d.Map(document.MustPath("items.*.id"), func(id document.Document) (document.Document, error) {
		return document.Of("item " + id.String())
	})
	fmt.Println(d)
	// Output: {"items":[{"id":"item 1"},{"id":"item 2"}]}
}
