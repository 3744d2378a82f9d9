package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrOpen is why [Break] refuses a call.
var ErrOpen = errors.New("the circuit breaker is open")

// A Breaker says whether a call may happen now, and is told what became of it. If Allow returns no
// error, done is called exactly once. A Breaker must be safe for concurrent use and must not wait.
//
// A [CircuitBreaker] is a Breaker, and so is the TwoStepCircuitBreaker of
// github.com/sony/gobreaker/v2, with IsExcluded set to [Undecided].
type Breaker interface {
	Allow() (done func(err error), err error)
}

// Break returns a decorator that asks b before every call, and tells it afterwards whether the call
// has failed. If b does not allow the call, it is refused at once and next is not called. The
// refusal is a [*proxy.Error] of status 503 that wraps [ErrOpen] and the error of b. It has a
// Retry-After header, in seconds, if b has a method RetryAfter() time.Duration that returns more
// than 0. [Retry] does not try a refused call again. The pattern is the circuit breaker of Nygard,
// Release It!
//
// # What is a failure
//
// A call fails with every error, except those below, and with a stream of status 500 or more. It
// also fails if it panics, or if its deadline ends before there is an answer. A failure is told to
// b as an error.
//
// Every other answer is a success, and told as nil: also a partial one, a response with a document,
// whatever its status, and an error of status 4xx, even if the client gets a 502 instead of the
// upstream's 4xx.
//
// Nothing can be learned from a call that was cancelled, because the client has gone or because
// another call has won a [Hedge] or a race. The same holds for a call that sluice has refused, and
// for a request that could not be sent. They are told as an error for which [Undecided] is true.
//
// # When it is told
//
// A document is judged when it is returned. A stream whose status is below 500 is judged at its
// end: it succeeds when it is read to its end, and fails if it breaks. If it is still open 5 s
// after its header, it succeeds if some of it was read. If none was, or if it is closed before its
// end, it is undecided. A connection with a changed protocol succeeds at once.
//
// A call is told exactly once, and one without an answer at the latest when its context ends. So a
// probe that hangs, or that its caller has abandoned, keeps no place in a half-open breaker.
//
// If the context of a call has ended before, b is not asked. A panic of Allow reaches the caller,
// and next is not called. A panic of done changes nothing about the answer; see [proxy.Report]. The
// state belongs to b: proxies with the same b share it, and the plan shows that they do if b is a
// pointer, or if the decorator's value is the same.
//
// A nil b is a fault in the plan, and so is the Fault of a b that has one.
func Break(b Breaker) proxy.Decorator {
	if call.IsNil(b) {
		return proxy.Fault(errors.New("policy: Break: the Breaker is nil"))
	}
	if f, ok := b.(interface{ Fault() error }); ok {
		if err := f.Fault(); err != nil {
			return proxy.Fault(err)
		}
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "break", Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: new(byte)}
	if reflect.TypeOf(b).Kind() == reflect.Pointer {
		step.State = b
	}
	ours, _ := b.(*CircuitBreaker)
	if ours != nil {
		step.Name, step.Detail = ours.spec.Name, ours.spec.detail()
	}
	if ours == nil || ours.spec.OnChange != nil {
		step.Effects |= pipe.Opaque // the user's code may wait although it must not
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		br := &breaking{breaker: b, ours: ours, next: next, honoursContext: pipe.PlanOf(next).HonoursContext()}
		return pipe.Describe(br.call, step, next)
	}
}

type breaking struct {
	breaker        Breaker
	ours           *CircuitBreaker // the breaker, if NewBreaker has made it
	next           proxy.Proxy
	honoursContext bool // next returns when its context ends
}

// call costs one allocation if the breaker is that of NewBreaker: the function that gobreaker
// makes.
func (b *breaking) call(ctx context.Context, req *proxy.Request) (res *proxy.Response, err error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "break", Err: err}
	}
	p, refused := b.allow(ctx)
	if refused != nil {
		return nil, b.refusal(ctx, refused)
	}
	var j *judgement // of a call that others may judge too
	if !b.honoursContext {
		j = &judgement{ctx: ctx, permit: p}
		stop := context.AfterFunc(ctx, j.ended)
		defer stop()
	}
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit, goes on
			tell(ctx, j, &p, errPanicked, time.Since(p.start))
			call.Discard(ctx, res) // it is done that has ended the goroutine
		}
	}()
	res, err = call.Checked(b.next(ctx, req))
	took := time.Since(p.start)
	if err == nil && flows(res) {
		if j == nil {
			j = &judgement{ctx: ctx, permit: p}
		}
		j.follow(res, took)
	} else {
		tell(ctx, j, &p, verdict(ctx, res, err), took)
	}
	returned = true
	return res, err
}

var errPanicked = errors.New("the call ended in a panic")

// allow asks the breaker.
func (b *breaking) allow(ctx context.Context) (permit, error) {
	if b.ours != nil {
		return b.ours.allow(ctx)
	}
	done, err := b.breaker.Allow()
	return permit{start: time.Now(), done: done}, call.Sound(err)
}

// refusal returns the error of a call that the breaker does not allow.
func (b *breaking) refusal(ctx context.Context, why error) error {
	name := ""
	if b.ours != nil {
		name = b.ours.spec.Name
	} else {
		why = fmt.Errorf("%w: %w", ErrOpen, why)
	}
	pipe.Note(ctx, "open", name)
	err := &proxy.Error{Status: http.StatusServiceUnavailable, Op: "break", Err: why}
	if a, ok := b.breaker.(interface{ RetryAfter() time.Duration }); ok {
		err.Header = inSeconds(a.RetryAfter())
	}
	return err
}

// A permit is what a breaker has returned for a call that may happen.
type permit struct {
	start time.Time
	done  func(error) // of a Breaker of a user

	ours           *CircuitBreaker // whose permit it is instead
	failures, slow ticket
}

// tell tells the breaker what became of the call, how long it took to answer, and how long ago it
// began.
func (p *permit) tell(ctx context.Context, err error, took, ago time.Duration) {
	if p.ours != nil {
		p.ours.settle(ctx, p, err, took, ago)
		return
	}
	if p.done == nil { // it breaks the contract
		return
	}
	returned := false
	defer func() {
		if !returned {
			call.Report(ctx, fmt.Errorf("policy: Break: %w", call.PanicOf(recover())))
		}
	}()
	p.done(err)
	returned = true
}

// tell tells the breaker of a call that has just ended, by a judgement that others may make too
// unless it is nil.
func tell(ctx context.Context, j *judgement, p *permit, err error, took time.Duration) {
	if j != nil {
		j.tell(err, took)
		return
	}
	p.tell(ctx, err, took, took)
}
