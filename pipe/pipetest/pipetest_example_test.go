package pipetest_test

import (
	"context"
	"log"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

// A decorator of yours, and the test that it keeps the laws
func ExampleLaws() {
	logged := func(next pipe.Pipe[string, int]) pipe.Pipe[string, int] {
		return func(ctx context.Context, req string) (int, error) {
			n, err := next(ctx, req)
			log.Println(req, n, err)
			return n, err
		}
	}

	_ = func(t *testing.T) { // func TestLoggedKeepsTheLaws(t *testing.T)
		pipetest.Laws(t, pipetest.Subject[string, int]{
			Decorator: logged,
			Request:   func() string { return "how many?" },
			Response:  func() int { return 42 },
		})
	}
}

// What ran in one call, and in what order
func ExampleExplain() {
	auth := func(next pipe.Pipe[string, int]) pipe.Pipe[string, int] {
		return func(ctx context.Context, req string) (int, error) { return next(ctx, req) }
	}
	count := pipe.NamedPipe("count", func(_ context.Context, req string) (int, error) { return len(req), nil })

	_ = func(t *testing.T) { // func TestStrangersAreNotCounted(t *testing.T)
		trace := pipetest.Explain(t, count.With(pipe.Named("auth", auth)), "how many?")
		t.Log(trace)
		if err := trace.Before("auth", "count"); err != nil {
			t.Error(err)
		}
	}
}
