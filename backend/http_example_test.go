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

func ExampleHTTP() {
	users := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("upstream: %s %s %q %q\n", r.Method, r.URL, r.Header.Get("Accept-Language"), r.Header.Get("Cookie"))
		fmt.Fprint(w, `{"id": 42, "name": "Ada"}`)
	}))
	defer users.Close()
	transport := backend.NewDefaultTransport() // shared by all upstreams of this factory
	defer transport.CloseIdleConnections()

	upstreams := backend.HTTP{Transport: transport}
	user := pipe.Check(upstreams.New(backend.Spec{
		Name: "user", URL: users.URL + "/users/{id}?fields=name", Headers: []string{"Accept-Language"},
	}))

	req := proxy.NewRequest("GET", "/users/4%2F2/page")
	req.Params.Set("id", "4/2") // decoded by the route; a slash in it stays in its segment
	req.Header.Set("Accept-Language", "de")
	req.Header.Set("Cookie", "session=1") // not named, so it stays here
	res, err := user(context.Background(), req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Status, res.Document)
	// Output:
	// upstream: GET /users/4%2F2?fields=name "de" ""
	// 200 {"id": 42, "name": "Ada"}
}

func ExampleDecorate() {
	// Each upstream gets a counter of its own.
	counted := func(s backend.Spec) proxy.Decorator {
		calls := 0
		return pipe.Named("count "+s.Name, func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				calls++
				fmt.Println(s.Name, "call", calls)
				return next(ctx, req)
			}
		})
	}
	answer := backend.FactoryFunc(func(s backend.Spec) (proxy.Proxy, error) { // a double in place of backend.HTTP{}
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }, nil
	})
	upstreams := backend.Decorate(answer, counted)
	a := pipe.Check(upstreams.New(backend.Spec{Name: "a", URL: "http://a"}))
	b := pipe.Check(upstreams.New(backend.Spec{Name: "b", URL: "http://b"}))

	ctx, req := context.Background(), proxy.NewRequest("GET", "/")
	for _, p := range []proxy.Proxy{a, a, b} {
		if _, err := p(ctx, req); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// a call 1
	// a call 2
	// b call 1
}

func ExampleSpec() {
	files := pipe.Check(backend.New(backend.Spec{
		Name:    "files",
		URL:     "http://files:8080/static/{*}?tenant={tenant}&v=2",
		Given:   []string{"tenant"}, // set by code, not by the route
		Headers: []string{"*", "-Cookie"},
		Decode:  backend.Passthrough,
	}))
	plan := pipe.PlanOf(files)
	fmt.Print(plan)
	fmt.Println("the route must give", plan.Needs)

	_, err := backend.New(backend.Spec{Name: "users", URL: "http://users:99999/{id}", Headers: []string{"X Y"}})
	fmt.Println(err)
	// Output:
	// ↔ backend files (http://files:8080/static/{*}?tenant={tenant}&v=…, passthrough)
	// the route must give [*]
	// backend users: url: the port is "99999", want 1 to 65535
	// backend users: headers: "X Y" is not the name of a header
}
