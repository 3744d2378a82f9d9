package adapter_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

func ExampleCORS() {
	cors, err := adapter.CORS(adapter.CORSSpec{
		Origins:     []string{"https://app.example.com", "https://*.tenants.example.com"},
		Methods:     []string{"GET", "POST"},
		Headers:     []string{"Authorization", "Content-Type"},
		Expose:      []string{"X-Request-Id"},
		Credentials: true,
		MaxAge:      2 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := cors(http.NotFoundHandler()) // a router

	for _, origin := range []string{"https://a.tenants.example.com", "https://evil.example"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d, page may read: %q\n", w.Code, w.Header().Get("Access-Control-Allow-Origin"))
	}
	// Output:
	// 404, page may read: "https://a.tenants.example.com"
	// 404, page may read: ""
}
