package proxy

import (
	"context"
	"slices"
	"sync"

	"github.com/sluice-go/sluice/internal/call"
)

// A Try is one of the tries of a call: the first, one that is made after a failure, or one that is
// hedged. Policies that call again number the tries of a call in the context, and a pool of hosts
// says there which host each try has used, so that no host is asked twice while there are others:
//
//	try := proxy.TryOf(ctx) // the context of the request in an http.RoundTripper
//	host := pick(func(host string) bool { return !try.Used(host) })
//	try.Use(host)
//
// All methods are safe for concurrent use. On a nil Try, which is that of a call that nothing
// repeats, Use does nothing and Used reports false.
type Try struct {
	number int // from 1
	call   *tries
}

// tries is what the tries of a call have in common.
type tries struct {
	mu   sync.Mutex // guards the fields below
	last int        // number of the last try that has begun
	used []use
}

// A use says that a try has used a host.
type use struct {
	try  int
	host string
}

// TryOf returns the try that a context belongs to, or nil if nothing repeats the call.
func TryOf(ctx context.Context) *Try {
	try, _ := ctx.Value(tryKey{}).(*Try)
	return try
}

// WithTry returns a context for the first try of a call. If ctx belongs to a try of a policy
// around, that is also the first one of this policy, and WithTry returns ctx. It is for decorators
// that may call next again.
func WithTry(ctx context.Context) context.Context {
	if TryOf(ctx) != nil {
		return ctx
	}
	first := &struct {
		tryContext
		tries tries
	}{}
	first.tries.last = 1
	first.tryContext = tryContext{call.Tied{Context: ctx}, Try{number: 1, call: &first.tries}}
	return &first.tryContext
}

// NextTry returns a context for one more try of the call that ctx belongs to. ctx is, or is derived
// from, one that [WithTry] has returned. Otherwise NextTry begins with the first try.
func NextTry(ctx context.Context) context.Context {
	before := TryOf(ctx)
	if before == nil {
		return WithTry(ctx)
	}
	t := before.call
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return &tryContext{call.Tied{Context: ctx}, Try{number: t.last, call: t}}
}

// Number returns which try of its call it is, from 1. On nil it returns 1.
func (t *Try) Number() int {
	if t == nil {
		return 1
	}
	return t.number
}

// Use says that the try uses a host, by any name that stands for it alone.
func (t *Try) Use(host string) {
	if t == nil {
		return
	}
	t.call.mu.Lock()
	defer t.call.mu.Unlock()
	if u := (use{t.number, host}); !slices.Contains(t.call.used, u) {
		t.call.used = append(t.call.used, u)
	}
}

// Used reports whether another try of the call, one before it or one at the same time, has used a
// host. What the try itself has used does not count: one try of a merge calls several upstreams.
func (t *Try) Used(host string) bool {
	if t == nil {
		return false
	}
	t.call.mu.Lock()
	defer t.call.mu.Unlock()
	return slices.ContainsFunc(t.call.used, func(u use) bool { return u.host == host && u.try != t.number })
}

type tryKey struct{}

// A tryContext is the context of a try.
type tryContext struct {
	call.Tied
	try Try
}

// Value returns the try for its key, and otherwise the parent's value.
func (c *tryContext) Value(key any) any {
	if key == (tryKey{}) {
		return &c.try
	}
	return c.Context.Value(key)
}
