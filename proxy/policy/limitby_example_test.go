package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

func ExampleLimitBy() {
	items := pipe.NamedPipe("items", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	})
	p := items.With(policy.LimitBy(policy.ByClient, policy.PerMinute(2)))

	for _, client := range []string{"192.0.2.1:4711", "192.0.2.1:4712", "192.0.2.1:4713", "192.0.2.2:4711"} {
		req := proxy.NewRequest("GET", "/items")
		req.Remote = netip.MustParseAddrPort(client)
		res, err := p(context.Background(), req)
		if e, ok := errors.AsType[*proxy.Error](err); ok {
			fmt.Println(proxy.StatusOf(err), err, "- come back in", e.Header.Get("Retry-After"))
			continue
		}
		fmt.Println(res.StatusCode(), res.Header.Get("RateLimit-Policy"), res.Header.Get("RateLimit"))
	}
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// 200 "default";q=2;w=60 "default";r=1;t=30
	// 200 "default";q=2;w=60 "default";r=0;t=30
	// 429 limit: too many calls in this time - come back in 30
	// 200 "default";q=2;w=60 "default";r=1;t=30
	// ↔ limit (2/min, burst 2, by client, 100000 keys)
	//   ↔ items
}
