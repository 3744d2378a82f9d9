package proxy_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// Code that calls several proxies with one request passes each of them its own copy.
func ExampleRequest_Clone() {
	req := proxy.NewRequest("POST", "/orders")
	req.Header.Set("Accept-Language", "de")
	req.SetBody("application/json", []byte(`{"id":7}`))

	mine, err := req.Clone()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mine.Body.Close()
	mine.Header.Set("Accept-Language", "en")
	body, _ := io.ReadAll(mine.Body)
	fmt.Printf("%s %s\n", mine.Header.Get("Accept-Language"), body)

	body, _ = io.ReadAll(req.Body)
	fmt.Printf("%s %s\n", req.Header.Get("Accept-Language"), body)

	req.Body, req.GetBody = io.NopCloser(strings.NewReader("once")), nil
	_, err = req.Clone()
	fmt.Println(err)
	// Output:
	// en {"id":7}
	// de {"id":7}
	// clone: the request body cannot be replayed
}
