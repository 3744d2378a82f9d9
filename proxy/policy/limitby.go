package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrLimitStore is why [LimitBy] refuses a call if its Buckets fail, and why [Quota] does if its Quotas
// fail. It comes in a [*proxy.Error] of status 503.
var ErrLimitStore = errors.New("the store of the limit has failed")

// DefaultMaxKeys is how many keys a [LimitBy] or a [Quota] keeps apart by default.
const DefaultMaxKeys = 100_000

// A LimitBySpec describes a [LimitBy].
type LimitBySpec struct {
	// Name is the name of the limit in the plan and in the header fields, where "" is "default". An answer
	// should have each name once. A character that is not printable ASCII is a fault in the plan.
	Name string

	Key  Key  // whose bucket a call takes from; nil is a fault in the plan
	Rate Rate // of each bucket; the zero Rate is a fault in the plan

	// Tiers are rates by name, for callers with a rate of their own. Tier returns the name of the caller's
	// tier; for any other result, such as "", Rate applies. The caller is nil if the request has none, and
	// must not be changed. Tier must not wait, and must be safe for concurrent use. If it panics, the panic
	// reaches the caller of the proxy, and next is not called. These are faults in the plan: Tiers without
	// Tier, Tier without Tiers, and a tier without a name or a rate.
	//
	// A key has a bucket in each tier that it has been in. If a key changes its tier, it finds the bucket
	// of the new tier as it has left it. So changing back and forth gives a key no more than the rates of
	// the tiers together.
	Tiers map[string]Rate
	Tier  func(*proxy.Caller) string

	// MaxKeys is how many keys have a bucket of their own at a time, in memory and in each tier. Each takes
	// at most 64 bytes. 0 is [DefaultMaxKeys], and a negative MaxKeys is no limit.
	MaxKeys int

	// OmitFields leaves RateLimit and RateLimit-Policy out of answers and refusals.
	OmitFields bool

	// Buckets is where several processes share the buckets. It needs a Name, because it may hold other
	// limits: limits of the same Name and Rate share their buckets. nil is the memory of this process.
	Buckets Buckets

	// Open lets a call pass if the Buckets fail to decide, and reports the failure; see [proxy.Report].
	// Otherwise such a call is refused with status 503.
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

// A Grant is what a bucket, or the count of a [Quota], says to a call.
type Grant struct {
	OK        bool          // the call may pass, and was counted
	Remaining int           // how many more calls could pass now, or units
	After     time.Duration // until the next call can pass; 0 if one can now
	Full      time.Duration // until as many calls as the burst can pass at once
}

// LimitBy returns a decorator that limits the calls of each key, such as a client, to a rate. A call
// above the rate is refused at once and next is not called:
//
//	items.With(policy.LimitBy(policy.ByClient, policy.PerSecond(5)))
//
// The key is [ByClient], [ByCaller], [ByParam] or a function. The refusal is a [*proxy.Error] of
// status 429 that wraps [ErrLimited] and has a Retry-After, in seconds. If the context of a call has
// ended, the call does not count. A panic of the key function reaches the caller, and next is not
// called.
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
// q is the burst, and w the seconds in which as much comes back. r is how many more calls could pass now,
// and t the seconds until that is q again or, if r is 0, until it is 1. The fields of a LimitBy or [Quota]
// inside come after those of this one. What an upstream sends under these names or their twins is about its
// own limits, and is dropped. Errors other than the refusal have no fields. No partition key (pk) is sent,
// because it would tell which clients are the same caller. LimitBySpec.OmitFields leaves the fields out;
// they cost a call two allocations.
//
// # State
//
// The buckets belong to the returned value, which is safe for concurrent use: proxies decorated with it
// share them. [LimitByWith] has more settings, such as a limit that several processes share. What is wrong
// with the key or the rate is a fault in the plan.
func LimitBy(key Key, r Rate) proxy.Decorator { return LimitByWith(LimitBySpec{Key: key, Rate: r}) }

// LimitByWith is [LimitBy] with a name, tiers, other buckets, or without header fields.
func LimitByWith(s LimitBySpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	if s.MaxKeys == 0 {
		s.MaxKeys = DefaultMaxKeys
	}
	s.Tiers = maps.Clone(s.Tiers)
	l := &limitBy{spec: s, kind: kindOf(s.Key), began: time.Now(), rate: s.tiered("", s.Rate), tiers: map[string]*tieredRate{}}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "limit", Name: s.Name, Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: l}
	notes := []string{s.Rate.String(), "by " + keyStep(&step, s.Key)}
	for _, name := range slices.Sorted(maps.Keys(s.Tiers)) {
		l.tiers[name] = s.tiered(name, s.Tiers[name])
		notes = append(notes, name+" "+s.Tiers[name].String())
	}
	if s.Tier != nil {
		notes = append(notes, tiersBy(&step, s.Tier))
	}
	notes = append(notes, countsIn(&step, "buckets", s.Buckets, s.Open, s.MaxKeys)...)
	if s.OmitFields {
		notes = append(notes, "no fields")
	} else {
		step.Acts = pipe.Both
	}
	step.Detail = strings.Join(notes, ", ")
	return limiting(step, s.where(), l.kind == keyCaller || s.Tier != nil, l.decide)
}

func (s *LimitBySpec) where() string { return placed("policy: LimitBy", s.Name) }

// fault returns what is wrong with the spec, joined, or nil.
func (s *LimitBySpec) fault() error {
	errs := limitFaults(s.where(), s.Name, s.Key)
	for _, text := range s.Rate.faults() {
		errs = append(errs, fmt.Errorf("%s: %s", s.where(), text))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tiers)) {
		for _, text := range s.Tiers[name].faults() {
			errs = append(errs, fmt.Errorf("%s: tier %q: %s", s.where(), name, text))
		}
	}
	errs = append(errs, tierFaults(s.where(), s.Tiers, s.Tier)...)
	if s.Buckets != nil {
		errs = append(errs, storeFaults(s.where(), "Buckets", s.Name, s.Buckets)...)
	}
	return errors.Join(errs...)
}

type limitBy struct {
	spec  LimitBySpec
	kind  keyKind
	began time.Time
	rate  *tieredRate
	tiers map[string]*tieredRate
}

// A tieredRate is what belongs to one rate: that of the limit, or of a tier.
type tieredRate struct {
	rate    Rate
	prefix  string       // of keys of the Buckets of the spec
	buckets *buckets     // nil with those of the spec
	gcra    gcra         // how it counts in them
	fields  *limitFields // nil if clients are told nothing
}

// tiered returns that of a tier; "" is the limit itself.
func (s *LimitBySpec) tiered(tier string, r Rate) *tieredRate {
	t := &tieredRate{rate: r.withDefaults(), gcra: newGCRA(r)}
	what := t.rate.String()
	if tier != "" {
		what += " " + tier
	}
	t.prefix = s.Name + "\x00" + what + "\x00" // no Name, Rate or tier has that character
	if s.Buckets == nil {
		t.buckets = newBuckets(s.MaxKeys)
	}
	if !s.OmitFields {
		t.fields = newLimitFields(s.Name, t.rate.Burst, "", time.Duration(t.gcra.fill))
	}
	return t
}

// of returns the rate that applies to a caller.
func (l *limitBy) of(c *proxy.Caller) *tieredRate {
	if l.spec.Tier == nil {
		return l.rate
	}
	if t, ok := l.tiers[l.spec.Tier(c)]; ok {
		return t
	}
	return l.rate
}

// decide takes a call from its bucket, or returns why the call is refused.
func (l *limitBy) decide(ctx context.Context, req *proxy.Request) (decision, error) {
	if err := ctx.Err(); err != nil {
		return decision{}, &proxy.Error{Op: "limit", Err: err}
	}
	t := l.of(req.Caller)
	d := decision{fields: t.fields}
	if t.buckets != nil {
		key, err := t.buckets.keyOf(ctx, "limit", l.spec.Key, l.kind, req)
		if err != nil {
			return d, err
		}
		d.known = true
		d.Grant, d.shared = t.buckets.take(&t.gcra, key, int64(time.Since(l.began)), 1)
		return d, d.refusal(ctx, "limit")
	}
	key, err := keyFor(ctx, "limit", l.spec.Key, req)
	if err != nil {
		return d, err
	}
	err = d.ask(ctx, "limit", l.spec.Open, func() (Grant, error) { return l.spec.Buckets.Take(ctx, t.prefix+key, t.rate) })
	return d, err
}
