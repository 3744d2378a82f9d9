package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleErrorAsData() {
	recs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"reason":"maintenance"}`)
	}))
	defer recs.Close()

	p := pipe.Check(backend.New(backend.Spec{Name: "recs", URL: recs.URL})).With(backend.ErrorAsData("recs_error"))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	// Output:
	// {"recs_error":{"status":503,"body":{"reason":"maintenance"}}}
	// missing: backend recs: status: upstream answered 503
}

func ExampleAuto() {
	mixed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			w.Header().Set("Content-Type", "text/xml")
			fmt.Fprint(w, `<user><id>7</id></user>`)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.users+json")
		fmt.Fprint(w, `{"user":{"id":7}}`)
	}))
	defer mixed.Close()

	p := pipe.Check(backend.New(backend.Spec{Name: "user", URL: mixed.URL + "/{version}", Decode: backend.Auto(nil)}))
	for _, version := range []string{"old", "new"} {
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("version", version)
		res, err := p(context.Background(), req)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Document)
		res.Close()
	}
	// Output:
	// {"user":{"id":"7"}}
	// {"user":{"id":7}}
}
