package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

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
