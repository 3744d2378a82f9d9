package call

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/report"
	"github.com/sluice-go/sluice/pipe"
)

// A Scope is what the starter of calls, an endpoint or an agent, gives to everything that runs
// below: a hook for failures that no answer carries, and a count of the abandoned calls. It is safe
// for concurrent use once Report is set. The zero value counts, and reports to nobody.
type Scope struct {
	// Report gets every failure that is part of no returned error, such as a panic in an abandoned
	// call. It is called concurrently, and perhaps after the request was answered. Its own panics
	// are dropped. If Report is nil, all failures are dropped.
	Report func(ctx context.Context, err error)

	described bool // see Serve
	abandoned atomic.Int64
}

// Serve gives the scope, at wiring, the plan of the pipe that is called in it. With it the caller
// promises to do what an endpoint does. The names in a request's Header are canonical, the values
// can be sent, and TE is the only hop-by-hop field in it. The caller also removes the hop-by-hop
// fields from the answer of a stream. If no step of the plan is custom or opaque, leaves and
// combinators may then take over what they would otherwise copy, because no other code sees it.
// They ask [Described].
func (s *Scope) Serve(plan *pipe.Step) {
	s.described = true
	for step := range plan.All() {
		if step.Effects&(pipe.Opaque|pipe.Custom) != 0 {
			s.described = false
		}
	}
}

// Described reports whether no user's function runs in the calls of the scope; see [Scope.Serve].
func (s *Scope) Described() bool { return s.described }

type scopeKey = report.Key

// Context returns a context whose calls belong to the scope.
func (s *Scope) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// Start starts c, a zero [Clock], for calls that belong to the scope. The clock expires after d. A
// caller that keeps the Clock in a larger struct saves the allocation of a context.
func (s *Scope) Start(c *Clock, ctx context.Context, d time.Duration) {
	c.scope = s
	c.Start(ctx, time.Now().Add(d))
}

// Described reports whether ctx belongs to a call in which no user's function sees a request or
// response. A leaf that takes all headers, and says so in its step, may then take over the map of
// them; any leaf may leave an empty Header nil. See [Scope.Serve] and [TakesOver].
func Described(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.described
}

// Abandoned returns how many calls are still running whose caller was answered without them; see
// [Bound].
func (s *Scope) Abandoned() int { return int(s.abandoned.Load()) }

func scopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// Report hands a failure that is part of no returned error to the Report hook of the scope that ctx
// belongs to. Without a hook it does nothing.
func Report(ctx context.Context, err error) {
	if s := scopeOf(ctx); s != nil {
		s.Failed(ctx, err)
	}
}

// Failed hands a failure to the hook, as the function [Report] does.
func (s *Scope) Failed(ctx context.Context, err error) {
	if s.Report == nil || err == nil {
		return
	}
	defer func() { _ = recover() }() // it could end the process, and nobody is left to tell
	s.Report(ctx, err)
}

// ReportPanic reports err if it wraps a panic. It is for an error that no caller will get.
func ReportPanic(ctx context.Context, err error) {
	if Panicked(err) {
		Report(ctx, err)
	}
}
