package sign_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleMembers() {
	key, err := sign.ParseKey([]byte(`{"kty": "OKP", "crv": "Ed25519", "kid": "2026-1", "alg": "EdDSA",
		"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := sign.NewKeys(key)
	orders := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":7,"receipt":{"total":30}}`)}, nil
	}).With(sign.Members(sign.Spec{Keys: keys, Members: []string{"receipt"}}))

	res, err := orders(context.Background(), proxy.NewRequest("GET", "/orders/7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, _ := res.Document.Get(document.PathOf("receipt")).Text()
	fmt.Println(strings.ReplaceAll(receipt, ".", "\n"))
	fmt.Println(string(keys.Public()))
	// Output:
	// eyJhbGciOiJFZERTQSIsImtpZCI6IjIwMjYtMSIsInR5cCI6IkpXVCJ9
	// eyJ0b3RhbCI6MzB9
	// ACKR5BDh917-twOVortbPN4XNeKvAwaIb-cHasKl9YlzrKwrKVx6vemJWANynPXjuDNufcTuYQ9Ptm4IJSRVAw
	// {"keys":[{"use":"sig","kty":"OKP","kid":"2026-1","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
}
