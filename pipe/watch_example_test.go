package pipe_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// A printer is a watcher that prints what it hears, indented by how deep it is.
type printer struct {
	step  *pipe.Step // nil around all steps
	depth int
}

func (w *printer) Enter(ctx context.Context, s *pipe.Step, req any) (context.Context, pipe.Watcher) {
	fmt.Printf("%s%s %v\n", strings.Repeat("  ", w.depth), s.Title(), req)
	return ctx, &printer{s, w.depth + 1}
}

func (w *printer) Leave(res any, err error) {
	fmt.Printf("%s%s: %v, %v\n", strings.Repeat("  ", w.depth-1), w.step.Title(), res, err)
}

func (w *printer) Note(what, detail string) {
	fmt.Printf("%s%s: %s\n", strings.Repeat("  ", w.depth), what, detail)
}

// A watcher hears of each step that the plan shows, in the nesting of the call.
func ExampleWatch() {
	positive := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		return func(ctx context.Context, n int) (int, error) {
			if n < 0 {
				return 0, fmt.Errorf("%d is negative", n)
			}
			return next(ctx, n)
		}
	}
	var square pipe.Pipe[int, int] = func(_ context.Context, n int) (int, error) { return n * n, nil }
	p := pipe.NamedPipe("square", square).With(pipe.Named("positive", positive))

	watched := pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return &printer{} }})
	_, _ = watched(context.Background(), 7)
	_, _ = watched(context.Background(), -7)
	// Output:
	// positive 7
	//   square 7
	//   square: 49, <nil>
	// positive: 49, <nil>
	// positive -7
	// positive: 0, -7 is negative
}
