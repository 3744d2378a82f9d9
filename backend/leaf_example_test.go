package backend_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A leaf of another protocol, a publisher to a broker, which compiles its subject at wiring and
// fills it in with each call.
func ExampleTemplate() {
	publish := func(_ context.Context, subject string, h http.Header) error { // the client of a broker, made up
		fmt.Println(subject, h)
		return nil
	}
	publisher := func(subject string, headers ...string) (proxy.Proxy, error) {
		to, err := backend.ParseTemplate(subject)
		if err != nil {
			return nil, err
		}
		rule, err := backend.ParseHeaders(headers)
		if err != nil {
			return nil, err
		}
		call := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			subject, err := to.Expand(req)
			if err != nil {
				return nil, err
			}
			h, err := rule.Apply(req)
			if err != nil {
				return nil, err
			}
			if err := publish(ctx, subject, h); err != nil {
				return nil, &proxy.Error{Status: http.StatusBadGateway, Op: "send", Err: err}
			}
			return &proxy.Response{Status: http.StatusAccepted}, nil
		}
		return pipe.Describe(call, pipe.Step{Kind: "publisher", Detail: to.String(), Needs: to.Params(), Acts: pipe.In,
			Effects: pipe.Terminal | pipe.NotIdempotent}), nil
	}
	placed := pipe.Check(publisher("orders.{region}.placed", "Traceparent"))

	fmt.Println(pipe.PlanOf(placed).Needs)
	for _, region := range []string{"eu", "eu.cancelled", "*", ".."} {
		req := proxy.NewRequest("POST", "/orders")
		req.Params.Set("region", region)
		req.Header.Set("Traceparent", "00-1-2-01")
		if _, err := placed(context.Background(), req); err != nil {
			fmt.Println(proxy.StatusOf(err), err)
		}
	}
	// Output:
	// [region]
	// orders.eu.placed map[Traceparent:[00-1-2-01]]
	// orders.eu%2Ecancelled.placed map[Traceparent:[00-1-2-01]]
	// orders.%2A.placed map[Traceparent:[00-1-2-01]]
	// 502 resolve: param region: the value is "." or ".."
}

// A leaf that writes to a topic of a log and sends headers with each record.
func ExampleHeaderRule() {
	topic, err := backend.ParseTemplate("audit/{tenant}/{*}")
	if err != nil {
		fmt.Println(err)
		return
	}
	rule, err := backend.ParseHeaders([]string{"*", "-Cookie"})
	if err != nil {
		fmt.Println(err)
		return
	}
	record := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		key, err := topic.Expand(req)
		if err != nil {
			return nil, err
		}
		h, err := rule.Apply(req)
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s %q\n", key, value)
		for _, name := range slices.Sorted(maps.Keys(h)) {
			fmt.Println(name, h[name])
		}
		return &proxy.Response{Status: http.StatusAccepted}, nil
	})

	req := proxy.NewRequest("POST", "/audit/login/web")
	req.Body = io.NopCloser(strings.NewReader("{}"))
	req.Params.Set("tenant", "acme/../other") // decoded by the route
	req.Params.SetRest("login", "web")
	req.Header = http.Header{
		"Content-Type": {"application/json"},
		"Cookie":       {"session=1"},
		"X-User":       {"mallory"}, // code sets this header, below
		"X_user":       {"mallory"}, // a twin, which some servers take for X-User
		"X-Trace":      {"1"},
	}
	req.Upstream.Set("X-User", "ada")
	if _, err := record(context.Background(), req); err != nil {
		fmt.Println(err)
	}
	// Output:
	// audit/acme%2F%2E%2E%2Fother/login/web "{}"
	// Content-Type [application/json]
	// X-Trace [1]
	// X-User [ada]
}
