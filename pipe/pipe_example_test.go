package pipe_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
)

// The first decorator is the outermost: it sees the request first and the response last.
func ExamplePipe_With() {
	double := pipe.Pipe[int, int](func(_ context.Context, n int) (int, error) {
		fmt.Println("double", n)
		return 2 * n, nil
	})
	trace := func(name string) pipe.Decorator[int, int] {
		return func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
			return func(ctx context.Context, n int) (int, error) {
				fmt.Println(name, "in")
				defer fmt.Println(name, "out")
				return next(ctx, n)
			}
		}
	}

	p := double.With(trace("outer"), trace("inner"))
	n, _ := p(context.Background(), 21)
	fmt.Println(n)
	// Output:
	// outer in
	// inner in
	// double 21
	// inner out
	// outer out
	// 42
}

// A chain holds the decorators that a company puts around every pipe.
func ExampleChain() {
	type request struct{ user string }
	known := func(next pipe.Pipe[request, string]) pipe.Pipe[request, string] {
		return func(ctx context.Context, r request) (string, error) {
			if r.user == "" {
				return "", errors.New("who are you?")
			}
			return next(ctx, r)
		}
	}
	house := pipe.Chain(pipe.Recover, pipe.Named("known", known))

	greet := pipe.Pipe[request, string](func(_ context.Context, r request) (string, error) {
		return "hello " + r.user, nil
	})
	p := pipe.NamedPipe("greet", greet).With(house)

	fmt.Println(p(context.Background(), request{}))
	fmt.Println(p(context.Background(), request{user: "ada"}))
	fmt.Print(pipe.PlanOf(p))
	// Output:
	//  who are you?
	// hello ada <nil>
	// ← recover
	//   ↔ known
	//     ↔ greet
}

// Names are for the plan, and for the queries of tests.
func ExampleNamed() {
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	positive := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		return func(ctx context.Context, n int) (int, error) {
			if n < 0 {
				return 0, errors.New("negative")
			}
			return next(ctx, n)
		}
	}

	p := pipe.NamedPipe("double", double).With(pipe.Named("positive", positive))
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// ↔ positive
	//   ↔ double
}

func ExampleRecover() {
	p := pipe.Pipe[int, int](func(context.Context, int) (int, error) { panic("a bug") }).With(pipe.Recover)
	_, err := p(context.Background(), 1)
	fmt.Println(err)

	if p, ok := errors.AsType[*pipe.PanicError](err); ok {
		fmt.Println(p.Value, len(p.Stack) > 0)
	}
	// Output:
	// panic: a bug
	// a bug true
}

func ExampleObserve() {
	type observation = pipe.Observation[int, int]
	log := pipe.Observe(func(_ context.Context, o observation) {
		fmt.Println(o.Name, o.Request, "->", o.Response, o.Err)
	})
	half := pipe.Pipe[int, int](func(_ context.Context, n int) (int, error) {
		if n%2 != 0 {
			return 0, errors.New("odd")
		}
		return n / 2, nil
	})

	p := pipe.NamedPipe("half", half).With(log)
	p(context.Background(), 8)
	p(context.Background(), 9)
	// Output:
	// half 8 -> 4 <nil>
	// half 9 -> 0 odd
}
