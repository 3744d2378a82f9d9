package flow

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Batch returns a node that calls p once for all distinct keys of the elements of a, in the order
// in which the keys first occur. Without elements there is no call, and the value is the zero T.
// prepare makes the request, as in [Then].
//
//	prods := flow.Batch("products", orders, func(o Order) string { return o.Product },
//		flow.Param("ids", func(ids []string) string { return strings.Join(ids, ",") }),
//		proxy.Decode[map[string]Product](products))
func Batch[A any, K comparable, T any, P Prepare[[]K]](
	name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[T] {
	do, gives := prepared[[]K](prepare)
	p = pipe.Described(p)
	n := calling("Batch", "batch", name, p, key == nil || do == nil, a.n)
	n.gives(titled("Batch", name), gives)
	n.step.Acts = pipe.In
	n.step.Effects |= pipe.Opaque
	n.work = func(ctx context.Context, t *task) (any, error) {
		var none T
		keys := distinct(in[[]A](t, 0), key)
		if len(keys) == 0 {
			return none, nil
		}
		if err := do(t.req, keys); err != nil {
			return none, fmt.Errorf("prepare: %w", err)
		}
		return ask(ctx, t, t.req, p)
	}
	return Node[T]{n: n}
}
