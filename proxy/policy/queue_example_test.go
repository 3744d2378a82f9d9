package policy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// Orders go before everything else. A call that has no place within 10 ms is refused.
func ExampleQueue() {
	orders := func(req *proxy.Request) int {
		if req.Pattern == "/order" {
			return 1
		}
		return 0
	}
	queue := policy.Queue(policy.QueueSpec{InFlight: 1, Length: 50, Wait: 10 * time.Millisecond, Priority: orders})

	inner := pipe.NamedPipe("items", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	}).With(queue)
	outer := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		_, err := inner(ctx, req) // the only place is taken
		fmt.Println(proxy.StatusOf(err), err)
		return &proxy.Response{}, nil
	}).With(queue)

	_, err := outer(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	fmt.Print(pipe.PlanOf(inner))
	// Output:
	// 503 queue: waited too long
	// 200 <nil>
	// → queue (1 at once, 50 waiting for 10ms or 5ms, by priority)
	//   ↔ items
}
