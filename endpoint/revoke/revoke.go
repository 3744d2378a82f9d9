package revoke

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

// ErrFull is why [Filter.Revoke] fails: as many IDs were revoked in a Lifetime as there is room for.
var ErrFull = errors.New("revoke: there is no room for more revoked ids")

const (
	// DefaultIDs is how many ids can be revoked in a Lifetime by default.
	DefaultIDs = 100_000

	// DefaultFalsePositives is the share of tokens that are refused by mistake by default: one in a
	// million.
	DefaultFalsePositives = 1e-6
)

// maxBits is the size of the largest generation, 512 MiB.
const maxBits = 1 << 32

// A Spec describes a [Filter].
type Spec struct {
	// Lifetime is the longest time that a token is valid, from when it is issued until it expires, plus the
	// leeway of the code that checks it. An ID is remembered for at least one Lifetime after it was
	// revoked, and for at most two. There is no default: less than one second is an error.
	Lifetime time.Duration

	// IDs is how many IDs can be revoked in a Lifetime. 0 is [DefaultIDs], and a negative number is an
	// error. Each takes 30 bits twice, with the default of FalsePositives: 100,000 take 750 KB.
	IDs int

	// FalsePositives is the largest share of tokens that are refused by mistake when the filter is full. It
	// is more than 0 and less than 1; 0 is [DefaultFalsePositives]. A token that is refused by mistake is
	// refused each time, for at most two Lifetimes: its owner needs a new token.
	FalsePositives float64

	// Claim is the path of the claim that holds the ID of a token; see document.ParsePath. "" is "jti".
	Claim string
}

func (s Spec) withDefaults() Spec {
	if s.IDs == 0 {
		s.IDs = DefaultIDs
	}
	if s.FalsePositives == 0 {
		s.FalsePositives = DefaultFalsePositives
	}
	return s
}

// fault returns what is wrong with the spec, joined, or nil.
func (s Spec) fault() error {
	var errs []error
	if s.Lifetime < time.Second {
		errs = append(errs, fmt.Errorf("revoke: New: Lifetime is %v, want 1s or more", s.Lifetime))
	}
	if s.IDs < 0 {
		errs = append(errs, fmt.Errorf("revoke: New: IDs is %d, want 0 or more", s.IDs))
	}
	if !(s.FalsePositives >= 0 && s.FalsePositives < 1) { // nor is it NaN
		errs = append(errs, fmt.Errorf("revoke: New: FalsePositives is %v, want 0 or more, and less than 1", s.FalsePositives))
	}
	return errors.Join(errs...)
}

// A Filter is a set of revoked IDs. Every ID that was revoked is in it, and seldom another one. It is safe
// for concurrent use.
//
// It has two generations, each of which lasts a Lifetime by the wall clock. IDs are added to the current
// generation, and looked up in both. When the next generation begins, the older one is forgotten.
type Filter struct {
	spec Spec // with the defaults filled in
	ask  auth.Revocation
	m, k uint

	mu   sync.RWMutex // guards what follows
	last int64        // the number of the current generation
	now  *generation
	old  *generation // the one before
}

// A generation is what was revoked in one Lifetime.
type generation struct {
	bits *bloom.BloomFilter
	n    int // ids, about
}

// New returns an empty filter. The error joins all that is wrong with s.
func New(s Spec) (*Filter, error) {
	f := &Filter{spec: s.withDefaults()}
	ask, err := auth.RevokedBy(s.Claim, f.has)
	if err != nil {
		err = fmt.Errorf("revoke: New: %w", err)
	}
	if err := errors.Join(s.fault(), err); err != nil {
		return nil, err
	}
	f.ask = ask
	f.m, f.k = bloom.EstimateParameters(uint(f.spec.IDs), f.spec.FalsePositives/2) // either generation may be wrong
	if uint64(f.m) > maxBits {
		return nil, fmt.Errorf("revoke: New: %d ids with so few false positives take more than 1 GiB", f.spec.IDs)
	}
	f.m = (f.m + 63) / 64 * 64
	f.last, f.now, f.old = f.number(time.Now()), f.generation(), f.generation()
	return f, nil
}

func (f *Filter) generation() *generation { return &generation{bits: bloom.New(f.m, f.k)} }

// number returns the number of the generation of a time. It is that of all processes.
func (f *Filter) number(at time.Time) int64 { return at.UnixNano() / int64(f.spec.Lifetime) }

// turn begins the generations that are due. The caller holds the lock.
func (f *Filter) turn() {
	n := f.number(time.Now())
	switch {
	case n <= f.last: // the clock may have been set back
		return
	case n == f.last+1:
		f.now, f.old = f.generation(), f.now
	default:
		f.now, f.old = f.generation(), f.generation()
	}
	f.last = n
}

// Revoke revokes the token with an ID, for at least one Lifetime. If it fails with [ErrFull], the token is
// not revoked. An empty ID is an error too.
func (f *Filter) Revoke(id string) error {
	if id == "" {
		return errors.New("revoke: the id is empty")
	}
	key := sha256.Sum256([]byte(id)) // so that nobody chooses the bits
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	switch {
	case f.now.bits.Test(key[:]):
		return nil
	case f.now.n >= f.spec.IDs:
		return ErrFull
	}
	f.now.bits.Add(key[:])
	f.now.n++
	return nil
}

// Revoked returns an error that wraps auth.ErrRevoked if the token of a caller was revoked or, seldom, if
// it was not; it is an auth.Revocation. A caller without the claim is refused too, with
// auth.ErrInvalidCredentials. Both have status 401.
func (f *Filter) Revoked(ctx context.Context, c *proxy.Caller) error { return f.ask(ctx, c) }

// has reports whether an id may have been revoked.
func (f *Filter) has(_ context.Context, id string) (bool, error) {
	key := sha256.Sum256([]byte(id))
	n := f.number(time.Now())
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case n <= f.last:
		return f.now.bits.Test(key[:]) || f.old.bits.Test(key[:]), nil
	case n == f.last+1: // nothing was revoked since the next one began
		return f.now.bits.Test(key[:]), nil
	}
	return false, nil
}

// Len returns about how many IDs are remembered.
func (f *Filter) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	return f.now.n + f.old.n
}
