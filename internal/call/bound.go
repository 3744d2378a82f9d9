package call

import (
	"context"
	"errors"
	"sync/atomic"
)

// DefaultMaxAbandoned is how many abandoned calls a [Bound] allows unless told otherwise. Each keeps a goroutine and what
// the call holds.
const DefaultMaxAbandoned = 1000

// ErrAbandoned is why a call is refused while too many earlier ones are abandoned.
var ErrAbandoned = errors.New("too many abandoned calls")

// A Bound counts the abandoned calls of one combinator and says how many there may be. The zero value has no room for any;
// it is made by [NewBound] and safe for concurrent use.
type Bound struct {
	limit int64 // negative is no limit
	n     atomic.Int64
}

// NewBound returns the bound for limit abandoned calls: 0 is [DefaultMaxAbandoned], negative is no limit.
func NewBound(limit int) *Bound {
	if limit == 0 {
		limit = DefaultMaxAbandoned
	}
	return &Bound{limit: int64(limit)}
}

// Full reports whether so many calls are abandoned that no further one may begin. It is asked before a call begins: calls
// that hang at the same moment can exceed the bound by as many as were begun together.
func (b *Bound) Full() bool { return b.limit >= 0 && b.n.Load() >= b.limit }

func (b *Bound) count(ctx context.Context, n int64) {
	b.n.Add(n)
	if s := scopeOf(ctx); s != nil {
		s.abandoned.Add(n)
	}
}
