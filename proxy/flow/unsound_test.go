package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/stretchr/testify/assert"
)

// A failure is an error of a user whose Unwrap dereferences it.
type failure struct{ err error }

func (*failure) Error() string { return "failure" }

func (f *failure) Unwrap() error { return f.err }

// proves T14
func TestANilErrorThatDereferencesItselfIsAPanicOfItsNode(t *testing.T) {
	t.Parallel()
	fails := func(ctx context.Context, _ *proxy.Request) (int, error) {
		<-ctx.Done()
		return 0, (*failure)(nil)
	}
	graphs := map[string]typed[int]{
		"call":       flow.Join2(flow.Call("user", fails), flow.Call("b", after(0, 1)), add2),
		"sure call":  flow.Join2(flow.Call("user", sure(fails)), flow.Call("b", after(0, 1)), add2),
		"each":       eachFailing(fails),
		"sure, each": eachFailing(sure(fails)),
	}
	for name, page := range graphs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, scope, _ := reports(t.Context())
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := page(ctx, get())
				assert.Equal(t, time.Second, time.Since(start(ctx)))
				_, panicked := errors.AsType[*pipe.PanicError](err)
				assert.True(t, panicked || errors.Is(err, context.DeadlineExceeded), "%v", err)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}

// start is when a context with the deadline of a second was made.
func start(ctx context.Context) time.Time {
	deadline, _ := ctx.Deadline()
	return deadline.Add(-time.Second)
}

func eachFailing(p typed[int]) typed[int] {
	list := flow.Call("list", after(0, []int{1, 2}))
	each := flow.Each("each", list, same[int], as[int], p)
	return flow.Join2(each, flow.Call("b", after(0, 1)), func(m map[int]int, n int) (int, error) { return len(m) + n, nil })
}
