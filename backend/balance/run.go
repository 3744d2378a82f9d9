package balance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A lookup is one question to the resolver. All who wait for it share it.
type lookup struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // guarded by the pool's mu; when the last one leaves, the lookup ends
}

// lookupTime is how long the resolver has for an answer.
const lookupTime = 5 * time.Second

// firstBackoff is how soon the resolver is asked again after a first failure.
const firstBackoff = 100 * time.Millisecond

// Run keeps the hosts up to date, and probes them if the Spec says so, until ctx ends. Then it closes
// the connections that no call uses and returns the error of ctx. The pool works on without it, with
// the hosts that it has.
//
// A second Run at the same time is an error. A pool with a [Pool.Fault] does not run: that is the error.
func (p *Pool) Run(ctx context.Context) error {
	if err := p.Fault(); err != nil {
		return err
	}
	if !p.start() {
		return fmt.Errorf("%s: Run is running already", p.spec.where())
	}
	defer p.stop()
	var all sync.WaitGroup
	defer all.Wait()
	if p.spec.Probe != nil {
		all.Go(func() { p.probing(ctx) })
	}
	p.tell(ctx)
	ask, change := time.NewTimer(0), time.NewTimer(p.untilChange())
	defer ask.Stop()
	defer change.Stop()
	if _, static := p.spec.Resolver.(Hosts); static {
		ask.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ask.C:
			_ = p.ask(ctx, false) // State has the error
			p.sweep()
			if wait := p.pause(); wait > 0 {
				ask.Reset(wait)
			}
		case <-change.C:
			p.renew(ctx, p.now())
		case <-p.wake:
		}
		change.Reset(p.untilChange())
	}
}

// untilChange returns how long it is until the state of a host changes by itself.
func (p *Pool) untilChange() time.Duration {
	s := p.set.Load()
	if s == nil || s.until == forever {
		return forever
	}
	return max(time.Duration(s.until-p.now()), 0)
}

func (p *Pool) start() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		return false
	}
	p.running, p.stopped = true, make(chan struct{})
	return true
}

func (p *Pool) stop() {
	p.mu.Lock()
	p.running = false
	close(p.stopped) // who waits asks the resolver now
	p.mu.Unlock()
	p.CloseIdleConnections()
}

// pause returns how long it is until Run asks the resolver again, or a negative time for never.
func (p *Pool) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures > 0 {
		return max(time.Until(p.next), 1)
	}
	return jittered(p.spec.Refresh)
}

// jittered returns d, a tenth more or less, so that gateways do not all ask at the same time.
func jittered(d time.Duration) time.Duration {
	if d <= 0 {
		return -1
	}
	return max(d-d/10+time.Duration(rand.Int64N(int64(d/5)+1)), 1)
}

// ready returns the set, and waits for the first one.
func (p *Pool) ready(ctx context.Context) (*set, error) {
	if p == nil {
		return nil, faulty(errNil)
	}
	if s := p.set.Load(); s != nil {
		return s, nil
	}
	if err := p.Fault(); err != nil {
		return nil, faulty(err)
	}
	until, err := p.waitUntil()
	if err != nil {
		return nil, err
	}
	if until >= 0 {
		c := call.After(ctx, until)
		defer c.Cancel()
		return p.await(c, ctx)
	}
	return p.await(ctx, ctx)
}

// waitUntil returns how long a call may wait for the first set, or a negative time for as long as it
// likes, or the refusal of a call that does not wait.
func (p *Pool) waitUntil() (time.Duration, error) {
	p.mu.Lock()
	now := time.Now()
	if p.first.IsZero() {
		p.first = now
	}
	left := p.spec.Wait - now.Sub(p.first)
	if p.spec.Wait > 0 && left <= 0 && !p.running && now.After(p.next) {
		p.first, left = now, p.spec.Wait // nobody else would ask the resolver again
	}
	p.mu.Unlock()
	switch {
	case p.spec.Wait < 0:
		return -1, nil
	case left > 0:
		return left, nil
	}
	return 0, p.refusal()
}

// await waits for the first set until ctx ends, which is the context of the call or ends before that.
func (p *Pool) await(ctx, whole context.Context) (*set, error) {
	for {
		if stopped := p.untilStopped(); stopped == nil {
			if err := p.sleep(ctx); err == nil {
				_ = p.ask(ctx, true)
			}
		} else {
			select {
			case <-p.known:
			case <-stopped:
			case <-ctx.Done():
			}
		}
		if s := p.set.Load(); s != nil {
			return s, nil
		}
		if err := whole.Err(); err != nil {
			return nil, p.waited(err)
		}
		if ctx.Err() != nil {
			return nil, p.refusal()
		}
	}
}

// untilStopped returns what is closed when Run ends, or nil if it does not run.
func (p *Pool) untilStopped() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return nil
	}
	return p.stopped
}

// sleep waits until the resolver may be asked again.
func (p *Pool) sleep(ctx context.Context) error {
	p.mu.Lock()
	left := time.Until(p.next)
	p.mu.Unlock()
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.known:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// ask asks the resolver, unless that has failed just now, or waits for the answer to a question that
// is under way. With first it does nothing if there was an answer.
func (p *Pool) ask(ctx context.Context, first bool) error {
	for {
		l, joined := p.join(first)
		if l == nil {
			return nil
		}
		err := l.wait(ctx)
		if joined {
			p.leave(l)
		}
		if err != nil {
			return err
		}
		p.tell(ctx)
		if joined {
			return nil
		}
	}
}

// join returns the question that is under way, or a new one, or nil if there is nothing to ask now. It
// reports false for a question that all others have left: that ends without an answer, and the next one
// begins after it, since the resolver is never asked twice at the same time.
func (p *Pool) join(first bool) (l *lookup, joined bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l = p.lookup; l != nil && l.waiters == 0 {
		return l, false
	}
	if l == nil {
		if time.Now().Before(p.next) || first && p.set.Load() != nil {
			return nil, false
		}
		l = &lookup{done: make(chan struct{})}
		var asking context.Context
		asking, l.cancel = context.WithTimeout(context.Background(), lookupTime)
		p.lookup = l
		go p.resolve(asking, l)
	}
	l.waiters++
	return l, true
}

// leave ends the question if nobody waits for it any more.
func (p *Pool) leave(l *lookup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.waiters--; l.waiters == 0 {
		l.cancel()
	}
}

// wait waits until the question has ended.
func (l *lookup) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve asks the resolver, which may be code of a user.
func (p *Pool) resolve(ctx context.Context, l *lookup) {
	defer close(l.done)
	answer, err := call.Guard(ctx, p.away, nil, func() ([]Host, error) { return p.spec.Resolver.Resolve(ctx) })
	hosts, wrong := []Host(nil), error(nil)
	if err == nil {
		hosts, wrong = accept(answer)
		if len(hosts) == 0 {
			err = errEmpty
			if wrong != nil {
				err = fmt.Errorf("%w: %w", errEmpty, wrong)
			}
		}
	}
	withdrawn := errors.Is(err, ErrWithdrawn)
	if withdrawn {
		hosts, wrong = nil, err
	}
	if err == nil || withdrawn {
		p.take(hosts, wrong)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookup = nil
	switch {
	case err == nil, withdrawn:
		p.failures = 0
	case !errors.Is(ctx.Err(), context.Canceled): // else nobody waits for it
		p.err = err
		p.next = time.Now().Add(p.backoff())
		p.failures++
	}
}

var errEmpty = errors.New("the resolver named no host")

// backoff returns the wait after a failure of the resolver. The caller holds p.mu.
func (p *Pool) backoff() time.Duration {
	most := p.spec.Refresh
	if most <= 0 {
		most = defaultRefresh
	}
	return jittered(min(firstBackoff<<min(p.failures, 20), most))
}
