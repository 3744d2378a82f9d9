package shape

import (
	"context"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Response returns a decorator that runs ops on the document of every response of next, in the
// order written. A partial response is no exception. Status, headers and Err of the response stay.
// An absent document is passed to the ops like any other, but a 304 without a document stays as it
// is: who asked for it has the document.
//
// If an op fails or panics, the response is closed. A document that does not fit an op is a
// [*proxy.Error] of status 502. Any other error of an op is handed on as it is.
//
// A stream has no document. It is closed, and the error, also of status 502, wraps
// [proxy.ErrStream]. If the plan of next shows that it can only answer with a stream, that is a
// fault in the plan. In the plan, Response buffers, so an endpoint that streams refuses it.
//
// A nil op is skipped. Without ops, Response returns next as it is.
func Response(list ...Op) proxy.Decorator {
	source := pipe.Here()
	o := newOps(pipe.Out, list)
	return func(next proxy.Proxy) proxy.Proxy {
		if len(o.list) == 0 {
			return next
		}
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if o.faults != nil {
				return nil, o.faults
			}
			res, err := next(ctx, req)
			if err != nil || res == nil {
				return res, err
			}
			return o.shape(ctx, res)
		}
		step := pipe.Step{Mark: mark.Borrows(), Kind: "response", Source: source, Acts: pipe.Out, Layout: pipe.Serial,
			Effects: pipe.CallsOnce | pipe.Buffers}
		if call.AlwaysStreams(pipe.PlanOf(next)) {
			step.Err = o.stream(http.StatusInternalServerError)
		}
		return pipe.Describe(serve, step, append([]pipe.Any{next}, o.placed...)...)
	}
}

// shape runs the ops on a response and closes it if that fails.
func (o *ops) shape(ctx context.Context, res *proxy.Response) (*proxy.Response, error) {
	shaped := false
	defer func() {
		if !shaped { // also after a panic
			call.Discard(ctx, res)
		}
	}()
	if res.Body != nil || res.Upgrade != nil {
		return nil, o.stream(http.StatusBadGateway)
	}
	if res.Status == http.StatusNotModified && res.Document.IsZero() { // who asked has the document
		shaped = true
		return res, nil
	}
	d, err := o.run(ctx, res.Document, http.StatusBadGateway)
	if err != nil {
		return nil, err
	}
	shaped = true
	res.Document = d
	return res, nil
}

// stream returns the error for a response that is a stream.
func (o *ops) stream(status int) error {
	op := "shape: response (" + strings.Join(o.titles, ", ") + ")"
	return &proxy.Error{Status: status, Op: op, Err: proxy.ErrStream}
}
