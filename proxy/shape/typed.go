package shape

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Typed returns an op that decodes the document into a T, calls f, and encodes the result of f, by
// the rules of encoding/json:
//
//	shape.Response(shape.Typed(func(_ context.Context, u User) (Card, error) {
//		return u.Card(), nil
//	}))
//
// If the document cannot be decoded into a T, the error names T and wraps a [*document.Error],
// which wraps the error of encoding/json, or [document.ErrAbsent] if there is no document. An error
// of f is handed on as it is. A panic, in f or in a method that encodes or decodes, is a
// [*pipe.PanicError]. A result that cannot be encoded is a [*proxy.Error] of status 500.
//
// f must be safe for concurrent use and quick, as an [Op] must. The T that f gets shares no memory
// with the document. A nil f is a fault in the plan.
func Typed[T, U any](f func(ctx context.Context, v T) (U, error)) Op {
	in, out := reflect.TypeFor[T]().String(), reflect.TypeFor[U]().String()
	step := pipe.Step{Mark: mark.Borrows(), Kind: "typed", Detail: in + " → " + out, Source: pipe.Here(),
		Effects: pipe.Terminal | pipe.Opaque}
	if f == nil {
		step.Err = faultsOf("typed", errors.New("the function is nil"))
	}
	serve := func(ctx context.Context, d document.Document) (document.Document, error) {
		var v T
		if err := (document.Work{Context: ctx}).Decode(d, &v); err != nil {
			return document.Document{}, fmt.Errorf("decode %s: %w", in, err)
		}
		u, err := f(ctx, v)
		if err != nil {
			return document.Document{}, err
		}
		made, err := document.Of(u)
		if err != nil {
			return document.Document{}, &proxy.Error{Status: http.StatusInternalServerError, Op: "encode " + out, Err: err}
		}
		return made, nil
	}
	recovered := func(ctx context.Context, d document.Document) (made document.Document, err error) {
		defer func() {
			if v := recover(); v != nil {
				made, err = document.Document{}, pipe.NewPanicError(v)
			}
		}()
		return serve(ctx, d)
	}
	return pipe.Describe(Op(recovered), step)
}
