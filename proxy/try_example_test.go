package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A client with hosts of its own asks another host at each try.
func ExampleTryOf() {
	hosts := []string{"10.0.0.1:80", "10.0.0.2:80"}
	client := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		try := proxy.TryOf(ctx)
		for _, host := range hosts {
			if !try.Used(host) {
				try.Use(host)
				fmt.Printf("try %d: %s\n", try.Number(), host)
				break
			}
		}
		if try.Number() == 1 {
			return nil, &proxy.Error{Op: "dial", Err: errors.New("connection refused")}
		}
		return &proxy.Response{Status: 200}, nil
	}
	p := proxy.Proxy(client).With(policy.Retry(policy.Attempts{Backoff: 1}))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.StatusCode(), err)
	// Output:
	// try 1: 10.0.0.1:80
	// try 2: 10.0.0.2:80
	// 200 <nil>
}
