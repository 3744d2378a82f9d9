package yaml_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/yaml"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleDecoder() {
	config := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "limits: &default\n  rate: 1_000\n  burst: 1.50\nfallback: *default\n")
	}))
	defer config.Close()

	p := pipe.Check(backend.New(backend.Spec{Name: "config", URL: config.URL, Decode: yaml.Decoder{}}))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	// Output: {"limits":{"rate":1000,"burst":1.50},"fallback":{"rate":1000,"burst":1.50}}
}
