package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// A Scope is what the one who starts calls, an endpoint or an agent, gives to all that runs below: where failures go
// that no answer carries, and a count of the calls that were abandoned. It is safe for concurrent use once Report is
// set. The zero value counts and reports to nobody.
type Scope struct {
	// Report gets every failure that is part of no returned error, such as a panic in a call that was abandoned. It is
	// called concurrently, and perhaps after the request was answered. Its own panics are dropped. nil drops all.
	Report func(ctx context.Context, err error)

	described bool // see Serve
	abandoned atomic.Int64
}

// Serve tells the scope, at wiring, that p is what is called in it, and that the caller does what an endpoint does: in a
// request's Header, names are canonical, values can be sent, and nothing is of one hop but TE; and it takes out of a
// stream's answer what is of one hop. Where all of p is described by sluice itself, leaves and combinators then may take
// over what they would otherwise copy, for nobody else sees it; they ask [Described].
func (s *Scope) Serve(p Proxy) {
	s.described = true
	for step := range pipe.PlanOf(p).All() {
		if step.Effects&(pipe.Opaque|pipe.Custom) != 0 {
			s.described = false
		}
	}
}

// Described reports whether no function of a user stands in what is called; see [Scope.Serve].
func (s *Scope) Described() bool { return s.described }

type scopeKey struct{}

// Context returns a context whose calls belong to the scope.
func (s *Scope) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// Expire makes of e, which is new, what [Expire] returns, for calls that belong to the scope. It saves whoever keeps an
// Expiry in a larger struct its allocation.
func (s *Scope) Expire(e *Expiry, ctx context.Context, d time.Duration) {
	e.scope = s
	e.begin(ctx, time.Now().Add(d))
}

// Described reports whether ctx belongs to a call in which no function of a user sees a request or response: then a leaf
// may take over the maps of its request, and leave a Header nil that is empty. See [Scope.Serve].
func Described(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.described
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
