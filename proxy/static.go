package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Moment says when [Static] adds its data.
type Moment uint8

// The moments. An answer whose Err is not nil is partial: it is a success, but not complete.
const (
	Always       Moment = iota
	OnSuccess           // next answered, completely or in part
	OnError             // next failed
	OnComplete          // next answered, and nothing is missing
	OnIncomplete        // next failed, or something is missing
)

var momentNames = [...]string{"always", "on success", "on error", "on complete", "on incomplete"}

// String returns "always", "on success", "on error", "on complete" or "on incomplete".
func (m Moment) String() string {
	if int(m) >= len(momentNames) {
		return fmt.Sprintf("moment %d", uint8(m))
	}
	return momentNames[m]
}

// holds reports whether the data is due for the outcome of next.
func (m Moment) holds(failed, complete bool) bool {
	switch m {
	case OnSuccess:
		return !failed
	case OnError:
		return failed
	case OnComplete:
		return complete
	case OnIncomplete:
		return !complete
	}
	return true
}

// Static returns a decorator that adds the members of the object d to the answer of next. Use it
// for defaults, or for what to show while an upstream is down.
//
//	page := proxy.Merge(parts...).
//		With(shape.Response(ops...), proxy.Static(proxy.OnIncomplete, notice))
//
// Static appends to an answer those members of d that the answer does not have. It never
// overwrites: an existing member stays, even if it is null. Static does not look into existing
// members, so an object in one is not filled. An answer without a document gets d, and status 200
// in place of 204 or 205. Nothing else in the response changes. A stream passes unchanged. A
// document that is not an object cannot be filled; that is an [*Error] of status 502 that wraps
// [document.ErrNotObject].
//
// If next failed, and when includes failures, the answer is d with status 200. Err of the response
// is the error, so the answer is partial. This covers up any failure, even a refusal with 401 or
// 404, so a decorator that refuses requests belongs outside of Static. Two errors are never covered
// up: that of a call whose client is gone, and [http.ErrAbortHandler]. If other code cancelled the
// call, that error is covered up.
//
// Where the data in place of an answer is to be a complete answer, or made in code, use [Fallback]
// to a function.
//
// A next that hangs until the deadline leaves no time to answer without it; put a policy.Timeout
// inside.
//
// A 304 without a document stays as it is: who asked for it has the document.
//
// It is a fault in the plan if d is not an object, or when is not one of the moments. With
// [OnError] nothing is filled, so d may be any value, such as [] in place of a list, but not
// absent. Static keeps no state and changes no document.
func Static(when Moment, d document.Document) Decorator {
	faults := faultsOf("Static", "")
	if int(when) >= len(momentNames) {
		faults.add("there is no %s", when)
	}
	with, err := document.DefaultsOf(d)
	switch {
	case err == nil:
		d = with.Document() // each name once
	case when != OnError:
		faults.add("the document is %s, want an object", d.Kind())
	case d.IsZero():
		faults.add("the document is %s, want a value", d.Kind())
	}
	if err := faults.err(); err != nil {
		return Fault(err)
	}
	f := newFiller(when, d, with)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "static", Detail: f.what, Source: pipe.Here(), Acts: pipe.Out, Effects: pipe.CallsOnce}
	if when.holds(true, false) {
		step.Effects |= pipe.Recovers
	}
	return func(next Proxy) Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *Request) (*Response, error) {
			res, err := call.Checked(next(ctx, req))
			if err != nil {
				return f.cover(ctx, err)
			}
			return f.complete(ctx, res)
		}
		return pipe.Describe(serve, step, next)
	}
}

// A filler adds static members.
type filler struct {
	when  Moment
	doc   document.Document // in place of an answer
	with  document.Defaults // what is filled in
	names []string
	what  string // see detail
}

func newFiller(when Moment, doc document.Document, with document.Defaults) *filler {
	f := &filler{when: when, doc: doc, with: with}
	for name := range doc.Members() {
		f.names = append(f.names, name)
	}
	f.what = f.detail()
	return f
}

func (f *filler) detail() string {
	const few = 5
	switch n := len(f.names); {
	case f.doc.Kind() != document.Object:
		return fmt.Sprintf("%s: %s", f.when, f.doc.Kind())
	case n == 0:
		return f.when.String() + ": nothing"
	case n > few:
		return fmt.Sprintf("%s: %d members", f.when, n)
	}
	return f.when.String() + ": " + strings.Join(f.names, ", ")
}

// cover answers in place of an error.
func (f *filler) cover(ctx context.Context, err error) (*Response, error) {
	if !f.when.holds(true, false) || errors.Is(err, http.ErrAbortHandler) ||
		StatusOf(err) == StatusClientGone && gone(ctx, err) || errors.Is(ctx.Err(), context.Canceled) {
		return nil, err
	}
	pipe.Note(ctx, "static", f.what)
	return &Response{Status: http.StatusOK, Header: headerFor(call.Described(ctx)), Document: f.doc, Err: err}, nil
}

// complete fills the document of an answer.
func (f *filler) complete(ctx context.Context, res *Response) (*Response, error) {
	if res.unusable() != nil || !f.when.holds(false, res.Err == nil) {
		return res, nil
	}
	absent := res.Document.IsZero()
	doc, err := document.Work{Context: ctx}.Fill(res.Document, f.with)
	if err != nil {
		status := workStatus(http.StatusBadGateway, err)
		if status != 0 {
			err = fmt.Errorf("%w: the root is %s", document.ErrNotObject, res.Document.Kind())
		}
		discard(ctx, res)
		return nil, wrapError("static", status, err)
	}
	if doc.Size() != res.Document.Size() {
		watch.Note(ctx, "static", f.what)
	}
	res.Document = doc
	if absent && (res.Status == http.StatusNoContent || res.Status == http.StatusResetContent) {
		res.Status = http.StatusOK
	}
	return res, nil
}
