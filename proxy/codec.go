package proxy

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// Decode returns a pipe that calls p and decodes the document of its answer into a T, by the rules
// of [encoding/json.Unmarshal]. The pipe drops the status and headers of the answer and closes the
// response.
//
//	user := proxy.Decode[User](users) // pipe.Pipe[*proxy.Request, User]
//
// A document that does not fit T is an [*Error] of status 502 and Op "decode". It wraps the
// [*document.Error], and its Backend is the name of p in the plan. An answer without a document
// (204) is the same error, but wraps [document.ErrAbsent]. So is null if T is a pointer or an
// interface, because a nil T is not a value, and a pipe without an error returns one. If T is
// [document.Document], every document fits, the absent one too. A stream is closed unread, and the
// error, also of status 502, wraps [ErrStream]. That of a 304 wraps [ErrNotModified].
//
// Decoding ends with the context of the call, and the error then wraps that of the context. A
// method of the user, and a member whose name fits several fields of T, is decoded to its end.
//
// The pipe reports what is missing in a partial answer to [Missing], so that it appears in Err of
// the response that the innermost [Encode] makes. If nobody collects it, the pipe returns it as its
// error.
//
// It is a fault in the plan if p is nil or is certain to answer with a stream. The step is opaque
// if decoding a T may run an UnmarshalJSON or UnmarshalText of the user.
func Decode[T any](p Proxy) pipe.Pipe[*Request, T] {
	p = pipe.Described(p)
	faults := faultsOf("Decode", "")
	plan := pipe.PlanOf(p)
	if p == nil {
		faults.add("the proxy is nil")
	}
	if call.AlwaysStreams(plan) {
		faults.add("the proxy answers with a stream, which cannot be decoded")
	}
	t := reflect.TypeFor[T]()
	d := &decoder[T]{Decoder: document.DecoderOf[T](), name: upstreamIn(plan), nilable: nilable(t)}
	serve := func(ctx context.Context, req *Request) (T, error) {
		var none T
		res, err := call.Checked(p(ctx, req))
		if err != nil {
			return none, err
		}
		defer discard(ctx, res)
		var v T
		if err := d.decode(ctx, res, &v); err != nil {
			call.ReportPanic(ctx, res.Err)
			return none, err
		}
		if res.Err != nil && !call.Missing(ctx, res.Err) {
			return none, &Error{Backend: d.name, Op: "decode", Err: fmt.Errorf("the answer is partial: %w", res.Err)}
		}
		return v, nil
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "decode", Detail: t.String(), Source: pipe.Here(), Acts: pipe.Out,
		Effects: pipe.CallsOnce | pipe.Buffers | opaqueIf(d.RunsCode()), Err: faults.err()}, present(p)...)
}

// A decoder is what Decode knows about its proxy and its type.
type decoder[T any] struct {
	*document.Decoder[T]
	name    string // of the proxy
	nilable bool   // null decodes to nil
}

// decode stores the document of an answer in the value that v points to.
func (d *decoder[T]) decode(ctx context.Context, res *Response, v *T) error {
	if err := res.unusable(); err != nil {
		return d.failed(err)
	}
	if d.nilable && res.Document.Kind() == document.Null {
		return d.failed(&document.Error{Err: document.ErrAbsent})
	}
	if err := d.DecodeContext(ctx, res.Document, v); err != nil {
		return &Error{Status: workStatus(http.StatusBadGateway, err), Backend: d.name, Op: "decode", Err: err}
	}
	return nil
}

func (d *decoder[T]) failed(err error) error {
	return &Error{Status: http.StatusBadGateway, Backend: d.name, Op: "decode", Err: err}
}

// Encode returns a proxy that calls p and answers with the JSON that [encoding/json.Marshal] makes
// of its value. A [document.Document] is the answer as it is. The status is 200 and there are no
// headers.
//
//	page := proxy.Encode(flow.Join2(user, orders, render))
//
// Err of the response joins what the calls below reported to [Missing], in the order in which they
// reported it. If p fails, its error is the only result. A value that has no JSON is an [*Error] of
// status 500 and Op "encode". So is nil if T is a pointer or an interface; that error wraps
// [ErrNoResponse].
//
// It is a fault in the plan if p is nil, or if T is *[Response], which means that a Decode is
// missing. The step is opaque if encoding a T may run a method of the user.
func Encode[T any](p pipe.Pipe[*Request, T]) Proxy {
	p = pipe.Described(p)
	faults := faultsOf("Encode", "")
	if p == nil {
		faults.add("the pipe is nil")
	}
	t := reflect.TypeFor[T]()
	if t == reflect.TypeFor[*Response]() {
		faults.add("the pipe answers with a *Response, which is not a value to encode: decode it first")
	}
	e, nilable := document.EncoderOf[T](), nilable(t)
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		c := call.Collector{Tied: call.Tied{Context: ctx}}
		v, err := p(&c, req)
		missing := c.End()
		var doc document.Document
		switch {
		case err != nil:
		case nilable && isNil(v):
			err = &Error{Status: http.StatusInternalServerError, Op: "encode", Err: ErrNoResponse}
		default:
			doc, err = e.EncodeContext(ctx, v)
			err = workError("encode", http.StatusInternalServerError, err)
		}
		if err != nil {
			call.ReportPanic(ctx, missing)
			return nil, err
		}
		res := &Response{Status: http.StatusOK, Header: headerFor(call.Described(ctx)), Document: doc, Err: missing}
		notePartial(ctx, res)
		return res, nil
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "encode", Detail: t.String(), Source: pipe.Here(), Acts: pipe.Out,
		Effects: pipe.CallsOnce | pipe.Buffers | opaqueIf(e.RunsCode()), Err: faults.err()}, present(p)...)
}

// present returns p as the inner pipe of a step. A nil p is left out; it is a fault of the step.
func present[Res any](p pipe.Pipe[*Request, Res]) []pipe.Any {
	if p == nil {
		return nil
	}
	return []pipe.Any{p}
}

func nilable(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface
}

func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

func opaqueIf(code bool) pipe.Effects {
	if code {
		return pipe.Opaque
	}
	return 0
}

// upstreamIn returns the first name in a plan that is not the name of a decorator function, or ""
// if there is none before the plan forks.
func upstreamIn(plan *pipe.Step) string {
	for step := range plan.All() {
		leaf := len(step.Steps) == 0 && step.Source != "" // otherwise the name of a function is where it was written
		if step.Name != "" && (step.Kind != "func" || leaf) {
			return step.Name
		}
		if len(step.Steps) > 1 && step.Layout != pipe.Around {
			return ""
		}
	}
	return ""
}
