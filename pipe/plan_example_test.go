package pipe_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
)

func ExamplePlanOf() {
	double := pipe.NamedPipe("double", func(context.Context, int) (int, error) { panic("planning runs nothing") })
	audit := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		return func(ctx context.Context, n int) (int, error) {
			defer fmt.Println("audited", n)
			return next(ctx, n)
		}
	}

	plan := pipe.PlanOf(double.With(pipe.Recover, pipe.Named("audit", audit)))
	fmt.Print(plan)
	fmt.Print(plan.Mermaid())
	// Output:
	// ← recover
	//   ↔ audit
	//     ↔ double
	// flowchart TD
	//   n0["← recover"]
	//   n1["↔ audit"]
	//   n2["↔ double"]
	//   n1 --> n2
	//   n0 --> n1
}

// A test that queries the plan protects an order that matters.
func ExampleStep_Before() {
	step := func(kind string, acts pipe.Way) pipe.Decorator[int, int] {
		return func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
			return pipe.Describe(next, pipe.Step{Kind: kind, Acts: acts}, next)
		}
	}
	double := pipe.NamedPipe("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	p := double.With(step("authenticate", pipe.In), step("round", pipe.Out), step("limit", pipe.In), step("convert", pipe.Out))

	plan := pipe.PlanOf(p)
	fmt.Println(plan.Before("authenticate", "limit"))
	fmt.Println(plan.Before("round", "convert")) // on the way out the inner one is first
	fmt.Println(plan.Before("authenticat", "limit"))
	// Output:
	// <nil>
	// pipe: before "round", "convert": convert (plan_example_test.go:38) acts before round (plan_example_test.go:38)
	// pipe: "authenticat": no such step in the plan
}
