package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrLimitStore is why [LimitBy] refuses a call if its Buckets have failed.
var ErrLimitStore = errors.New("the buckets of the limit cannot be asked")

// DefaultMaxKeys is how many keys a [LimitBy] keeps apart by default.
const DefaultMaxKeys = 100_000

// A LimitBySpec describes a [LimitBy].
type LimitBySpec struct {
	// Name is the name of the limit in the plan and, as "default" if it is "", in the header fields.
	// An answer should have each name once. Of other than printable ASCII characters it is a fault
	// in the plan.
	Name string

	Key  Key  // whose bucket a call takes from; nil is a fault in the plan
	Rate Rate // of each bucket; the zero Rate is a fault in the plan

	// MaxKeys is how many keys have a bucket of their own at a time, in memory: 64 bytes for each
	// are enough. 0 is [DefaultMaxKeys], and a negative MaxKeys is no limit.
	MaxKeys int

	// OmitFields leaves RateLimit and RateLimit-Policy out of answers and refusals.
	OmitFields bool

	// Buckets is where the buckets are if several processes share them. It needs a Name, because
	// other limits may be there: limits of the same Name and Rate share their buckets. nil is the
	// memory of this process.
	Buckets Buckets

	// Open lets a call pass that Buckets fail to decide on, and reports the failure; see
	// [proxy.Report]. Otherwise such a call is refused.
	Open bool
}

// A Buckets keeps the buckets of [LimitBy] in another place than memory. It is safe for concurrent
// use, and returns when ctx ends. If it has a method Fault() error, the error of that is a fault in
// the plan.
type Buckets interface {
	// Take takes a call from the bucket of a key, if it has one left. The bucket is full when its
	// key comes for the first time: it has r.Burst calls, and r.Events come back in the time r.Per,
	// evenly and never above r.Burst. No field of r is 0. The key is any string.
	Take(ctx context.Context, key string, r Rate) (Grant, error)
}

// A Grant is what a bucket says to a call.
type Grant struct {
	OK        bool          // the call may pass, and was counted
	Remaining int           // how many more calls could pass now
	After     time.Duration // until the next call can pass; 0 if one can now
	Full      time.Duration // until as many calls as the burst can pass at once
}

// LimitBy returns a decorator that limits the calls of each key, such as a client, to a rate. A call
// above the rate is refused at once and next is not called:
//
//	items.With(policy.LimitBy(policy.ByClient, policy.PerSecond(5)))
//
// The refusal is a [*proxy.Error] of status 429 that wraps [ErrLimited] and has a Retry-After, in
// seconds. If the context of a call has ended, the call does not count. A panic of the key function
// reaches the caller, and next is not called.
//
// # Exact
//
// The limit is the generic cell rate algorithm (GCRA, ITU-T I.371) in whole numbers. In any time d
// no key gets more than the burst and what comes back in d, and a key that keeps to that is never
// refused. A refused call costs nothing.
//
// # Many keys
//
// A bucket goes only when it is full again, and so equals that of a new key. If MaxKeys buckets are
// in use, further keys share others, some dozens of keys each, until there is room. A key that gets
// its own later begins with what is left in the one it has shared. So a flood of keys never gives
// anybody more than the rate, and never takes a call from a key that has a bucket. It can take calls
// from new keys: they share with it.
//
// # What clients are told
//
// Answers and refusals have the fields RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11:
//
//	RateLimit-Policy: "default";q=5;w=1
//	RateLimit: "default";r=4;t=1
//
// q is the burst and w the seconds in which as much comes back; r is how many more calls could pass
// now, and t the seconds until that is q again or, if r is 0, until it is 1. A LimitBy inside adds
// its fields after those. Other failures than the refusal have none. LimitBySpec.OmitFields leaves
// the fields out; they cost a call two allocations.
//
// # State
//
// The buckets belong to the returned value, which is safe for concurrent use: proxies decorated with
// it share them. [LimitByWith] sets more, as a limit that several processes share. What is wrong
// with the key or the rate is a fault in the plan.
func LimitBy(key Key, r Rate) proxy.Decorator { return LimitByWith(LimitBySpec{Key: key, Rate: r}) }

// LimitByWith is [LimitBy] with a name, other buckets, or without header fields.
func LimitByWith(s LimitBySpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	s.Rate = s.Rate.withDefaults()
	if s.MaxKeys == 0 {
		s.MaxKeys = DefaultMaxKeys
	}
	l := &limitBy{spec: s, byClient: isByClient(s.Key)}
	l.prefix = s.Name + "\x00" + s.Rate.String() + "\x00" // no Name or Rate has that character
	step := pipe.Step{Mark: mark.Ours(), Kind: "limit", Name: s.Name, Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: l}
	notes := []string{s.Rate.String(), "by " + keyStep(&step, s.Key)}
	switch {
	case s.Buckets != nil:
		notes = append(notes, "buckets elsewhere")
		if w, ok := s.Buckets.(interface{ Waits() time.Duration }); ok && mark.On(s.Buckets) {
			step.Waits = w.Waits()
		} else {
			step.Effects |= pipe.Opaque // the user's code may wait although it must not
		}
		if s.Open {
			notes = append(notes, "open")
		}
	case s.MaxKeys < 0:
		notes = append(notes, "any number of keys")
		l.buckets = newBuckets(s.Rate, s.MaxKeys)
	default:
		notes = append(notes, fmt.Sprintf("%d keys", s.MaxKeys))
		l.buckets = newBuckets(s.Rate, s.MaxKeys)
	}
	if s.OmitFields {
		notes = append(notes, "no fields")
	} else {
		step.Acts = pipe.Both
		name := s.Name
		if name == "" {
			name = "default"
		}
		l.fields = newLimitFields(name, s.Rate)
	}
	step.Detail = strings.Join(notes, ", ")
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			d, err := l.decide(ctx, req)
			if err != nil {
				return nil, err
			}
			res, err := next(ctx, req)
			if l.fields != nil && d.known && err == nil && res != nil {
				l.fields.set(res, d.Grant)
			}
			return res, err
		}
		return pipe.Describe(serve, step, next)
	}
}

// fault returns what is wrong with the spec, joined, or nil.
func (s LimitBySpec) fault() error {
	var errs []error
	fault := func(text string) {
		where := "policy: LimitBy"
		if s.Name != "" {
			where += " (" + s.Name + ")"
		}
		errs = append(errs, errors.New(where+": "+text))
	}
	if strings.ContainsFunc(s.Name, func(r rune) bool { return r < ' ' || r > '~' }) {
		fault("the Name has other than printable ASCII characters")
	}
	if s.Key == nil {
		fault("the Key is nil")
	} else if !isByClient(s.Key) {
		errs = append(errs, pipe.PlanOf(s.Key).Faults())
	}
	for _, text := range s.Rate.faults() {
		fault(text)
	}
	if s.Buckets != nil && s.Name == "" {
		fault("there are Buckets, and no Name for those of this limit")
	}
	switch f, ok := s.Buckets.(interface{ Fault() error }); {
	case s.Buckets == nil: // in memory
	case call.IsNil(s.Buckets):
		fault("the Buckets are a nil pointer")
	case ok:
		errs = append(errs, f.Fault())
	}
	return errors.Join(errs...)
}

type limitBy struct {
	spec     LimitBySpec
	byClient bool
	prefix   string       // of keys of the Buckets of the spec
	buckets  *buckets     // nil with those of the spec
	fields   *limitFields // nil if clients are told nothing
}

// A decision is what is known of a call before it is made.
type decision struct {
	Grant
	known  bool // else the buckets have failed, and the call passes
	shared bool // the bucket is that of other keys too
}

// decide takes a call from its bucket, or returns why the call is refused.
func (l *limitBy) decide(ctx context.Context, req *proxy.Request) (decision, error) {
	if err := ctx.Err(); err != nil {
		return decision{}, &proxy.Error{Op: "limit", Err: err}
	}
	d, err := l.ask(ctx, req)
	if err != nil || d.OK || !d.known {
		return d, err
	}
	why := ""
	if d.shared {
		why = "all buckets are in use, and this one is shared"
	}
	pipe.Note(ctx, "limited", why)
	return d, l.refusal(d.Grant)
}

func (l *limitBy) refusal(g Grant) error {
	h := http.Header{}
	if g.After > 0 {
		h["Retry-After"] = []string{seconds(g.After)}
	}
	if l.fields != nil {
		h[rateLimitPolicy], h[rateLimit] = []string{l.fields.policy}, []string{l.fields.state(g)}
	}
	return &proxy.Error{Status: http.StatusTooManyRequests, Op: "limit", Err: ErrLimited, Header: h}
}

// ask asks the bucket of a call.
func (l *limitBy) ask(ctx context.Context, req *proxy.Request) (decision, error) {
	if l.byClient && l.buckets != nil {
		addr, _ := clientOf(req)
		key := [17]byte{16: byte(addr.BitLen())} // no address is not the network ::
		bytes := addr.As16()
		copy(key[:], bytes[:])
		return l.take(l.buckets.hashOf(key[:])), nil
	}
	key, err := keyFor(ctx, "limit", l.spec.Key, req)
	switch {
	case err != nil:
		return decision{}, err
	case l.buckets == nil:
		return l.elsewhere(ctx, key)
	}
	return l.take(l.buckets.hash(key)), nil
}

func (l *limitBy) take(key keyHash) decision {
	g, shared := l.buckets.take(key)
	return decision{Grant: g, known: true, shared: shared}
}

// elsewhere asks the Buckets of the spec.
func (l *limitBy) elsewhere(ctx context.Context, key string) (decision, error) {
	g, err := l.guarded(ctx, l.prefix+key)
	switch {
	case ctx.Err() != nil:
		return decision{}, &proxy.Error{Op: "limit", Err: ctx.Err()}
	case err == nil:
		return decision{Grant: g, known: true}, nil
	}
	failure := &proxy.Error{Status: http.StatusServiceUnavailable, Op: "limit", Err: fmt.Errorf("%w: %w", ErrLimitStore, err)}
	if l.spec.Open {
		call.Report(ctx, failure)
		return decision{}, nil
	}
	pipe.Note(ctx, "limited", ErrLimitStore.Error())
	return decision{}, failure
}

// guarded calls Take. A panic is its error.
func (l *limitBy) guarded(ctx context.Context, key string) (g Grant, err error) {
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
	}()
	g, err = l.spec.Buckets.Take(ctx, key, l.spec.Rate)
	returned = true
	return g, call.Sound(err)
}
