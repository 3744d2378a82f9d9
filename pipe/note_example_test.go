package pipe_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
)

// An ear is a watcher that prints the notes of all steps.
type ear struct{}

func (ear) Enter(ctx context.Context, _ *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, ear{}
}
func (ear) Leave(any, error)         {}
func (ear) Note(what, detail string) { fmt.Println(what, detail) }

// Any function may say what it has decided. Where nobody watches, that does nothing.
func ExampleNote() {
	var price pipe.Pipe[string, int] = func(ctx context.Context, country string) (int, error) {
		if country == "CH" {
			return 100, nil
		}
		pipe.Note(ctx, "tax", "of "+country)
		return 119, nil
	}
	watched := pipe.Watched(price, pipe.Watch{Start: func(context.Context) pipe.Watcher { return ear{} }})
	for _, p := range []pipe.Pipe[string, int]{watched, price} {
		fmt.Println(p(context.Background(), "DE"))
	}
	// Output:
	// tax of DE
	// 119 <nil>
	// 119 <nil>
}
