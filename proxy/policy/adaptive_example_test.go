package policy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// The timeout is inside, so that Adaptive sees it.
func ExampleAdaptive() {
	busy := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, &proxy.Error{Status: 503, Backend: "items", Op: "status"}
	})
	items := pipe.NamedPipe("items", busy).With(
		policy.Adaptive(policy.AdaptiveSpec{Min: 4, Max: 100}),
		policy.Timeout(300*time.Millisecond),
	)
	_, err := items(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err) // and the limit is 18
	fmt.Print(pipe.PlanOf(items))
	// Output:
	// 503 backend items: status: service unavailable
	// → adaptive (4 to 100 at once, 20 at first, tolerance 1.5)
	//   ↔ timeout (300ms)
	//     ↔ items
}
