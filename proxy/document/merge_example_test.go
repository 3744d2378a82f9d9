package document_test

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

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

func ExampleMergeDisjoint() {
	user, shop := document.MustParse(`{"id":7,"name":"Ann"}`), document.MustParse(`{"id":"S1","city":"Ulm"}`)
	_, err := document.MergeDisjoint(0, user, shop)
	fmt.Println(err)
	if conflict, ok := errors.AsType[*document.ConflictError](err); ok {
		fmt.Println(conflict.Name, conflict.Index)
	}
	// Output:
	// merge: document 1: a member is in two documents: "id" is in document 0 too
	// id 0
}
