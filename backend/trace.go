package backend

import (
	"context"
	"net/http"
	"net/http/httptrace"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A traced is the context of a call through which the transport reports what it does. The transport
// derives a context from it for each request. Behind a context.WithValue, that would cost a goroutine
// for each; see [call.Clock.AfterFunc].
type traced struct {
	call.Tied
	trace context.Context // knows the trace
}

// Value returns what the trace knows, and otherwise the parent's value.
func (t *traced) Value(key any) any {
	if v := t.trace.Value(key); v != nil {
		return v
	}
	return t.Context.Value(key)
}

// traceIn returns a context that knows a trace and nothing else.
func traceIn(trace *httptrace.ClientTrace) context.Context {
	return httptrace.WithClientTrace(context.Background(), trace)
}

// traced returns a context through which the transport reports informational answers and the
// connections that it uses.
func (c *exchange) traced(ctx context.Context, req *proxy.Request) context.Context {
	trace, resent := c.leaf.trace, isResent(req.Header) || isResent(req.Upstream)
	switch {
	case c.leaf.stream && req.Inform != nil:
		hints := &c.answer.hints
		hints.ctx, hints.inform, hints.trace.Got1xxResponse = ctx, req.Inform, hints.got
		if trace != nil {
			hints.trace.GotConn = trace.GotConn
		}
		trace = &hints.trace
	case resent && trace == nil:
		trace = new(httptrace.ClientTrace)
	case trace == nil:
		return ctx
	case resent || httptrace.ContextClientTrace(ctx) != nil:
		own := *trace // WithClientTrace writes the hooks of ctx into it, and all calls share that of the leaf
		trace = &own
	default:
		c.ctx = traced{call.Tied{Context: ctx}, c.leaf.traceCtx}
		return &c.ctx
	}
	if resent {
		trace.GotConn = c.connects(trace.GotConn)
	}
	c.ctx = traced{call.Tied{Context: ctx}, httptrace.WithClientTrace(ctx, trace)}
	return &c.ctx
}

// isResent reports whether net/http sends a request with this header again if its connection breaks,
// whatever its method is.
func isResent(h http.Header) bool {
	return len(h["Idempotency-Key"]) > 0 || len(h["X-Idempotency-Key"]) > 0
}

// connects returns got, and has it note that there was a connection.
func (c *exchange) connects(got func(httptrace.GotConnInfo)) func(httptrace.GotConnInfo) {
	return func(info httptrace.GotConnInfo) {
		c.connected.Store(true)
		if got != nil {
			got(info)
		}
	}
}
