package backend

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// ErrorAsData returns a decorator that makes a partial answer of an upstream's failure, for clients
// that want to see the failure. It acts where next fails with an answer of an upstream: a
// [proxy.Error] with an Upstream. The response then has status 200, the error in Err, and this
// document:
//
//	{"<member>": {"status": 503, "body": {"reason": "maintenance"}}}
//
// The status is the upstream's. The body is what the upstream sent, as far as Spec.MaxErrorBytes
// keeps it. It is JSON if it is one whole JSON text, and a string otherwise; an empty body is left
// out. Any other failure, such as a timeout or an answer that cannot be decoded, is returned
// unchanged.
//
// The client sees the upstream's body as it was sent, which may reveal more than it should. Use the
// decorator only for upstreams whose failures are written for clients. Nothing else of the error is
// shown: no address, no header and no text of ours. Put retries and breakers inside the decorator,
// because outside of it the call has not failed.
//
// An empty member is a fault in the plan.
func ErrorAsData(member string) proxy.Decorator {
	if member == "" {
		return proxy.Fault(errors.New("backend: ErrorAsData: the member has no name"))
	}
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			answer := answerIn(err)
			if answer == nil {
				return res, err
			}
			call.Discard(ctx, res) // nil, by the contract of next
			res = &proxy.Response{Document: failureData(answer).Wrap(member), Err: err}
			if !call.Described(ctx) {
				res.Header = http.Header{}
			}
			return res, nil
		}
		return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "error-as-data", Detail: member, Source: source, Acts: pipe.Out,
			Effects: pipe.CallsOnce | pipe.Recovers}, next)
	}
}

// answerIn returns the outermost answer of an upstream in the tree of err, or nil if there is none.
func answerIn(err error) *proxy.UpstreamAnswer {
	for err != nil {
		if e, ok := err.(*proxy.Error); ok && e.Upstream != nil { // level by level, as in proxy.StatusOf
			return e.Upstream
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				if answer := answerIn(err); answer != nil {
					return answer
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}

// failureData returns the object with the status and the body.
func failureData(answer *proxy.UpstreamAnswer) document.Document {
	b := strconv.AppendInt([]byte(`{"status":`), int64(answer.Status), 10)
	if len(answer.Body) > 0 {
		b = append(b, `,"body":`...)
		if body, err := (document.Limits{Depth: document.DefaultDepth - 2}).Parse(answer.Body); err == nil {
			b = body.AppendJSON(b)
		} else {
			b = document.AppendString(b, strings.ToValidUTF8(string(answer.Body), "\ufffd"))
		}
	}
	d, _ := document.Parse(append(b, '}')) // always valid
	return d
}
