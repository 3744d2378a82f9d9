package yaml_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/yaml"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

type ctx = context.Context

func ExampleEncoder() {
	users := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse([]byte(`{"name":"Ada","langs":["en","no"],"address":{"zip":"01069"}}`))
		return &proxy.Response{Document: doc}, err
	})
	handler, err := endpoint.New(endpoint.Spec{Proxy: users, Encode: []endpoint.Encoder{endpoint.JSON, yaml.Encoder{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "application/yaml")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Header().Get("Content-Type"))
	fmt.Print(w.Body)
	// Output:
	// application/yaml
	// name: Ada
	// langs:
	//   - en
	//   - "no"
	// address:
	//   zip: "01069"
}
