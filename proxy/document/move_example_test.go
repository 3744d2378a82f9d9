package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument_Copy() {
	d, _ := document.Parse([]byte(`{"currency":"EUR","items":[{"id":1},{"id":2}]}`))
	d, _ = d.Copy(document.MustPath("items.*.id"), document.MustPath("ids"))
	d, _ = d.Copy(document.MustPath("currency"), document.MustPath("items.*.currency"))
	fmt.Println(d)
	_, err := d.Copy(document.MustPath("ids"), document.MustPath("currency.ids"))
	fmt.Println(err)
	// Output:
	// {"currency":"EUR","items":[{"id":1,"currency":"EUR"},{"id":2,"currency":"EUR"}],"ids":[1,2]}
	// document: path "currency": not an object
}

func ExampleDocument_Move() {
	d, _ := document.Parse([]byte(`{"items":[{"id":1,"price":{"net":0.90}},{"id":2}]}`))
	d, _ = d.Move(document.MustPath("items.*.price.net"), document.MustPath("items.*.net"))
	fmt.Println(d)
	// Output: {"items":[{"id":1,"price":{},"net":0.90},{"id":2}]}
}

func ExampleDocument_Append() {
	d, _ := document.Parse([]byte(`{"ads":[{"id":9}],"items":[{"id":1}]}`))
	d, _ = d.Append(document.MustPath("ads"), document.MustPath("items"))
	fmt.Println(d)
	// Output: {"ads":[{"id":9}],"items":[{"id":1},{"id":9}]}
}
