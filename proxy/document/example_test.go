package document_test

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func Example() {
	secrets := document.MustPaths("password", "*.token") // once

	user, err := document.Parse([]byte(`{"id": 7, "password": "x", "card": {"token": "y", "limit": 10.50}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := document.MustParse(`[{"id":1}]`)
	page, err := document.Merge(0, user.Drop(secrets), orders.Wrap("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", page.AppendJSON(nil))
	// Output: {"id": 7,"card": {"limit": 10.50},"orders":[{"id":1}]}
}

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
