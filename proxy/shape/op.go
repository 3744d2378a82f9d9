package shape

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// An Op makes a document from another document. It is an alias, so any plain function of this type
// is an Op:
//
//	func(ctx context.Context, d document.Document) (document.Document, error)
//
// The document may be absent; see [document.Document]. An op must be safe for concurrent use, and
// quick, because it runs on the goroutine of the call. It can be used in several places.
// [pipe.NamedPipe] gives it a name in the plan.
//
// The ops of this package fail with a [*document.Error], or with the error of the context if it
// ends before they are done.
type Op = pipe.Pipe[document.Document, document.Document]

// pureEffects are the effects of the ops that pure makes.
const pureEffects = pipe.Terminal | pipe.HonoursContext | pipe.Idempotent

// pure returns an op that runs none of the user's code, and ends with the context of its call. The
// errors in errs that are not nil are its faults.
func pure(kind, detail string, errs []error, f func(document.Work, document.Document) (document.Document, error)) Op {
	serve := func(ctx context.Context, d document.Document) (document.Document, error) {
		return f(document.Work{Context: ctx}, d)
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: kind, Detail: detail, Source: pipe.Here(), Effects: pureEffects,
		Err: faultsOf(kind, errs...)})
}

// faultsOf joins wiring mistakes and skips nil. A call that meets them nevertheless fails with
// status 500, because no payload is at fault.
func faultsOf(kind string, errs ...error) error {
	var faults []error
	for _, err := range errs {
		if err != nil {
			faults = append(faults, &proxy.Error{Status: http.StatusInternalServerError, Op: "shape: " + kind, Err: err})
		}
	}
	return errors.Join(faults...)
}

// ops are the ops of a decorator, which run one after another.
type ops struct {
	list   []Op // as the plan shows them
	titles []string
	placed []pipe.Any // list, for Describe
	faults error
}

// newOps returns ops that act on the given way. It skips nil.
func newOps(way pipe.Way, list []Op) *ops {
	o := new(ops)
	for _, op := range list {
		if op == nil {
			continue
		}
		step := *pipe.PlanOf(op)
		for inner := range step.All() {
			o.faults = errors.Join(o.faults, inner.Err)
		}
		step.Acts, step.Mark = way, mark.Borrows() // an op alone does not know its way
		placed := pipe.Describe(op, step)
		o.list = append(o.list, placed)
		o.titles = append(o.titles, step.Title())
		o.placed = append(o.placed, placed)
	}
	return o
}

// run runs the ops on d. If a document does not fit, the error has the given status.
func (o *ops) run(ctx context.Context, d document.Document, status int) (document.Document, error) {
	for i, op := range o.list {
		var err error
		if d, err = op(ctx, d); err != nil {
			return document.Document{}, &opError{op: o.titles[i], err: withStatus(err, status)}
		}
	}
	return d, nil
}

// withStatus gives a *document.Error the status. It returns any other error as it is, and so one
// that is in a *proxy.Error already.
func withStatus(err error, status int) error {
	if _, ok := errors.AsType[*proxy.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*document.Error](err); ok {
		return &proxy.Error{Status: status, Err: err}
	}
	return err
}

// An opError says which op failed.
type opError struct {
	op  string
	err error
}

func (e *opError) Error() string { return "shape: " + e.op + ": " + e.err.Error() }

func (e *opError) Unwrap() error { return e.err }
