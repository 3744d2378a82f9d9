package proxy_test

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/proxy"
)

func ExampleDocument() {
	user, err := proxy.ParseDocument([]byte(`{"id": 7, "name": "Ann", "balance": 10.50}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	balance, _ := user.Get(proxy.MustPath("balance")).Text()
	fmt.Println(balance)
	fmt.Println(user.Get(proxy.MustPath("email")).Kind())
	fmt.Println(user.Keep(proxy.MustPaths("name", "id")).Wrap("user"))
	fmt.Println(user)
	// Output:
	// 10.50
	// absent
	// {"user":{"id": 7,"name": "Ann"}}
	// {"id": 7, "name": "Ann", "balance": 10.50}
}

func ExampleParseDocument() {
	_, err := proxy.ParseDocument([]byte(`{"id": 7} {"id": 8}`))
	fmt.Println(err, errors.Is(err, proxy.ErrSyntax))
	// Output: document: invalid JSON at offset 10 true
}

func ExampleDocumentOf() {
	d, _ := proxy.DocumentOf(map[string]any{"a": []int{1, 2}, "b": "x"})
	fmt.Println(d)
	// Output: {"a":[1,2],"b":"x"}
}

func ExampleDocument_Get() {
	d, _ := proxy.ParseDocument([]byte(`{"items":[{"id":1},{"id":2},{}],"a.b":3}`))
	fmt.Println(d.Get(proxy.MustPath("items.1.id")))
	fmt.Println(d.Get(proxy.MustPath("items.*.id")))
	fmt.Println(d.Get(proxy.MustPath(`a\.b`)))
	fmt.Println(d.Get(proxy.MustPath("items.9")).IsZero())
	// Output:
	// 2
	// [1,2]
	// 3
	// true
}

func ExampleDocument_Set() {
	d, _ := proxy.ParseDocument([]byte(`{"user":{"name":"Ann"}}`))
	city, _ := proxy.DocumentOf("Ulm")
	d, _ = d.Set(proxy.MustPath("user.address.city"), city)
	fmt.Println(d)
	_, err := d.Set(proxy.MustPath("user.name.first"), city)
	fmt.Println(err)
	// Output:
	// {"user":{"name":"Ann","address":{"city":"Ulm"}}}
	// document: path "user.name": not an object
}

func ExampleDocument_Keep() {
	d, _ := proxy.ParseDocument([]byte(`{"next":"/p2","items":[{"id":1,"cost":5},{"cost":6}],"total":2}`))
	fmt.Println(d.Keep(proxy.MustPaths("total", "items.*.id")))
	// Output: {"items":[{"id":1},{}],"total":2}
}

func ExampleDocument_Drop() {
	d, _ := proxy.ParseDocument([]byte(`{"id":1,"secret":2,"\u0073ecret":3,"in":{"secret":4}}`))
	fmt.Println(d.Drop(proxy.MustPaths("secret", "*.secret")))
	// Output: {"id":1,"in":{}}
}

func ExampleDocument_Rename() {
	d, _ := proxy.ParseDocument([]byte(`{"a":1,"b":2}`))
	fmt.Println(d.Rename(proxy.MustPath("a"), "c"))
	fmt.Println(d.Rename(proxy.MustPath("a"), "b"))
	// Output:
	// {"c":1,"b":2}
	// {"b":1}
}

func ExampleDocument_RenameAll() {
	swap, _ := proxy.ParseRenames("a", "b", "b", "a")
	d, _ := proxy.ParseDocument([]byte(`{"a":1,"b":2}`))
	fmt.Println(d.RenameAll(swap))
	// Output: {"b":1,"a":2}
}

func ExampleDocument_Decode() {
	d, _ := proxy.ParseDocument([]byte(`{"user":{"name":"Ann"}}`))
	var user struct{ Name string }
	err := d.Get(proxy.MustPath("user")).Decode(&user)
	fmt.Println(user.Name, err)
	fmt.Println(d.Get(proxy.MustPath("missing")).Decode(&user))
	// Output:
	// Ann <nil>
	// document: no document
}

func ExampleDocument_Members() {
	d, _ := proxy.ParseDocument([]byte(`{"b":[1,2],"a":"x"}`))
	for name, v := range d.Members() {
		fmt.Println(name, v.Kind(), v)
	}
	// Output:
	// b array [1,2]
	// a string "x"
}

func ExampleMergeObjects() {
	user, _ := proxy.ParseDocument([]byte(`{"id":7,"name":"Ann"}`))
	orders, _ := proxy.ParseDocument([]byte(`[1,2]`))
	patch, _ := proxy.ParseDocument([]byte(`{"id":8}`))
	d, _ := proxy.MergeObjects(0, user, orders.Wrap("orders"), proxy.Document{}, patch)
	fmt.Println(d)
	_, err := proxy.MergeObjects(0, user, orders)
	fmt.Println(err)
	// Output:
	// {"id":8,"name":"Ann","orders":[1,2]}
	// merge: document 1: not an object
}

func ExamplePathOf() {
	fmt.Println(proxy.PathOf("example.com", "*", ""))
	// Output: example\.com.\*.\e
}
