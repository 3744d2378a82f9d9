package policy

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/keys"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A coalesce is a proxy whose calls are shared.
type coalesce struct {
	spec     CoalesceSpec // with the defaults filled in
	next     proxy.Proxy  // returns when its context ends
	taken    call.Taken
	byCaller bool // something inside decides by who the caller is

	mu      sync.Mutex // guards what follows, and the fields of flights and sharers that say so
	flights map[flightKey]*flight
	alone   keys.Alone[flightKey]
}

// A flight is a call that is shared, from when its first caller comes until it has ended.
type flight struct {
	of  *coalesce
	key flightKey

	// Guarded by coalesce.mu.
	sharers  []*sharer // who waits for it
	leader   *sharer   // who begins it
	deadline time.Time // that of the leader; zero if there is none
	begun    bool

	// Set by the leader before the flight begins.
	req     *proxy.Request
	err     error // why req could not be made
	clock   call.Clock
	branch  call.Branch[*proxy.Response]
	watched *watch.Call // kept open until the flight has ended; nil if nobody watches
}

// A sharer is a call that waits for a flight.
type sharer struct {
	of       *coalesce
	deadline time.Time       // zero if there is none
	told     chan flightWord // has room for one

	flight *flight // guarded by coalesce.mu; nil once the sharer was told the outcome or has left
	index  int     // in flight.sharers, guarded too
}

// A flightWord is what a sharer is told.
type flightWord struct {
	what   what
	flight *flight // that has ended, or is to begin
	res    *proxy.Response
	err    error
}

type what int

const (
	flightFailed  what = iota // the flight has failed with err
	flightShared              // res is the answer of all
	flightOwned               // res belongs to this sharer alone
	flightRefused             // the answer must not be shared: call alone
	flightBegins              // begin the flight
)

// join returns a sharer of the flight with a key, which may be a new one that it is to begin. It
// returns nil if the call is not to be shared.
func (c *coalesce) join(ctx context.Context, key flightKey) *sharer {
	deadline, _ := ctx.Deadline()
	me := &sharer{of: c, deadline: deadline, told: make(chan flightWord, 1)}
	joined, full := c.board(me, key)
	switch {
	case joined:
		pipe.Note(ctx, "coalesced", "")
	case full:
		pipe.Note(ctx, "limited", "shared calls")
		return nil
	case me.flight == nil:
		return nil
	}
	return me
}

// board puts a sharer into a flight, or has it begin one. It reports whether the flight was there, and
// whether there is no room for another one.
func (c *coalesce) board(me *sharer, key flightKey) (joined, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[key]
	switch {
	case f != nil:
		f.add(me)
		return true, false
	case c.alone.Has(key):
		return false, false
	case c.spec.MaxKeys > 0 && len(c.flights) >= c.spec.MaxKeys:
		return false, true
	}
	f = &flight{of: c, key: key}
	c.flights[key] = f
	f.add(me)
	f.lead(me)
	return false, false
}

// add adds a sharer. The caller holds coalesce.mu.
func (f *flight) add(s *sharer) {
	s.flight, s.index = f, len(f.sharers)
	f.sharers = append(f.sharers, s)
}

// lead makes a sharer the one that begins the flight. The caller holds coalesce.mu.
func (f *flight) lead(s *sharer) {
	f.leader, f.deadline = s, s.deadline
	s.told <- flightWord{what: flightBegins, flight: f}
}

// remove removes a sharer. The caller holds coalesce.mu.
func (f *flight) remove(s *sharer) {
	last := len(f.sharers) - 1
	f.sharers[s.index] = f.sharers[last]
	f.sharers[s.index].index = s.index
	f.sharers[last] = nil
	f.sharers = f.sharers[:last]
	s.flight = nil
}

// latest returns the sharer that has most time.
func (f *flight) latest() *sharer {
	latest := f.sharers[0]
	for _, s := range f.sharers {
		if later(s.deadline, latest.deadline) {
			latest = s
		}
	}
	return latest
}

// later reports whether deadline a is later than b. A zero one never comes.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// wait waits for the outcome, and does what the sharer is told.
func (s *sharer) wait(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	for {
		var v flightWord
		select {
		case v = <-s.told:
		case <-ctx.Done():
			if s.leave(ctx) {
				return nil, &proxy.Error{Op: "coalesce", Err: ctx.Err()}
			}
			v = <-s.told // the outcome came at the same moment
		}
		switch v.what {
		case flightBegins:
			v.flight.begin(ctx, req)
		case flightFailed:
			return nil, v.err
		case flightShared:
			return &proxy.Response{Status: v.res.Status, Header: v.res.Header.Clone(), Origin: v.res.Origin.Clone(),
				Document: v.res.Document, Err: v.res.Err}, nil
		case flightOwned:
			v.flight.handOver(ctx, v.res)
			return v.res, nil
		case flightRefused:
			return passes(s.of.next)(ctx, req)
		}
	}
}

// leave takes the sharer out of its flight, and reports whether it was still there. The last one to
// leave ends the flight.
func (s *sharer) leave(ctx context.Context) bool {
	c := s.of
	c.mu.Lock()
	f := s.flight
	if f == nil {
		c.mu.Unlock()
		return false
	}
	f.remove(s)
	led, begun, last := f.leader == s, f.begun, len(f.sharers) == 0
	switch {
	case last && c.flights[f.key] == f:
		delete(c.flights, f.key)
	case !last && led && !begun:
		f.lead(f.latest())
	}
	c.mu.Unlock()
	if last && begun {
		f.clock.Cancel()
	}
	if led && begun {
		pipe.Note(ctx, "abandoned", "") // it goes on for the others, or has yet to return
	}
	return true
}

// begin begins the flight, with the values and the request of its leader, who calls it.
func (f *flight) begin(ctx context.Context, req *proxy.Request) {
	f.req, f.err = req.Clone()
	free := call.Detach(ctx)
	if f.deadline.IsZero() {
		f.clock.StartCancellable(free)
	} else {
		f.clock.Start(free, f.deadline)
	}
	f.branch = call.Branch[*proxy.Response]{Ctx: &f.clock, Task: f, HonoursContext: true}
	f.watched = watch.Retain(ctx)
	f.of.mu.Lock()
	f.begun = true
	f.of.mu.Unlock()
	go func() {
		defer f.watched.Release()
		f.branch.Run()
	}()
}

// Do calls next.
func (f *flight) Do(ctx context.Context) (*proxy.Response, error) {
	if f.err != nil {
		return nil, f.err
	}
	return call.Checked(f.of.next(ctx, f.req))
}

// Arrived tells the sharers the outcome.
func (f *flight) Arrived() {
	res, err := f.branch.Result()
	if err == nil && open(res) && !f.clock.Stop() { // nobody could read it
		call.Discard(&f.clock, res)
		res, err = nil, &proxy.Error{Op: "coalesce", Err: f.clock.Err()}
	}
	stream := err == nil && open(res) // whoever gets it may change it
	told, owned := f.of.land(f, res, err)
	switch {
	case owned && stream:
		return // the clock ends with the stream
	case owned:
	case stream:
		call.Discard(&f.clock, res)
	default:
		_ = res.Close() // so that it counts as closed
	}
	if !told {
		call.ReportPanic(&f.clock, err)
	}
	f.clock.Cancel()
}

// land ends a flight with its outcome. It reports whether there was anybody to tell, and whether the
// response belongs to one of them.
func (c *coalesce) land(f *flight, res *proxy.Response, err error) (told, owned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	sharers := f.sharers
	f.sharers = nil
	told = len(sharers) > 0
	if err != nil {
		c.fail(f, sharers, err)
		return told, false
	}
	shareable := c.spec.shareable(res)
	if !shareable {
		c.alone.Add(f.key)
	}
	if told && (!shareable || len(sharers) == 1) {
		owner := sharers[0]
		if f.leader.flight == f {
			owner = f.leader // who has called next once
		}
		owner.tell(flightWord{what: flightOwned, flight: f, res: res})
		owned = true
	}
	for _, s := range sharers {
		switch {
		case s.flight == nil: // the owner
		case shareable:
			s.tell(flightWord{what: flightShared, res: res})
		default:
			s.tell(flightWord{what: flightRefused})
		}
	}
	return told, owned
}

// fail ends a flight that has failed. Those who have more time than it had make one more.
func (c *coalesce) fail(f *flight, sharers []*sharer, err error) {
	var again *flight
	for _, s := range sharers {
		if f.clock.Err() == nil || !later(s.deadline, f.deadline) {
			s.tell(flightWord{what: flightFailed, err: err})
			continue
		}
		if again == nil {
			again = &flight{of: c, key: f.key}
		}
		again.add(s)
	}
	if again != nil {
		c.flights[f.key] = again
		again.lead(again.latest())
	}
}

// tell tells a sharer the outcome. The caller holds coalesce.mu.
func (s *sharer) tell(v flightWord) {
	s.flight = nil
	s.told <- v
}

// handOver ties a stream to the call of the caller that gets it.
func (f *flight) handOver(ctx context.Context, res *proxy.Response) {
	if !open(res) {
		return
	}
	stop := context.AfterFunc(ctx, f.clock.Cancel)
	res.OnClose(func() {
		stop()
		f.clock.Cancel()
	})
}
