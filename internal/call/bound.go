package call

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/pipe"
)

// DefaultMaxAbandoned is how many abandoned calls a [Bound] allows by default. Each abandoned call
// keeps a goroutine and whatever the call holds.
const DefaultMaxAbandoned = 1000

// ErrAbandoned is why a call is refused while too many earlier calls are abandoned.
var ErrAbandoned = errors.New("too many abandoned calls")

// A Bound counts the abandoned calls of one combinator and limits how many there may be. The zero
// value allows none; use [NewBound]. A Bound is safe for concurrent use.
type Bound struct {
	limit int64 // negative means no limit
	n     atomic.Int64
}

// NewBound returns a bound of limit abandoned calls. 0 means [DefaultMaxAbandoned], and a negative
// limit means no limit.
func NewBound(limit int) *Bound {
	if limit == 0 {
		limit = DefaultMaxAbandoned
	}
	return &Bound{limit: int64(limit)}
}

// Full reports whether so many calls are abandoned that no further call may begin. It is asked
// before a call begins, so calls that hang at the same moment can exceed the bound by as many as
// began together. Who watches the step that ctx belongs to is told that it was limited.
func (b *Bound) Full(ctx context.Context) bool {
	full := b.limit >= 0 && b.n.Load() >= b.limit
	if full {
		pipe.Note(ctx, "limited", "abandoned calls")
	}
	return full
}

// Len returns how many calls are abandoned.
func (b *Bound) Len() int64 { return b.n.Load() }

// Go runs f on a goroutine of its own, which counts as an abandoned call of the scope of ctx while it
// runs: nobody waits for it.
func (b *Bound) Go(ctx context.Context, f func()) {
	b.count(ctx, 1)
	lend.Of(ctx).Lose()
	go func() {
		defer b.count(ctx, -1)
		f()
	}()
}

func (b *Bound) count(ctx context.Context, n int64) {
	b.n.Add(n)
	if s := scopeOf(ctx); s != nil {
		s.abandoned.Add(n)
	}
}
