package proxy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A callee that ignores its context does not keep its caller waiting.
func ExampleHold() {
	release := make(chan struct{})
	stuck := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-release // ignores its context
		return &proxy.Response{}, nil
	}
	p := pipe.NamedPipe("stuck", stuck).With(proxy.Hold(1))

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := p(ctx, proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)

	_, err = p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	close(release)
	// Output:
	// 504 context deadline exceeded
	// 503 too many abandoned calls
}
