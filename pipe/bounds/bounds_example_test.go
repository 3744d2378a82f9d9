package bounds_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

func ExampleOf() {
	items := pipe.NamedPipe("items", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		panic("a plan runs nothing")
	})
	patient := items.With(policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond))
	fmt.Print(bounds.Of(pipe.PlanOf(patient)))

	fmt.Print(bounds.Of(pipe.PlanOf(patient.With(policy.Timeout(2 * time.Second)))))

	fmt.Print(bounds.Of(pipe.PlanOf(items)))
	// Output:
	// at most 3 calls
	//   items: 3
	// answers within 20.9s
	// at most 3 calls
	//   items: 3
	// answers within 2s
	// at most 1 call
	//   items: 1
	// answers whenever
	// items does not tell how long it takes
}
