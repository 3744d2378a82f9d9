package compress_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sluice-go/sluice/adapter/compress"
)

func ExampleNew() {
	compressed, err := compress.New(compress.Spec{})
	if err != nil {
		log.Fatal(err)
	}
	handler := compressed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // a router
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"v1"`)
		fmt.Fprintf(w, `{"rows":[%s0]}`, strings.Repeat("0,", 5000))
	}))

	for _, accept := range []string{"gzip", "br"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%s: coding %q, tag %s, less than 100 bytes: %t\n", accept, w.Header().Get("Content-Encoding"), w.Header().Get("ETag"),
			w.Body.Len() < 100)
	}
	// Output:
	// gzip: coding "gzip", tag "v1-gzip", less than 100 bytes: true
	// br: coding "", tag "v1", less than 100 bytes: false
}
