package endpoint

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/report"
)

// A requestContext is the context of a request that also knows the request and its id. It is the
// parent of the context that the pipe is called with.
type requestContext struct {
	context.Context // of the request

	exchange *exchange
	handler  *handler
	request  *http.Request
	id       string
	record   atomic.Pointer[Record] // nil until somebody asks for it, unless who stands outside has one
}

type (
	contextKey struct{}
	requestKey struct{}
	idKey      struct{}
)

// Value knows the request and its id, and where failures are reported and memory is lent.
func (c *requestContext) Value(key any) any {
	switch key.(type) {
	case contextKey:
		return c
	case report.Key:
		return &c.handler.scope
	case requestKey:
		return c.request
	case idKey:
		return c.id
	case lend.Key:
		if !c.handler.lends {
			return nil
		}
		return &c.exchange.arena
	case recordKey:
		return c.recordOf()
	}
	return c.Context.Value(key)
}

// recordOf returns the record of the request. Most requests need none, and it is made when it is asked
// for, perhaps after the request was answered.
func (c *requestContext) recordOf() *Record {
	if record := c.record.Load(); record != nil {
		return record
	}
	if record := new(Record); c.record.CompareAndSwap(nil, record) && c.exchange.noted.Load() {
		record.change(c.exchange.fill)
	}
	return c.record.Load()
}

// report hands a failure that the client is answered with to the hook of the endpoint.
func (c *requestContext) report(err error) { c.handler.report(c, err) }

// reportBeside hands a failure to the hook that the client is not answered with.
func (c *requestContext) reportBeside(err error) { c.handler.reportBeside(c, err) }

// HTTPRequest returns the request that the pipe was called for, as net/http gave it to the
// endpoint, or nil if ctx does not come from an endpoint. It is for what a proxy.Request does not
// carry. It is shared, so it must only be read, and its body belongs to the endpoint.
func HTTPRequest(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// RequestID returns the id of the request that the pipe was called for, or "" if ctx does not
// come from an endpoint.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}
