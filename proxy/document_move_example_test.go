package proxy_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy"
)

func ExampleDocument_Copy() {
	d, _ := proxy.ParseDocument([]byte(`{"currency":"EUR","items":[{"id":1},{"id":2}]}`))
	d, _ = d.Copy(proxy.MustPath("items.*.id"), proxy.MustPath("ids"))
	d, _ = d.Copy(proxy.MustPath("currency"), proxy.MustPath("items.*.currency"))
	fmt.Println(d)
	_, err := d.Copy(proxy.MustPath("ids"), proxy.MustPath("currency.ids"))
	fmt.Println(err)
	// Output:
	// {"currency":"EUR","items":[{"id":1,"currency":"EUR"},{"id":2,"currency":"EUR"}],"ids":[1,2]}
	// document: path "currency": not an object
}

func ExampleDocument_Move() {
	d, _ := proxy.ParseDocument([]byte(`{"items":[{"id":1,"price":{"net":0.90}},{"id":2}]}`))
	d, _ = d.Move(proxy.MustPath("items.*.price.net"), proxy.MustPath("items.*.net"))
	fmt.Println(d)
	// Output: {"items":[{"id":1,"price":{},"net":0.90},{"id":2}]}
}

func ExampleDocument_Append() {
	d, _ := proxy.ParseDocument([]byte(`{"ads":[{"id":9}],"items":[{"id":1}]}`))
	d, _ = d.Append(proxy.MustPath("ads"), proxy.MustPath("items"))
	fmt.Println(d)
	// Output: {"ads":[{"id":9}],"items":[{"id":1},{"id":9}]}
}

func ExampleDocument_Map() {
	d, _ := proxy.ParseDocument([]byte(`{"items":[{"id":1},{"id":2}]}`))
	d, _ = d.Map(proxy.MustPath("items.*.id"), func(id proxy.Document) (proxy.Document, error) {
		return proxy.DocumentOf("item " + id.String())
	})
	fmt.Println(d)
	// Output: {"items":[{"id":"item 1"},{"id":"item 2"}]}
}

func ExampleDocument_Unwrap() {
	d, _ := proxy.ParseDocument([]byte(`{"page":1,"data":{"id":7,"name":"Ann"}}`))
	d, _ = d.Unwrap("data")
	fmt.Println(d)
	list, _ := proxy.ParseDocument([]byte(`{"data":[1,2]}`))
	list, _ = list.Unwrap("data")
	fmt.Println(list)
	// Output:
	// {"page":1,"id":7,"name":"Ann"}
	// [1,2]
}
