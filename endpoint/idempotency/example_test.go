package idempotency_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"context"
	"net/http"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleRequire() {
	orders := 0
	create := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		orders++
		return &proxy.Response{Status: http.StatusCreated, Document: document.MustParse(fmt.Sprintf(`{"order":%d}`, orders))}, nil
	})
	answers := idempotency.NewMemory(0)
	h, err := endpoint.New(endpoint.Spec{Proxy: create.With(idempotency.Require(answers))})
	if err != nil {
		fmt.Println(err)
		return
	}
	post := func(key, body string) {
		r := httptest.NewRequest("POST", "/orders", strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Idempotent-Replayed"), w.Body.String())
	}
	post(`"8e03978e"`, `{"sku":"ABC-1"}`)
	post(`"8e03978e"`, `{"sku":"ABC-1"}`) // the answer was lost, perhaps
	post(`"c5b04e1f"`, `{"sku":"ABC-1"}`) // another order
	// Output:
	// 201  {"order":1}
	// 201 true {"order":1}
	// 201  {"order":2}
}
