package jsonschema

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Body returns a decorator that lets a request pass only if its body fits a schema. The body is passed on
// byte for byte.
//
// The body is read as JSON whatever its Content-Type says, so put check.ContentType in front. It is parsed
// once for the request and all its clones; see [proxy.Request.DocumentContext].
//
// The refusal is a [*proxy.Error] of status 400. A request is refused if it has no body, or if its body is
// not JSON, does not fit the schema, or is one that is refused whatever the schema says. The error wraps
// [ErrEmpty], the error of package document, [ErrInvalid], [ErrRepeated], [ErrNumber] or [ErrText]. The
// package comment shows what the client is told. If the context of a call ends before its body is
// validated, or while it waits for its turn, the call fails with the error of the context.
//
// Body needs a body that can be read again. So it cannot stand in a Stream endpoint, nor among the Guards
// of an endpoint, where the body has not arrived. Everything inside Body, and so every upstream and mirror,
// gets only bodies that fit.
//
// The decorator is safe for concurrent use. A schema that is nil or has a fault is a fault in the plan.
func Body(schema *Schema) proxy.Decorator {
	if err := schema.Fault(); err != nil {
		return proxy.Fault(err)
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "jsonschema", Name: schema.name, Detail: schema.root.dialect(), Source: pipe.Here(),
		Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Buffers | pipe.NeedsReplay | pipe.Validates, Waits: -1}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			doc, err := req.DocumentContext(ctx)
			if err != nil {
				return nil, err
			}
			if err := schema.Validate(ctx, doc); err != nil {
				return nil, refusal(ctx, err)
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// refusal returns the error of a request whose body was not accepted.
func refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &proxy.Error{Op: "jsonschema", Err: err}
	}
	told := problem{Detail: err.Error()}
	if invalid, ok := errors.AsType[*Invalid](err); ok {
		told = problem{ErrInvalid.Error(), invalid.Locations}
	}
	members, _ := document.Of(told) // all of it is text that this package, or the schema, has
	return &proxy.Error{Status: http.StatusBadRequest, Op: "jsonschema", Err: err, Members: members}
}

// A problem is what a client is told.
type problem struct {
	Detail string     `json:"detail"`
	Errors []Location `json:"errors,omitempty"`
}
