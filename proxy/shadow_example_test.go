package proxy_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A new version is tried with real requests, beside the one that answers. A program passes the
// shadow to adapter.Run, so that a stop waits for mirrored calls; here, Drain waits.
func ExampleShadow() {
	says := func(name, doc string) proxy.Proxy { // a backend in a real gateway
		d, _ := document.Parse([]byte(doc))
		call := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: d}, nil
		}
		return pipe.Describe(call, pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal})
	}
	validate := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if req.Query.Get("id") == "" {
				return nil, &proxy.Error{Status: 400, Op: "validate"}
			}
			return next(ctx, req)
		}
	}

	shadow, err := proxy.NewShadow(proxy.ShadowSpec{
		Mirror: says("user-v2", `{"id":7,"name":"ada"}`),
		Compare: func(_ context.Context, answer, mirrored proxy.Result) {
			fmt.Println(answer.Name, answer.Document)
			fmt.Println(mirrored.Name, mirrored.Document)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	user := says("user", `{"id":7,"name":"Ada"}`).With(pipe.Named("validate", validate), shadow.Decorate)

	_, err = user(context.Background(), proxy.NewRequest("GET", "/users")) // refused before anything is mirrored
	fmt.Println(err)

	req := proxy.NewRequest("GET", "/users")
	req.Query.Set("id", "7")
	res, _ := user(context.Background(), req)
	defer res.Close()
	_ = shadow.Drain(context.Background())
	fmt.Println("answer:", res.Document)
	fmt.Print(pipe.PlanOf(user))
	// Output:
	// validate: bad request
	// user {"id":7,"name":"Ada"}
	// user-v2 {"id":7,"name":"ada"}
	// answer: {"id":7,"name":"Ada"}
	// ↔ validate
	//   → shadow, in parallel
	//     ↔ backend user
	//     · mirror user-v2 (10s, 100 at once, compared)
	//       ↔ backend user-v2
}
