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

// ErrorAsData returns a decorator that makes a partial answer of an upstream's failure, for clients that want to see it:
// where next fails with what an upstream answered, a [proxy.Error] with an Upstream, the answer has status 200, Err is the
// error, and the document is
//
//	{"<member>": {"status": 503, "body": {"reason": "maintenance"}}}
//
// The status is the upstream's. The body is what it sent, as far as Spec.MaxErrorBytes keeps it: JSON if that is all of one
// JSON text, else a string, and left out where it is empty. Every other failure, as a timeout or an answer that cannot be
// decoded, stays the error it is.
//
// The client sees the upstream's body as it was sent, which may tell more than is meant for it. Put the decorator only in
// front of upstreams whose failures are written for clients. Nothing else of the error is shown: no address, no header, no
// text of ours. Retries and breakers stand inside of it, for outside there is no failure any more.
//
// A member that is "" is a fault in the plan.
func ErrorAsData(member string) proxy.Decorator {
	if member == "" {
		return proxy.Fault(errors.New("backend: ErrorAsData: the member has no name"))
	}
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			answer := answerIn(err)
			if answer == nil {
				return res, err
			}
			call.Discard(ctx, res) // there is none, by the contract of next
			res = &proxy.Response{Document: failureData(answer).Wrap(member), Err: err}
			if !call.Described(ctx) {
				res.Header = http.Header{}
			}
			return res, nil
		}
		return pipe.Describe(serve, pipe.Step{Mark: mark.Ours(), Kind: "error-as-data", Detail: member, Source: source, Acts: pipe.Out,
			Effects: pipe.CallsOnce}, next)
	}
}

// answerIn returns what an upstream answered that err is about, outermost first, or nil.
func answerIn(err error) *proxy.UpstreamAnswer {
	for err != nil {
		if e, ok := err.(*proxy.Error); ok && e.Upstream != nil { // one level at a time, as proxy.StatusOf does
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

// failureData returns the object with status and body.
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
	d, _ := document.Parse(append(b, '}')) // it is valid
	return d
}
