package call

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

// Serve tells the scope, at wiring, the plan of what is called in it, and that its caller does what an endpoint does: the
// names in a request's Header are canonical, the values can be sent, and nothing in it is of one hop but TE; and it takes
// out of a stream's answer what is of one hop. Where every step of the plan is sluice's own, leaves and combinators may then
// take over what they would otherwise copy, for nobody else sees it. They ask [Described].
func (s *Scope) Serve(plan *pipe.Step) {
	s.described = true
	for step := range plan.All() {
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

// Start starts c, a zero [Clock], for calls that belong to the scope, to expire after d. It saves whoever keeps a Clock in a
// larger struct the allocation of a context.
func (s *Scope) Start(c *Clock, ctx context.Context, d time.Duration) {
	c.scope = s
	c.Start(ctx, time.Now().Add(d))
}

// Described reports whether ctx belongs to a call in which no function of a user sees a request or response: then a leaf
// may take over the maps of its request, and leave a Header nil that is empty. See [Scope.Serve].
func Described(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.described
}

// Abandoned returns how many calls run at the moment whose caller was answered without them; see [Bound].
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

// ReportPanic reports an error that nobody will get, if there is a panic in it.
func ReportPanic(ctx context.Context, err error) {
	if Panicked(err) {
		Report(ctx, err)
	}
}
