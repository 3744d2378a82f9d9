package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func ExampleNew() {
	users := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Of(map[string]string{"id": req.Params.Get("id"), "lang": req.Query.Get("lang")})
		return &proxy.Response{Document: doc}, err
	})
	handler, err := endpoint.New(endpoint.Spec{Proxy: users, CacheControl: "max-age=60"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", handler)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/users/a%2Fb?lang=en", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("X-Completed"))
	fmt.Println(w.Header().Get("Cache-Control"))
	fmt.Println(w.Body)
	// Output:
	// 200 application/json true
	// private, max-age=60
	// {"id":"a/b","lang":"en"}
}

func ExampleHTTPRequest() {
	byAgent := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		r := endpoint.HTTPRequest(ctx) // for what a proxy.Request does not carry
		doc, err := document.Of(r.Proto)
		return &proxy.Response{Document: doc}, err
	}
	handler, _ := endpoint.New(endpoint.Spec{Proxy: byAgent})

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output: "HTTP/1.1"
}

func ExampleSpec_renderError() {
	handler, _ := endpoint.New(endpoint.Spec{
		Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, errors.New("dial tcp 10.0.0.7:8080: refused")
		},
		RenderError: func(w http.ResponseWriter, r *http.Request, err error) {
			w.WriteHeader(proxy.StatusOf(err))
			fmt.Fprintf(w, "please quote %s\n", endpoint.RequestID(r.Context()))
		},
		Report: func(ctx context.Context, err error) { fmt.Println("log:", endpoint.RequestID(ctx), err) },
	})

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "r-17")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// log: r-17 dial tcp 10.0.0.7:8080: refused
	// 502 please quote r-17
}

func ExampleSpec_report() {
	handler, _ := endpoint.New(endpoint.Spec{
		Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("no such user") },
		Report: func(ctx context.Context, err error) {
			fmt.Println(endpoint.RequestID(ctx), endpoint.HTTPRequest(ctx).Pattern, proxy.StatusOf(err))
			if p, ok := errors.AsType[*pipe.PanicError](err); ok {
				fmt.Println(p, len(p.Stack) > 0)
			}
		},
	})
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", handler)

	r := httptest.NewRequest("GET", "/users/7", nil)
	r.Header.Set("X-Request-Id", "r-17")
	mux.ServeHTTP(httptest.NewRecorder(), r)
	// Output:
	// r-17 GET /users/{id} 500
	// panic: no such user true
}

func ExampleWriteProblem() {
	r := httptest.NewRequest("GET", "/nobody", nil)
	r.Header.Set("X-Request-Id", "r-17")
	w := httptest.NewRecorder()
	endpoint.WriteProblem(w, r, &proxy.Error{Status: http.StatusNotFound, Err: errors.New("no route")})
	fmt.Print(w.Header().Get("Content-Type"), "\n", w.Body)
	// Output:
	// application/problem+json
	// {"type":"about:blank","title":"Not Found","status":404,"requestId":"r-17"}
}

// A RenderError that answers one status itself, and leaves all others to the endpoint. The upstream
// says that its failures are written for clients.
func ExampleWritePassed() {
	transport := proxytest.NewUpstream(
		proxytest.Answer(422, `{"field":"mail"}`).Header("Content-Type", "application/json"),
		proxytest.Answer(503, `{"host":"db-1"}`),
	)
	users, err := backend.HTTP{Transport: transport}.New(backend.Spec{Name: "users", URL: "http://users/", PassErrors: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := endpoint.New(endpoint.Spec{Proxy: users, RenderError: func(w http.ResponseWriter, r *http.Request, err error) {
		if proxy.StatusOf(err) == http.StatusServiceUnavailable {
			http.Error(w, "back soon", http.StatusServiceUnavailable)
			return
		}
		endpoint.WritePassed(w, r, err)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 422 {"field":"mail"}
	// 503 back soon
}

func ExampleWithParams() {
	handler, _ := endpoint.New(endpoint.Spec{Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Of(req.Params.Rest())
		return &proxy.Response{Document: doc}, err
	}})
	router := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p proxy.Params
		p.SetRest("a", "b/c") // decoded once, by whoever matched the path
		handler.ServeHTTP(w, endpoint.WithParams(r, p))
	})

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/files/a/b%2Fc", nil))
	fmt.Println(w.Body)
	// Output: ["a","b/c"]
}

func ExampleSpec_encode() {
	users := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse([]byte(`{"user":{"@id":"7","name":"Ada"}}`))
		return &proxy.Response{Document: doc}, err
	})
	handler, err := endpoint.New(endpoint.Spec{Proxy: users, Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, accept := range []string{"*/*", "text/html, application/xml;q=0.9", "image/png"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("X-Request-Id", "r-17")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
		fmt.Println(w.Body)
	}
	// Output:
	// 200 application/json
	// {"user":{"@id":"7","name":"Ada"}}
	// 200 application/xml
	// <?xml version="1.0" encoding="UTF-8"?>
	// <user id="7"><name>Ada</name></user>
	// 406 application/problem+json
	// {"type":"about:blank","title":"Not Acceptable","status":406,"requestId":"r-17"}
}

func ExampleCollection() {
	orders := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse([]byte(`{"total":2,"orders":[{"id":1},{"id":2}]}`))
		return &proxy.Response{Document: doc}, err
	})
	handler, _ := endpoint.New(endpoint.Spec{Proxy: orders, Encode: []endpoint.Encoder{endpoint.Collection("orders")}})

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output: [{"id":1},{"id":2}]
}

func ExampleXMLRoot() {
	doc, _ := document.Parse([]byte(`{"user":{"name":"Ada"}}`)) // the optional part "orders" has failed
	for _, encoder := range []endpoint.Encoder{endpoint.XML, endpoint.XMLRoot("page")} {
		b, err := encoder.Encode(nil, doc)
		fmt.Println(string(b), err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <user><name>Ada</name></user> <nil>
	// <?xml version="1.0" encoding="UTF-8"?>
	// <page><user><name>Ada</name></user></page> <nil>
}
