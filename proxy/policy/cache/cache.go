package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrNotCached is why a request with "only-if-cached" in its Cache-Control is refused: there is no
// answer that it may have. It comes in a [*proxy.Error] of status 504.
var ErrNotCached = call.ErrNotCached

// A Cache keeps answers of the proxies that it decorates. Create it with [New]. It is safe for
// concurrent use.
type Cache struct {
	spec  Spec // with the defaults filled in
	err   error
	where string // that faults name
	store Store
	ours  bool        // the store is sluice's, and needs no guard
	bound *call.Bound // of calls of the store that are abandoned
	calls *call.Bound // of calls in the background that are abandoned

	flights    flights
	marks      marks
	background background
	counters   counters
	tagPurges  atomic.Uint64 // how often tags were purged

	mu   sync.Mutex // guards seen
	seen map[[sha256.Size]byte]int
}

// New returns the cache that s describes. What is wrong with s is a fault, which every proxy that it
// decorates has in its plan: names that are none, negative times.
func New(s Spec) *Cache {
	c := &Cache{err: s.fault(), where: s.where(), spec: s.withDefaults(), bound: call.NewBound(0), calls: call.NewBound(0),
		seen: map[[sha256.Size]byte]int{}}
	if c.store = s.Store; c.store == nil {
		c.store = NewMemory(0)
	}
	if call.IsNil(c.store) {
		c.err = errors.Join(c.err, fmt.Errorf("%s: the Store is a nil pointer", s.where()))
	} else if f, ok := c.store.(interface{ Fault() error }); ok {
		c.err = errors.Join(c.err, f.Fault())
	}
	c.ours = mark.On(c.store)
	c.flights.init(c.spec.MaxCalls)
	return c
}

// Fault returns what is wrong with the Spec, or nil.
func (c *Cache) Fault() error { return c.err }

// Decorate is a [proxy.Decorator]. The proxy that it returns answers with what next has answered
// before, where it may, and asks next otherwise:
//
//	article := pipe.Check(upstreams.New(spec)).With(cached.Decorate)
//
// # Which answers
//
// An answer is kept if its call was a GET without a body, and HTTP allows a shared cache to keep it
// (RFC 9111, section 3). Of a Document that is decided by Response.Origin, what its upstream said. An
// answer without one, such as that of a merge, is kept for [Spec.TTL]. None is kept whose Header says
// no-store or private. A stream is decided by its Header, copied while it is read, and kept once it
// was read to its end.
//
// Never kept are errors, partial answers, streams that break or are not read to their end, answers of
// status 206, answers with "Vary: *" or with Set-Cookie (see [Spec.StoreCookies]), and what is larger
// than [Spec.MaxObject].
//
// # Whose answers
//
// The key has the scheme, host, path, pattern, query, params and all of Request.Upstream, where the
// credentials are, and which of the decorated proxies it is. What Vary names of Request.Header counts,
// if a leaf inside takes it. What decides inside which leaf is asked counts too, because no upstream
// knows of it: the Header of a proxy.Split. For an answer without an Origin all counts that leaves
// take. Where the plan cannot tell what counts, as around a function or a condition of a
// proxy.Switch, the whole header does, the address and certificate of the client, and who the caller
// is (Request.Caller); the plan then says "by client and header". Describe such a function with Takes
// in its [pipe.Step], or put it outside.
//
// A request whose Authorization a leaf inside takes gets no answer from the cache, and gives it none,
// unless the answer says public, s-maxage or must-revalidate (RFC 9111, section 3.5). One whose Cookie a
// leaf takes needs an answer that says how long it is fresh, and it is kept only if its Vary names Cookie.
// What a step inside reads from the context never counts: keep such a step outside, as authentication and
// limits are. A step inside that finds out who the caller is, or that decides by the caller or the client,
// is a fault.
//
// # Stale answers
//
// An answer that is no longer fresh is asked for again, with its ETag or Last-Modified as a condition
// in Request.Upstream. While that takes place, and where it fails with a status of 500 or more, such
// as of a timeout or an open breaker, stale answers are given as long as RFC 5861 or the Spec allows,
// and never where the answer says must-revalidate, proxy-revalidate, s-maxage or no-cache.
//
// # The shared call
//
// Calls at the same time for the same thing wait for the first of them. If its answer is not one for
// all, the others call next at once, and for the next 10 s nobody waits for that key. Callers get its
// error too, unless it was its own context that has ended: then the next one calls. An error below
// 500, or with what an upstream has answered, is for those alone that do not differ in what leaves
// take.
//
// # What clients see
//
// An answer from the cache differs from the first one in Age and Cache-Status (RFC 9211) only. A
// stream is also a 304 or a 206 if the client has asked so. In a request, the directives no-store,
// no-cache, max-age, min-fresh, max-stale and only-if-cached hold; the last one is refused with
// [ErrNotCached] if there is nothing.
//
// A successful call with a method that is not safe, such as POST, purges the path, and those of its
// Location and Content-Location (section 4.4).
//
// # State
//
// The proxies that one cache decorates share its store, and what is purged, but no answers. What
// tells them apart is their plan, and among equal plans the order in which they were decorated. So
// processes that share a Store must be wired alike, with names for functions that make a difference;
// see [pipe.Named].
func (c *Cache) Decorate(next proxy.Proxy) proxy.Proxy {
	next = pipe.Described(next)
	plan := pipe.PlanOf(next)
	d := &decorated{cache: c, next: next, honours: plan.HonoursContext(), takes: call.Takes(plan)}
	d.byAll = byAll(&d.takes)
	decides := call.Decides(plan)
	d.decides = byAll(&decides)
	step := pipe.Step{Mark: mark.Ours(), Kind: "cache", Source: pipe.Here(), Acts: pipe.Both, Effects: pipe.CallsOnce | pipe.Caches | pipe.Keeps | pipe.Stateful,
		State: c, Waits: -1, Takes: slices.Clone(reads), Err: errors.Join(c.err, c.fault(plan))}
	if c.spec.Name != defaultName {
		step.Name = c.spec.Name
	}
	if !c.ours {
		step.Effects |= pipe.Opaque
	}
	if _, never := call.Repeatable(plan); never != nil {
		step.Detail = "never: " + never.Title() + " is not idempotent"
		d.never = true
	} else {
		if step.Detail = c.spec.detail(d.decides); c.spec.TTL == 0 && !call.HandsOn(plan) {
			step.Detail = "never: no answer is that of one upstream, and there is no TTL"
		}
	}
	d.identity = c.identity(plan)
	return pipe.Describe(d.call, step, next)
}

// reads are the fields of a client that the cache goes by itself.
var reads = []string{"Cache-Control", "If-Modified-Since", "If-None-Match", "If-Range", "Pragma", "Range"}

// byAll returns the names of all fields that something inside may go by. What only says how an answer
// is to be given makes no difference.
func byAll(t *call.Taken) []string {
	if t.All {
		return []string{everything}
	}
	return slices.DeleteFunc(slices.Clone(t.Names), func(name string) bool { return slices.Contains(reads, name) })
}

// fault returns why calls of a pipe cannot be answered by a cache, or nil.
func (c *Cache) fault(plan *pipe.Step) error {
	return call.ByCaller(plan, pipe.ReadsCaller|pipe.ReadsClient|pipe.Authenticates, c.where, "put it outside")
}

// identity returns what tells a decorated proxy from others of the cache.
func (c *Cache) identity(plan *pipe.Step) string {
	text := sha256.Sum256([]byte(plan.String()))
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.seen[text]
	c.seen[text]++
	return fmt.Sprintf("%x %d", text, n)
}

// detail returns what the plan shows.
func (s *Spec) detail(decides []string) string {
	var notes []string
	switch {
	case slices.Contains(decides, everything):
		notes = append(notes, "by client and header")
	case len(decides) > 0:
		notes = append(notes, "by "+strings.Join(decides, ", "))
	}
	if s.TTL > 0 {
		notes = append(notes, s.TTL.String()+" where nothing is said")
	}
	if s.StaleWhileRevalidate > 0 {
		notes = append(notes, "stale for "+s.StaleWhileRevalidate.String())
	}
	if s.StaleIfError > 0 {
		notes = append(notes, "stale for "+s.StaleIfError.String()+" on errors")
	}
	if s.MaxObject > 0 {
		notes = append(notes, fmt.Sprintf("up to %d bytes", s.MaxObject))
	} else {
		notes = append(notes, "any size")
	}
	return strings.Join(notes, ", ")
}

// Stats is what a [Cache] has done since it was made.
type Stats struct {
	Hits   int64 // answered without a call, fresh
	Stale  int64 // answered with what was no longer fresh
	Misses int64 // answered by a call that a cache might have saved
	Shared int64 // of the misses, those that shared the call of another one
	Passed int64 // calls that no cache may answer, such as a POST

	// Entries and Bytes are how much is kept, about, if the Store is a [Memory]; else 0.
	Entries int
	Bytes   int64
}

type counters struct{ hits, stale, misses, shared, passed atomic.Int64 }

// Stats returns what the cache has done so far.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{Hits: n.hits.Load(), Stale: n.stale.Load(), Misses: n.misses.Load(), Shared: n.shared.Load(), Passed: n.passed.Load()}
	if m, ok := c.store.(*Memory); ok {
		s.Entries, s.Bytes = m.Len(), m.Bytes()
	}
	return s
}

// get asks the store for entries, of which those of an empty key are nil. An error is reported.
func (c *Cache) get(ctx context.Context, entries []*Entry, keys []string) error {
	if m, ok := c.store.(*Memory); ok {
		m.get(entries, keys)
		return nil
	}
	got, err := guarded(ctx, c, func() ([]*Entry, error) { return c.store.Get(ctx, keys...) })
	if err == nil && len(got) != len(keys) {
		err = fmt.Errorf("the store has returned %d entries for %d keys", len(got), len(keys))
	}
	if err != nil {
		return c.failed("get", err)
	}
	copy(entries, got)
	return nil
}

// set keeps an entry.
func (c *Cache) set(ctx context.Context, key string, e *Entry, ttl time.Duration) error {
	_, err := guarded(ctx, c, func() (struct{}, error) { return struct{}{}, c.store.Set(ctx, key, e, ttl) })
	if err != nil {
		return c.failed("set", err)
	}
	return nil
}

func (c *Cache) failed(op string, err error) error {
	return &proxy.Error{Op: "cache " + c.spec.Name, Err: fmt.Errorf("%s: %w", op, err)}
}

// guarded calls the store, which may be code of a user.
func guarded[T any](ctx context.Context, c *Cache, do func() (T, error)) (T, error) {
	if c.ours {
		return do()
	}
	return call.Guard(ctx, c.bound, nil, do)
}
