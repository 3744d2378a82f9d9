package adapter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/adapter"
)

func ExampleRequestID() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("handler reads", r.Header.Get("X-Request-Id"))
	})
	handler := adapter.RequestID(mux)

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "order-7")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println("client reads", w.Header().Get("X-Request-Id"))
	// Output:
	// handler reads order-7
	// client reads order-7
}
