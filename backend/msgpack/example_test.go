package msgpack_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/msgpack"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleDecoder() {
	stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "\x82\xa3sku\x07\xa5count\xcd\x01\x00")
	}))
	defer stock.Close()

	p := pipe.Check(backend.New(backend.Spec{Name: "stock", URL: stock.URL, Decode: msgpack.Decoder{}}))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	// Output: {"sku":7,"count":256}
}
