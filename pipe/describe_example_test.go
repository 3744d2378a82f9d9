package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/sluice-go/sluice/pipe"
)

// A combinator of your own is a function that composes pipes and describes the result.
func ExampleDescribe() {
	// first returns a pipe that answers with the first of some pipes that does not fail.
	first := func(ps ...pipe.Pipe[string, string]) pipe.Pipe[string, string] {
		call := func(ctx context.Context, s string) (string, error) {
			var errs []error
			for _, p := range ps {
				res, err := p(ctx, s)
				if err == nil {
					return res, nil
				}
				errs = append(errs, err)
			}
			return "", errors.Join(errs...)
		}
		var inner []pipe.Any
		for _, p := range ps {
			inner = append(inner, p)
		}
		return pipe.Describe(call, pipe.Step{Kind: "first", Layout: pipe.Choice, Effects: pipe.CallsOnce}, inner...)
	}

	cache := pipe.NamedPipe("cache", func(context.Context, string) (string, error) { return "", errors.New("not cached") })
	store := pipe.NamedPipe("store", func(_ context.Context, s string) (string, error) { return s + " from the store", nil })
	p := first(cache, store.With(pipe.Recover))

	fmt.Println(p(context.Background(), "ada"))
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// ada from the store <nil>
	// ↔ first, one of
	//   ↔ cache
	//   ← recover
	//     ↔ store
}

// Check keeps construction errors in the plan, so that the code that serves the pipe gets all of
// them.
func ExampleCheck() {
	connect := func(addr string) (pipe.Pipe[string, string], error) {
		if addr == "" {
			return nil, errors.New("no address")
		}
		return func(context.Context, string) (string, error) { return "from " + addr, nil }, nil
	}

	p := pipe.Check(connect("")).With(pipe.Recover) // the address came from a configuration
	if err := pipe.PlanOf(p).Faults(); err != nil {
		place := regexp.MustCompile(`\.go:\d+`) // Check stands there
		fmt.Println("refuse to serve:", place.ReplaceAllString(err.Error(), ".go:31"))
	}
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// refuse to serve: no address (describe_example_test.go:31)
	// ← recover
	//   ↔ fault, fault: no address
}
