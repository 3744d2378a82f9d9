package proxy

import (
	"context"
	"sync/atomic"
	"time"
)

// A Scope is what the one who starts calls, an endpoint or an agent, gives to all that runs below: where failures go
// that no answer carries, and a count of the calls that were abandoned. It is safe for concurrent use once Report is
// set. The zero value counts and reports to nobody.
type Scope struct {
	// Report gets every failure that is part of no returned error, such as a panic in a call that was abandoned. It is
	// called concurrently, and perhaps after the request was answered. Its own panics are dropped. nil drops all.
	Report func(ctx context.Context, err error)

	// Described says that no function of a user stands in the pipe that is called: then nobody looks at a request again
	// that has reached a leaf, and the leaf may take over its maps instead of copying them. It promises more: what is in
	// Header is canonical, can be sent, and is end to end but for TE; and of a stream's answer the one who called drops
	// what is not.
	Described bool

	abandoned atomic.Int64
}

type scopeKey struct{}

// Context returns a context whose calls belong to the scope.
func (s *Scope) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// Expire is [Expire] of a context whose calls belong to the scope, in one.
func (s *Scope) Expire(ctx context.Context, d time.Duration) *Expiry {
	e := Expire(ctx, d)
	e.scope = s
	return e
}

// Described reports whether ctx belongs to a call whose pipe has no function of a user in it; see [Scope].
func Described(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.Described
}

// Abandoned returns how many calls run at the moment whose caller was answered without them; see [Hold].
func (s *Scope) Abandoned() int { return int(s.abandoned.Load()) }

func scopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// Report hands a failure that is part of no returned error to the hook of the endpoint or agent that ctx belongs to.
// Without a hook it does nothing.
func Report(ctx context.Context, err error) {
	s := scopeOf(ctx)
	if s == nil || s.Report == nil || err == nil {
		return
	}
	defer func() { _ = recover() }() // on a goroutine of ours it would end the process, and nobody is left to tell
	s.Report(ctx, err)
}
