package idempotency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/proxy"
)

// An attempt is one request that claims its key and, if nobody was before it, is executed. It runs on
// a goroutine that may outlive its client.
type attempt struct {
	of     *require
	branch call.Branch[*proxy.Response]
	client context.Context // of the caller
	free   context.Context // has its values, and does not end
	clock  call.Clock      // of the call
	until  time.Time       // its deadline
	req    *proxy.Request
	key    string
	print  fingerprint
	claim  []byte
	leaves leaves

	read    bool   // the body of the answer is in payload
	payload []byte // nil unless read
}

const (
	// grace is how long a client waits beyond its deadline for the outcome of its call to be kept.
	grace = 50 * time.Millisecond

	// storeTime is how long a call of the Answers takes at most.
	storeTime = time.Second

	// again is how long after a failure to keep an outcome it is tried again.
	again = time.Second
)

// attempt makes an attempt, and waits for it until ctx ends.
func (r *require) attempt(ctx context.Context, req *proxy.Request, key string, print fingerprint) (*proxy.Response, error) {
	a := &attempt{of: r, client: ctx, free: call.Detach(ctx), key: key, print: print, claim: newClaim(print)}
	a.leaves.outer = watch.LeavesOf(ctx)
	restore := call.Opening(ctx, r.bound, &req.GetBody)
	clone, err := req.Clone()
	restore()
	if err != nil {
		return nil, err
	}
	clone.GetBody, a.req = req.GetBody, clone
	deadline, limited := ctx.Deadline()
	if !limited {
		deadline = time.Now().Add(r.spec.Timeout)
	}
	a.until = deadline
	a.clock.Start(watch.WithLeaves(a.free, &a.leaves), deadline)
	patience := patienceOf(ctx)
	defer patience.Cancel()
	a.branch = call.Branch[*proxy.Response]{Ctx: patience, Task: a, Bound: r.bound, Close: (*proxy.Response).Close}
	res, err := a.branch.Await()
	if a.branch.Left() {
		return nil, &proxy.Error{Op: op, Err: ctx.Err()}
	}
	return res, err
}

// patienceOf returns a context that ends with ctx, but a little later if that ends by its deadline:
// then the call ends at the same moment, and its outcome is about to be kept.
func patienceOf(ctx context.Context) *call.Clock {
	c := call.Cancellable(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.Cancel()
			return
		}
		late := time.AfterFunc(grace, c.Cancel)
		context.AfterFunc(c, func() { late.Stop() })
	})
	context.AfterFunc(c, func() { stop() })
	return c
}

// Do claims the key, and executes the request unless the key was claimed before.
func (a *attempt) Do(context.Context) (*proxy.Response, error) {
	found, err := a.take()
	if err == nil && found == nil {
		return a.execute()
	}
	a.clock.Cancel()
	call.Discard(a.free, a.req.Body)
	if err != nil {
		return nil, err
	}
	return a.of.repeat(a.client, found, a.print)
}

// Arrived does nothing, because the caller waits.
func (a *attempt) Arrived() {}

// take claims the key, and returns what was found in its place.
func (a *attempt) take() ([]byte, error) {
	lease := time.Until(a.until) + a.of.spec.Lease
	soon := call.After(&a.clock, storeTime)
	defer soon.Cancel()
	found, err := guarded(soon, a.of, func(ctx context.Context) ([]byte, error) {
		return a.of.spec.Answers.Claim(ctx, a.key, a.claim, lease)
	})
	switch {
	case err == nil && bytes.Equal(found, a.claim): // the claim was sent twice
		return nil, nil
	case err == nil:
		return found, nil
	case a.clock.Err() != nil:
		err = &proxy.Error{Op: op, Err: a.clock.Err()}
	default:
		err = unavailable(err)
	}
	_ = a.release() // it may have been claimed all the same
	return nil, err
}

// execute calls next, and keeps what becomes of it, also if that ends the goroutine.
func (a *attempt) execute() (res *proxy.Response, err error) {
	branch := call.Branch[*proxy.Response]{Ctx: &a.clock, Task: (*execution)(a)}
	returned := false
	defer func() {
		if !returned {
			_, err := branch.Result()
			_, _ = a.settle(nil, err)
		}
	}()
	branch.Run()
	res, err = branch.Result()
	returned = true
	return a.settle(res, err)
}

// An execution is the call of next.
type execution attempt

// Do calls next.
func (e *execution) Do(ctx context.Context) (*proxy.Response, error) {
	return call.Copy(ctx, e.of.next, e.req, e.req.Body)
}

// Arrived does nothing, because the goroutine of the attempt waits.
func (e *execution) Arrived() {}

// settle keeps what became of the call, or gives the key back, and returns what the client gets.
func (a *attempt) settle(res *proxy.Response, err error) (*proxy.Response, error) {
	if err == nil {
		res, err = a.ready(res)
	}
	if err != nil {
		defer a.clock.Cancel()
		if !a.leaves.reached() {
			if failed := a.release(); failed != nil {
				a.report(failed)
			}
			return nil, err
		}
		a.keep(ofError(a.print, err))
		return nil, err
	}
	a.keep(a.ofResponse(res))
	if !flows(res) || a.read {
		a.clock.Cancel()
	}
	return res, nil
}

// flows reports whether a response has something to read from.
func flows(res *proxy.Response) bool {
	return res.Body != nil && res.Body != http.NoBody || res.Upgrade != nil
}

// ready makes a response ready to be kept: a body that is small enough is read, and any other one is
// tied to the client that gets it.
func (a *attempt) ready(res *proxy.Response) (*proxy.Response, error) {
	switch {
	case !flows(res):
		return res, nil
	case res.Upgrade == nil && a.small(res):
		return a.inMemory(res)
	case !a.clock.Stop(): // nobody could read it
		call.Discard(&a.clock, res)
		return nil, &proxy.Error{Op: op, Err: a.clock.Err()}
	}
	stop := context.AfterFunc(a.client, a.clock.Cancel)
	res.OnClose(func() {
		stop()
		a.clock.Cancel()
	})
	return res, nil
}

// small reports whether a response says that its body is small enough to be kept.
func (a *attempt) small(res *proxy.Response) bool {
	n := field.Length(res.Header)
	return n >= 0 && (a.of.spec.MaxAnswer < 0 || n <= int64(a.of.spec.MaxAnswer))
}

// inMemory returns a response whose body is read.
func (a *attempt) inMemory(res *proxy.Response) (*proxy.Response, error) {
	defer call.Discard(&a.clock, res)
	announced := field.Length(res.Header)
	body := call.NewBody(&a.clock, a.of.bound, res.Body)
	b, err := io.ReadAll(io.LimitReader(body, announced+1))
	switch {
	case err != nil:
		return nil, &proxy.Error{Op: op, Err: fmt.Errorf("read the answer: %w", call.Sound(err))}
	case int64(len(b)) > announced:
		return nil, &proxy.Error{Op: op, Err: errLonger}
	}
	a.read, a.payload = true, b
	read := &proxy.Response{Status: res.Status, Header: res.Header, Body: call.InMemory(b), Err: res.Err}
	if trailer := res.Trailer; trailer != nil {
		h, err := call.Guard(&a.clock, a.of.bound, nil, func() (http.Header, error) { return trailer().Clone(), nil })
		if err != nil {
			return nil, &proxy.Error{Op: op, Err: fmt.Errorf("read the trailers: %w", call.Sound(err))}
		}
		read.Trailer = func() http.Header { return h }
	}
	return read, nil
}

var errLonger = errors.New("the answer is longer than announced")

// ofResponse returns the value of a request that was answered.
func (a *attempt) ofResponse(res *proxy.Response) *value {
	o := outcome{status: res.StatusCode(), header: keptHeader(res.Header), partial: res.Err != nil}
	switch {
	case a.read:
		o.stream, o.payload = true, a.payload
		if res.Trailer != nil {
			o.trailer = keptHeader(res.Trailer())
		}
	case flows(res), a.of.spec.MaxAnswer >= 0 && res.Document.Size() > a.of.spec.MaxAnswer:
		return &value{kind: kindGone, print: a.print}
	case res.Body != nil:
		o.stream = true
	default:
		o.payload = res.Document.AppendJSON(nil)
	}
	return &value{kind: kindAnswer, print: a.print, outcome: o}
}

// keep puts a value in the place of the claim. A failure is reported, and it is tried again until the
// claim is over.
func (a *attempt) keep(v *value) {
	if v.kind != kindGone && !v.outcome.fits(a.of.spec.MaxAnswer) {
		v = &value{kind: kindGone, print: a.print}
	}
	b := v.form()
	err := a.put(b)
	if errors.Is(err, ErrFull) {
		a.report(err)
		b = (&value{kind: kindGone, print: a.print}).form() // which is smaller than the claim
		err = a.put(b)
	}
	if err != nil {
		a.report(err)
		a.of.bound.Go(a.free, func() { a.insist(b) })
	}
}

// insist tries to keep a value until the lease is over.
func (a *attempt) insist(b []byte) {
	for over := a.until.Add(a.of.spec.Lease); time.Now().Add(again).Before(over); {
		<-time.After(again)
		if err := a.put(b); err == nil || errors.Is(err, errLost) {
			return
		}
	}
}

var errLost = errors.New("the claim of the key is over, and the outcome of its call was not kept")

func (a *attempt) put(b []byte) error {
	ctx := call.After(a.free, storeTime)
	defer ctx.Cancel()
	kept, err := guarded(ctx, a.of, func(ctx context.Context) (bool, error) {
		return a.of.spec.Answers.Keep(ctx, a.key, a.claim, b, a.of.spec.TTL)
	})
	if err == nil && !kept {
		err = errLost
	}
	return err
}

// release gives the key back.
func (a *attempt) release() error {
	ctx := call.After(a.free, storeTime)
	defer ctx.Cancel()
	_, err := guarded(ctx, a.of, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, a.of.spec.Answers.Release(ctx, a.key, a.claim)
	})
	return err
}

func (a *attempt) report(err error) {
	call.Report(a.free, &proxy.Error{Status: http.StatusServiceUnavailable, Op: op, Err: fmt.Errorf("%w: %w", ErrAnswers, err)})
}

// guarded calls the Answers, which may be code of a user.
func guarded[T any](ctx context.Context, r *require, do func(context.Context) (T, error)) (T, error) {
	if r.ours {
		return do(ctx)
	}
	return call.Guard(ctx, r.bound, nil, func() (T, error) { return do(ctx) })
}

// leaves counts the leaves that a call has reached.
type leaves struct {
	n     atomic.Int64
	outer watch.Leaves // of a call around this one
}

// Enter counts a leaf.
func (l *leaves) Enter() {
	l.n.Add(1)
	if l.outer != nil {
		l.outer.Enter()
	}
}

// Leave takes a leaf back whose error says that nothing was sent.
func (l *leaves) Leave(err error, told bool) {
	if told && unsent(err) {
		l.n.Add(-1)
	}
	if l.outer != nil {
		l.outer.Leave(err, told)
	}
}

func (l *leaves) reached() bool { return l.n.Load() != 0 }

// unsent reports whether the error of a leaf says that it has sent nothing: there was no request to
// send, no host, or no connection.
func unsent(err error) bool {
	e, ok := call.As[*proxy.Error](err)
	if !ok {
		return false
	}
	switch e.Op {
	case "resolve", "sign", "dial":
		return true
	}
	return call.Is(err, proxy.ErrNoHosts) || call.Is(err, proxy.ErrAbandoned)
}
