package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleXMLWith() {
	stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<stock warehouse="north"><item sku="7"><count>3</count></item></stock>`)
	}))
	defer stock.Close()

	p := pipe.Check(backend.New(backend.Spec{
		Name: "stock", URL: stock.URL,
		Decode: backend.XMLWith(backend.XMLSpec{Arrays: []string{"item"}}), // a list, also of one
	}))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Println(res.Document.Get(document.MustPath("stock.item.*.@sku")))
	// Output:
	// {"stock":{"@warehouse":"north","item":[{"@sku":"7","count":"3"}]}}
	// ["7"]
}
