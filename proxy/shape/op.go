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

// An Op makes another document of one. It is an alias, so a plain function of this type is one:
//
//	func(ctx context.Context, d document.Document) (document.Document, error)
//
// The document may be absent, see [document.Document]. An op is safe for concurrent use and quick: it runs on the goroutine
// of the call. It can be used in several places, and with pipe.NamedPipe it has a name in the plan.
//
// The ops of this package fail with a [*document.Error].
type Op = pipe.Pipe[document.Document, document.Document]

// pureEffects are those of the ops of this package.
const pureEffects = pipe.Terminal | pipe.HonoursContext | pipe.Idempotent

// pure returns an op of this package. Errors that are not nil are what is wrong with its arguments: its faults.
func pure(kind, detail string, errs []error, f func(document.Document) (document.Document, error)) Op {
	serve := func(_ context.Context, d document.Document) (document.Document, error) { return f(d) }
	return pipe.Describe(serve, pipe.Step{Mark: mark.Ours(), Kind: kind, Detail: detail, Source: pipe.Here(), Effects: pureEffects,
		Err: faultsOf(kind, errs...)})
}

// faultsOf joins wiring mistakes, but for those that are nil. A call that meets them nevertheless fails with status 500:
// they are nobody's payload's fault.
func faultsOf(kind string, errs ...error) error {
	var faults []error
	for _, err := range errs {
		if err != nil {
			faults = append(faults, &proxy.Error{Status: http.StatusInternalServerError, Op: "shape: " + kind, Err: err})
		}
	}
	return errors.Join(faults...)
}

// ops are run one after another.
type ops struct {
	list   []Op
	titles []string
	placed []pipe.Any // as they stand in the plan
	faults error
}

// newOps compiles ops that act on a way. nil is skipped.
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
		step.Acts, step.Mark = way, mark.Ours() // an op itself does not know the way
		o.list = append(o.list, op)
		o.titles = append(o.titles, step.Title())
		o.placed = append(o.placed, pipe.Describe(op, step))
	}
	return o
}

// run runs the ops on d. A document that does not fit is a failure of the given status.
func (o *ops) run(ctx context.Context, d document.Document, status int) (document.Document, error) {
	for i, op := range o.list {
		var err error
		if d, err = op(ctx, d); err != nil {
			return document.Document{}, &opError{op: o.titles[i], err: withStatus(err, status)}
		}
	}
	return d, nil
}

// withStatus gives an error of a document the status of whose document it is. Any other error speaks for itself.
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
