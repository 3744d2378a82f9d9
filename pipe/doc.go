// Package pipe is the shape of sluice: a function that takes a request and returns a response or an
// error, decorators that wrap it, and the plan of what was composed.
//
//	double := pipe.Pipe[int, int](func(_ context.Context, n int) (int, error) { return 2 * n, nil })
//	logged := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
//		return func(ctx context.Context, n int) (int, error) {
//			log.Print("in ", n)
//			defer log.Print("out ", n)
//			return next(ctx, n)
//		}
//	}
//	p := double.With(pipe.Named("log", logged), pipe.Recover)
//	fmt.Print(pipe.PlanOf(p)) // log, recover, the function: first is outermost
//
// The package knows neither HTTP nor messages. It imports the standard library and three small
// packages: the mark of sluice's own steps, the contexts of a watch, and where failures are reported.
//
// # Order
//
// The nesting in the code is the order of execution, and nothing else is. [Pipe.With] and [Chain]
// take decorators with the outermost first: it sees the request first and the response last.
//
// # Plan
//
// [PlanOf] tells what a pipe is made of without running it, and the plan answers "is X executed
// before Y?" with nil, or with an error that says where not:
//
//	err := pipe.PlanOf(p).Before("log", "recover")
//
// See [Step.Before], [Step.Guards], [Step.Inside] and [Step.Places].
//
// Everything that [Pipe.With] composes is in the plan, including plain functions and decorators
// that are themselves built from others. The decorators of sluice describe themselves with
// [Describe]. Nesting without With, as in outer(inner(p)), is opaque from the first function on
// that does not: there is no way to know what such a function calls.
//
// # Watch
//
// What a plan shows is what runs: a [Watch] hears of each step when it begins, what it decides and
// what it returns. Package explain makes the trace of one call from that, and compares it with the
// plan.
//
// # How a plan is made
//
// Planning never runs a user's function. The combinators of sluice return closures that answer a
// private context with their step. Their code pointer tells them apart from all other functions,
// and no other function is called.
package pipe
