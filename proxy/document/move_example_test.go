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

func ExampleDocument_Map() {
	d, _ := document.Parse([]byte(`{"items":[{"id":1},{"id":2}]}`))
	d, _ = d.Map(document.MustPath("items.*.id"), func(id document.Document) (document.Document, error) {
		return document.Of("item " + id.String())
	})
	fmt.Println(d)
	// Output: {"items":[{"id":"item 1"},{"id":"item 2"}]}
}

func ExampleDocument_Unwrap() {
	d, _ := document.Parse([]byte(`{"page":1,"data":{"id":7,"name":"Ann"}}`))
	d, _ = d.Unwrap("data")
	fmt.Println(d)
	list, _ := document.Parse([]byte(`{"data":[1,2]}`))
	list, _ = list.Unwrap("data")
	fmt.Println(list)
	// Output:
	// {"page":1,"id":7,"name":"Ann"}
	// [1,2]
}
