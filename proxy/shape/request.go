package shape

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Request returns a decorator that runs ops on the JSON body of every request before next, in the
// order written. Their result is the body that next gets, with the content type application/json;
// [proxy.Request.SetBody] says which headers of the old body are removed.
//
// If a request has no body, the ops get the absent document. If the ops return an absent document,
// the body is empty.
//
// A body with a Content-Encoding, such as gzip, is a [*proxy.Error] of status 415 that wraps
// [ErrCoding]: shape does not decompress.
//
// The body is read through GetBody. If it cannot be replayed, the error wraps
// [proxy.ErrBodyNotReplayable]. A body that is not JSON, or that does not fit an op, is a
// [*proxy.Error] of status 400. Any other error of an op is handed on as it is. After an error,
// next is not called.
//
// The body is not waited for longer than the context of the call lasts; see [proxy.Hold].
//
// A nil op is skipped. Without ops, Request returns next as it is.
func Request(list ...Op) proxy.Decorator {
	source := pipe.Here()
	o := newOps(pipe.In, list)
	return func(next proxy.Proxy) proxy.Proxy {
		if len(o.list) == 0 {
			return next
		}
		next = pipe.Described(next)
		bound := call.NewBound(0)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := o.reshape(ctx, bound, req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "request", Source: source, Acts: pipe.In, Layout: pipe.Serial,
			Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Buffers | pipe.NeedsReplay | pipe.WritesRequest | pipe.Validates}, append(o.placed[:len(o.placed):len(o.placed)], next)...)
	}
}

// reshape runs the ops on the body of a request.
func (o *ops) reshape(ctx context.Context, bound *call.Bound, req *proxy.Request) error {
	if o.faults != nil {
		return o.faults
	}
	d, err := documentOf(ctx, bound, req)
	if err != nil {
		return &opError{op: "request", err: err}
	}
	absent := d.IsZero()
	if d, err = o.run(ctx, d, http.StatusBadRequest); err != nil {
		return err
	}
	switch {
	case !d.IsZero():
		req.SetBody("application/json", d.AppendJSON(make([]byte, 0, d.Size())))
	case !absent:
		req.SetBody("", nil)
	}
	return nil
}

// ErrCoding says that a request's body has a content coding, such as gzip, and cannot be read.
var ErrCoding = errors.New("the body has a content coding")

// documentOf returns the JSON body of a request. It waits for the body no longer than ctx. The error
// tells the client of a compressed body to send it plain (RFC 9110, section 15.5.16).
func documentOf(ctx context.Context, bound *call.Bound, req *proxy.Request) (document.Document, error) {
	for _, coding := range req.Header["Content-Encoding"] {
		if req.Body != nil && req.Body != http.NoBody && coding != "" && !strings.EqualFold(coding, "identity") {
			return document.Document{}, &proxy.Error{Status: http.StatusUnsupportedMediaType, Err: ErrCoding,
				Header: http.Header{"Accept-Encoding": {"identity"}}}
		}
	}
	if call.Described(ctx) {
		return req.DocumentContext(ctx) // without the copy
	}
	own := *req // GetBody may run on after the call has returned
	d, err := call.Guard(ctx, bound, nil, func() (document.Document, error) { return own.DocumentContext(ctx) })
	if err == call.ErrAbandoned {
		err = &proxy.Error{Status: http.StatusServiceUnavailable, Err: err}
	}
	return d, err
}
