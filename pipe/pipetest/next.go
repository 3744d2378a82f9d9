package pipetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// nextName is the name that the subject's inner pipe has in the plan.
const nextName = "next of pipetest"

// A next is the inner pipe of the subject: it follows a script and counts its calls.
type next[Req, Res any] struct {
	do func(ctx context.Context, req Req, n int) (Res, error) // n is counted from 1

	mu    sync.Mutex // guards what follows
	wired bool       // until then every call fails: wiring must not call next
	seen  []seen[Req]
	given []Res
}

// seen is a call of next.
type seen[Req any] struct {
	ctx context.Context
	req Req
	at  time.Time
}

func (x *next[Req, Res]) call(ctx context.Context, req Req) (Res, error) {
	x.mu.Lock()
	x.seen = append(x.seen, seen[Req]{ctx, req, time.Now()})
	n, wired := len(x.seen), x.wired
	x.mu.Unlock()
	if !wired {
		var none Res
		return none, errNext
	}
	res, err := x.do(ctx, req, n)
	x.mu.Lock()
	x.given = append(x.given, res)
	x.mu.Unlock()
	return res, err
}

func (x *next[Req, Res]) calls() []seen[Req] {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen[:len(x.seen):len(x.seen)]
}

// last returns the response that next gave last.
func (x *next[Req, Res]) last() (res Res) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.given); n > 0 {
		res = x.given[n-1]
	}
	return res
}

// A form is how next appears in the plan. Decorators may act by it.
type form struct {
	name    string
	effects pipe.Effects
}

// forms are a user's function that may ignore its context, and a function that is known to honour
// it.
var forms = []form{
	{"where next may ignore its context", pipe.Terminal | pipe.Opaque},
	{"where next honours its context", pipe.Terminal | pipe.HonoursContext},
}

// pipe returns next in a form, as a pipe that can be decorated.
func (x *next[Req, Res]) pipe(f form) pipe.Pipe[Req, Res] {
	return pipe.Describe(x.call, pipe.Step{Mark: mark.Borrows(), Kind: "next", Name: nextName, Effects: f.effects})
}

// decorated returns next wrapped in the subject's decorator.
func (s Subject[Req, Res]) decorated(x *next[Req, Res], f form) pipe.Pipe[Req, Res] {
	p := x.pipe(f).With(s.Decorator)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wired = true
	return p
}

// A tried is a call of the subject around a next, and how the call ended.
type tried[Req, Res any] struct {
	Outcome[Res]
	next *next[Req, Res]
	req  Req
	form form
}

// try calls the subject around a next that does what do says, with a new request.
func (s Subject[Req, Res]) try(
	ctx context.Context, t testing.TB, f form, do func(context.Context, Req, int) (Res, error),
) tried[Req, Res] {
	x := &next[Req, Res]{do: do}
	o := tried[Req, Res]{next: x, req: s.Request(), form: f}
	o.Outcome = Try(ctx, s.decorated(x, f), o.req)
	return o
}

// returned fails t unless the call returned. The message begins with when.
func (o tried[Req, Res]) returned(t testing.TB, when string) bool {
	switch {
	case o.Hung:
		t.Errorf("%s, the call never returned (%s)", when, o.form.name)
	case o.Panic != nil:
		t.Errorf("%s, the call panicked: %v (%s)", when, o.Panic, o.form.name)
	case o.Exited:
		t.Errorf("%s, the call ended its goroutine (%s)", when, o.form.name)
	}
	return o.Returned()
}

// The scripts of next.

func (s Subject[Req, Res]) answer(context.Context, Req, int) (Res, error) { return s.Response(), nil }

func (s Subject[Req, Res]) fail(err error) func(context.Context, Req, int) (Res, error) {
	return func(context.Context, Req, int) (none Res, _ error) { return none, err }
}

// hang waits for the end of the context or, at the latest, the end of the law.
func (s Subject[Req, Res]) hang(end <-chan struct{}) func(context.Context, Req, int) (Res, error) {
	return func(ctx context.Context, _ Req, _ int) (none Res, _ error) {
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-end:
			return none, errNext
		}
	}
}
