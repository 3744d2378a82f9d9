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
