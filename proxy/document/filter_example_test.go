package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Keep() {
	d, _ := document.Parse([]byte(`{"next":"/p2","items":[{"id":1,"cost":5},{"cost":6}],"total":2}`))
	fmt.Println(d.Keep(document.MustPaths("total", "items.*.id")))
	// Output: {"items":[{"id":1},{}],"total":2}
}

func ExampleDocument_Drop() {
	d, _ := document.Parse([]byte(`{"id":1,"secret":2,"\u0073ecret":3,"in":{"secret":4}}`))
	fmt.Println(d.Drop(document.MustPaths("secret", "*.secret")))
	// Output: {"id":1,"in":{}}
}
