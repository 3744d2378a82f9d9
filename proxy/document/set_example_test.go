package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Set() {
	d, _ := document.Parse([]byte(`{"user":{"name":"Ann"}}`))
	city, _ := document.Of("Ulm")
	d, _ = d.Set(document.MustPath("user.address.city"), city)
	fmt.Println(d)
	_, err := d.Set(document.MustPath("user.name.first"), city)
	fmt.Println(err)
	// Output:
	// {"user":{"name":"Ann","address":{"city":"Ulm"}}}
	// document: path "user.name": not an object
}
