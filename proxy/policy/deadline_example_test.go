package policy_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A gateway takes the deadline of a service behind it, and hands on what is left of it.
func ExampleTakeDeadline() {
	internal := netip.MustParsePrefix("10.0.0.0/8")
	known := func(_ context.Context, req *proxy.Request) bool { return internal.Contains(req.Remote.Addr()) }
	items := pipe.NamedPipe("items", func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		deadline, _ := ctx.Deadline()
		fmt.Println("at most 90 s left:", time.Until(deadline) <= 90*time.Second, len(req.Upstream["X-Deadline-Ms"]))
		return &proxy.Response{}, nil
	}).With(policy.TakeDeadline("X-Deadline-Ms", known), policy.SendDeadline("X-Deadline-Ms"))

	req := proxy.NewRequest("GET", "/items")
	req.Remote = netip.MustParseAddrPort("10.1.2.3:4567")
	req.Header.Set("X-Deadline-Ms", "90000")
	_, err := items(context.Background(), req)
	fmt.Println(proxy.StatusOf(err))
	fmt.Print(pipe.PlanOf(items))
	// Output:
	// at most 90 s left: true 1
	// 200
	// ↔ take-deadline (X-Deadline-Ms)
	//   → send-deadline (X-Deadline-Ms)
	//     ↔ items
}
