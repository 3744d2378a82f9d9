package backend_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A deriving transport derives contexts from that of each request, as the transport of net/http does.
type deriving struct {
	n          int
	goroutines int // that the contexts cost
	trace      *httptrace.ClientTrace
}

func (*deriving) HonoursContext() bool { return true }

func (d *deriving) RoundTrip(r *http.Request) (*http.Response, error) {
	before := runtime.NumGoroutine()
	for range d.n {
		_, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
	}
	d.goroutines = runtime.NumGoroutine() - before
	d.trace = httptrace.ContextClientTrace(r.Context())
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// Not parallel: it counts the goroutines of the process.
func TestTheContextOfACallCostsNoGoroutine(t *testing.T) {
	for name, header := range map[string]http.Header{"a call": {}, "a call that may be sent again": {"Idempotency-Key": {"1"}}} {
		transport := &deriving{n: 100}
		p, err := backend.HTTP{Transport: transport}.New(backend.Spec{Name: "a", URL: "http://a.test/"})
		require.NoError(t, err)
		req := proxy.NewRequest("GET", "/")
		req.Header = header
		clock := call.After(t.Context(), time.Hour)
		_, err = p(clock, req)
		clock.Cancel()
		require.NoError(t, err, name)
		assert.Less(t, transport.goroutines, 50, name)
		assert.NotNil(t, transport.trace.GotConn, name)
	}
}

func TestTheTraceOfACallerIsCalledToo(t *testing.T) {
	t.Parallel()
	transport := &deriving{}
	p, err := backend.HTTP{Transport: transport}.New(backend.Spec{Name: "a", URL: "http://a.test/"})
	require.NoError(t, err)
	told := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { told++ }})
	_, err = p(ctx, proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	require.NotNil(t, transport.trace.WroteRequest)
	transport.trace.WroteRequest(httptrace.WroteRequestInfo{})
	assert.Equal(t, 1, told)
}
