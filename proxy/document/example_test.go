package document_test

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDocument() {
	user, err := document.Parse([]byte(`{"id": 7, "name": "Ann", "balance": 10.50}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	balance, _ := user.Get(document.MustPath("balance")).Text()
	fmt.Println(balance)
	fmt.Println(user.Get(document.MustPath("email")).Kind())
	fmt.Println(user.Keep(document.MustPaths("name", "id")).Wrap("user"))
	fmt.Println(user)
	// Output:
	// 10.50
	// absent
	// {"user":{"id": 7,"name": "Ann"}}
	// {"id": 7, "name": "Ann", "balance": 10.50}
}

func ExampleParse() {
	_, err := document.Parse([]byte(`{"id": 7} {"id": 8}`))
	fmt.Println(err, errors.Is(err, document.ErrSyntax))
	// Output: document: invalid JSON at offset 10 true
}

func ExampleOf() {
	d, _ := document.Of(map[string]any{"a": []int{1, 2}, "b": "x"})
	fmt.Println(d)
	// Output: {"a":[1,2],"b":"x"}
}

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

func ExampleDocument_Decode() {
	d, _ := document.Parse([]byte(`{"user":{"name":"Ann"}}`))
	var user struct{ Name string }
	err := d.Get(document.MustPath("user")).Decode(&user)
	fmt.Println(user.Name, err)
	fmt.Println(d.Get(document.MustPath("missing")).Decode(&user))
	// Output:
	// Ann <nil>
	// document: no document
}

func ExampleDocument_Members() {
	d, _ := document.Parse([]byte(`{"b":[1,2],"a":"x"}`))
	for name, v := range d.Members() {
		fmt.Println(name, v.Kind(), v)
	}
	// Output:
	// b array [1,2]
	// a string "x"
}

func ExampleMerge() {
	user, _ := document.Parse([]byte(`{"id":7,"name":"Ann"}`))
	orders, _ := document.Parse([]byte(`[1,2]`))
	patch, _ := document.Parse([]byte(`{"id":8}`))
	d, _ := document.Merge(0, user, orders.Wrap("orders"), document.Document{}, patch)
	fmt.Println(d)
	_, err := document.Merge(0, user, orders)
	fmt.Println(err)
	// Output:
	// {"id":8,"name":"Ann","orders":[1,2]}
	// merge: document 1: not an object
}

func ExamplePathOf() {
	fmt.Println(document.PathOf("example.com", "*", ""))
	// Output: example\.com.\*.\e
}
