package pipe

import (
	"context"
	"io"
	"reflect"

	"github.com/sluice-go/sluice/internal/watch"
)

// reaching returns call, the function of a step, so that whoever counts the leaves of a call hears of
// it if the step is one; see [watch.Leaves].
func reaching[Req, Res any](call Pipe[Req, Res], step *Step) Pipe[Req, Res] {
	if call == nil || !isLeaf[Req, Res](step) {
		return call
	}
	told := step.Effects.Has(Terminal)
	return func(ctx context.Context, req Req) (Res, error) {
		leaves := watch.LeavesOf(ctx)
		if leaves == nil {
			return call(ctx, req)
		}
		leaves.Enter()
		res, err := call(ctx, req)
		leaves.Leave(err, told)
		return res, err
	}
}

// isLeaf reports whether a call of a step may have an effect elsewhere. A pipe whose answer is of the
// type of its request is an op, and one that can be repeated and makes no response is a key or an op.
func isLeaf[Req, Res any](step *Step) bool {
	switch {
	case len(step.holds) > 0, len(step.Steps) > 0 && !step.Effects.Has(Terminal):
		return false
	case reflect.TypeFor[Req]() == reflect.TypeFor[Res]():
		return false
	}
	var res Res
	_, responds := any(res).(io.Closer)
	return responds || !step.Effects.Has(Idempotent)
}
