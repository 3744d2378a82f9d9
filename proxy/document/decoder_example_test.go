package document_test

import (
	"fmt"

	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDecoder() {
	type user struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
	users := document.DecoderOf[user]() // once, for any number of documents
	for _, text := range []string{`{"id":7,"name":"Ann","history":[1,2,3]}`, `{"id":"seven"}`} {
		var u user
		err := users.Decode(document.MustParse(text), &u)
		fmt.Println(u.ID, u.Name, err != nil)
	}
	// Output:
	// 7 Ann false
	// 0  true
}
