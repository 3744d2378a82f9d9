package proxy_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countedBody counts how often it is closed.
type countedBody struct {
	io.Reader
	closed atomic.Int32
}

func newBody(text string) *countedBody { return &countedBody{Reader: strings.NewReader(text)} }

func (b *countedBody) Close() error { b.closed.Add(1); return nil }

// A countedConn is a countedBody that can be written to.
type countedConn struct{ countedBody }

func (*countedConn) Write(p []byte) (int, error) { return len(p), nil }

func asDocument(t testing.TB, text string) document.Document {
	d, err := document.Parse([]byte(text))
	require.NoError(t, err)
	return d
}

// withBody returns a request whose body can be replayed, and the replayed bodies.
func withBody(text string) (*proxy.Request, *[]*countedBody) {
	var opened []*countedBody
	req := proxy.NewRequest("POST", "/")
	req.Body = newBody(text)
	req.ContentLength = int64(len(text))
	req.GetBody = func() (io.ReadCloser, error) {
		b := newBody(text)
		opened = append(opened, b)
		return b, nil
	}
	return req, &opened
}

func get() *proxy.Request { return proxy.NewRequest("GET", "/") }

// reports returns a context whose scope collects the reported errors.
func reports(ctx context.Context) (context.Context, *call.Scope, chan error) {
	reported := make(chan error, 100)
	scope := &call.Scope{Report: func(_ context.Context, err error) { reported <- err }}
	return scope.Context(ctx), scope, reported
}

// assertClosedOnce asserts that each body is closed once. What nobody waits for may be closed a moment
// later, on a busy machine.
func assertClosedOnce(t testing.TB, bodies ...*countedBody) {
	t.Helper()
	for i, b := range bodies {
		for end := time.After(10 * time.Second); b.closed.Load() == 0; {
			select {
			case <-end:
				assert.Fail(t, "a body is not closed", "%d", i)
				return
			case <-time.After(time.Millisecond):
			}
		}
		assert.EqualValues(t, 1, b.closed.Load(), "closes of body %d", i)
	}
}

// assertFault asserts that the plan of a wrongly wired pipe says what is wrong and where, and that
// a call fails with the same error.
func assertFault[Res any](t testing.TB, want string, p pipe.Pipe[*proxy.Request, Res]) {
	t.Helper()
	assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)))
	faults := pipe.PlanOf(p).Faults()
	if assert.Error(t, faults) {
		assert.Regexp(t, `\(\w+_test\.go:\d+\)$`, faults.Error(), "the place in the code")
	}
	_, err := p(t.Context(), get())
	assert.EqualError(t, err, want)
}
