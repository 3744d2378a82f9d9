package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A QuotaSpec describes a [Quota].
type QuotaSpec struct {
	// Name is the name of the quota in the plan and in the header fields, where "" is the name of the
	// Window. An answer should have each name once. A character that is not printable ASCII is a fault in
	// the plan.
	Name string

	Key    Key    // whose quota a call uses; nil is a fault in the plan
	Limit  int    // how many units a key has in a window; less than 1 is a fault in the plan
	Window Window // [Hour], [Day] or [Month]; the zero value is a fault in the plan

	// Location is the time zone of the calendar. nil is UTC.
	Location *time.Location

	// Weight returns how many units a call uses, such as the number of rows that it asks for. It must not
	// change the request and must not wait, and must be safe for concurrent use. In the Guards of an
	// endpoint the request has no Body yet; ContentLength is what the client has announced. A call of 0
	// units always passes. A negative weight refuses the call with status 500. If Weight panics, the panic
	// reaches the caller of the proxy. In both cases next is not called. nil is 1 for each call.
	Weight func(req *proxy.Request) int

	// Unit tells clients what the units are (the qu of RateLimit-Policy), such as "content-bytes". "" is
	// not sent, and stands for requests. A character that is not printable ASCII is a fault in the plan.
	Unit string

	// Tiers are limits by name, for callers with a limit of their own. Tier returns the name of the
	// caller's tier; see [LimitBySpec]. What a key has used counts in every tier.
	Tiers map[string]int
	Tier  func(*proxy.Caller) string

	// MaxKeys is how many keys are counted apart at a time, in memory. Each takes at most 64 bytes. 0 is
	// [DefaultMaxKeys], and a negative MaxKeys is no limit.
	MaxKeys int

	// OmitFields leaves RateLimit and RateLimit-Policy out of answers and refusals.
	OmitFields bool

	// Quotas is where the counts are if several processes share them, or if a restart must not forget them.
	// It needs a Name, because it may hold other quotas: quotas of the same Name, Window and Location share
	// their counts. nil is the memory of this process.
	Quotas Quotas

	// Open lets a call pass if the Quotas fail to decide, and reports the failure; see [proxy.Report].
	// Otherwise such a call is refused with status 503.
	Open bool

	// Now is the clock of the calendar. It must be safe for concurrent use. nil is time.Now.
	Now func() time.Time
}

// A Quotas keeps the counts of [Quota] outside the memory of this process. It is safe for concurrent use,
// and returns when ctx ends. If it has a method Fault() error, the error that method returns is a fault in
// the plan.
type Quotas interface {
	// Spend adds n units, 1 or more, to what a key has used in a window, unless the sum would be above
	// limit. The key is any string. windows has the window of the present time by the clock of this
	// process, and the windows before and after it. A Quotas with a clock of its own uses that clock, and
	// fails if its time is in none of the three.
	//
	// In the Grant, Remaining is how many units are left. After is how long the window still lasts if the
	// call may not pass or no unit is left, and Full is how long it lasts in any case.
	Spend(ctx context.Context, key string, n, limit int, windows [3]Period) (Grant, error)
}

// Quota returns a decorator that limits how much each key, such as a caller, may use in a window of the
// calendar. A call above the limit is refused at once, and next is not called:
//
//	reports.With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 10_000, Window: policy.Month}))
//
// The refusal is a [*proxy.Error] of status 429 that wraps [ErrLimited]. Its Retry-After is the seconds
// until the window ends. A call whose weight is above the limit itself gets no Retry-After, because it can
// never pass. A refused call uses nothing. A call that passes uses its weight, whatever becomes of it. If
// the context of a call has ended, it does not count. At the end of a window all callers may come at once;
// for a rate without windows use [LimitBy].
//
// # Windows
//
// A window begins and ends by the calendar of the Location, even when the clocks there change: a day has 23
// to 25 hours. If the clock of the process is set back, the current window stays until the clock is in it
// again, but at most for its usual length. So nobody gets a window twice.
//
// # Many keys
//
// Nothing that was used is forgotten before the window ends. If MaxKeys keys have used some, further keys
// share the counts of others, some dozens of keys each. So a flood of keys gives nobody more than the
// limit. Without Quotas, a restart forgets all counts.
//
// # What clients are told
//
// Answers and refusals have the fields RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-11, as [LimitBy] has them:
//
//	RateLimit-Policy: "month";q=10000;w=2592000
//	RateLimit: "month";r=9999;t=86399
//
// q is the limit, w the seconds of the window, r the units that are left, and t the seconds until the
// window ends.
//
// # State
//
// The counts belong to the returned value, which is safe for concurrent use: proxies decorated with it
// share them. What is wrong with the spec is a fault in the plan. So is a step inside that authenticates,
// if the key is [ByCaller] or if there are Tiers.
func Quota(s QuotaSpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	if s.MaxKeys == 0 {
		s.MaxKeys = DefaultMaxKeys
	}
	if s.Location == nil {
		s.Location = time.UTC
	}
	q := &quota{spec: s, kind: kindOf(s.Key), tiers: map[string]*unitsLimit{}}
	q.add(s.Limit)
	for name, limit := range s.Tiers {
		q.tiers[name] = q.add(limit)
	}
	if s.Quotas == nil {
		q.counts = newBuckets(s.MaxKeys)
	}
	q.calendar.window, q.calendar.loc, q.calendar.clock = s.Window, s.Location, s.Now
	q.calendar.keeps, q.calendar.fields = s.Quotas == nil, q.fieldsOf
	q.prefix = s.Name + "\x00" + s.Window.String() + " " + s.Location.String() + "\x00" // no Name has that character
	step := pipe.Step{Mark: mark.Borrows(), Kind: "quota", Name: s.Name, Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: q}
	step.Detail = q.describe(&step)
	return limiting(step, s.where(), q.kind == keyCaller || s.Tier != nil, q.decide)
}

func (s *QuotaSpec) where() string { return placed("policy: Quota", s.Name) }

// fault returns what is wrong with the spec, joined, or nil.
func (s *QuotaSpec) fault() error {
	errs := limitFaults(s.where(), s.Name, s.Key)
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(s.where()+": "+format, args...))
	}
	if s.Limit < 1 || int64(s.Limit) > largest {
		fault("Limit is %d, want 1 to %d", s.Limit, largest)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tiers)) {
		if limit := s.Tiers[name]; limit < 1 || int64(limit) > largest {
			fault("tier %q: the limit is %d, want 1 to %d", name, limit, largest)
		}
	}
	if s.Window < Hour || s.Window > Month {
		fault("the Window is none of Hour, Day and Month")
	}
	if !isPrintable(s.Unit) {
		fault("the Unit has other than printable ASCII characters")
	}
	errs = append(errs, tierFaults(s.where(), s.Tiers, s.Tier)...)
	if s.Quotas != nil {
		errs = append(errs, storeFaults(s.where(), "Quotas", s.Name, s.Quotas)...)
	}
	return errors.Join(errs...)
}

type quota struct {
	spec     QuotaSpec // with the defaults filled in
	kind     keyKind
	calendar calendar
	counts   *buckets // nil with the Quotas of the spec
	prefix   string   // of keys of those
	limits   []*unitsLimit
	tiers    map[string]*unitsLimit
}

// A unitsLimit is a limit of the quota: its own, or that of a tier. It is the meter of its calls.
type unitsLimit struct {
	index int // in quota.limits, and in the fields of a window
	limit int
}

func (q *quota) add(limit int) *unitsLimit {
	l := &unitsLimit{len(q.limits), limit}
	q.limits = append(q.limits, l)
	return l
}

// describe returns the detail of the step, and adds to the step what is known of code of the user.
func (q *quota) describe(step *pipe.Step) string {
	s := &q.spec
	limit := fmt.Sprintf("%d per %s", s.Limit, s.Window)
	if s.Location != time.UTC {
		limit += " in " + s.Location.String()
	}
	notes := []string{limit, "by " + keyStep(step, s.Key)}
	for _, name := range slices.Sorted(maps.Keys(s.Tiers)) {
		notes = append(notes, fmt.Sprintf("%s %d", name, s.Tiers[name]))
	}
	if s.Tier != nil {
		notes = append(notes, tiersBy(step, s.Tier))
	}
	if s.Now != nil {
		step.Effects |= pipe.Opaque
	}
	if s.Weight != nil {
		notes = append(notes, "weight by "+pipe.FuncName(s.Weight))
		step.Effects |= pipe.Opaque
	}
	notes = append(notes, countsIn(step, "counts", s.Quotas, s.Open, s.MaxKeys)...)
	if s.OmitFields {
		notes = append(notes, "no fields")
	} else {
		step.Acts = pipe.Both
	}
	return strings.Join(notes, ", ")
}

// fieldsOf returns what clients are told in a window, for each limit.
func (q *quota) fieldsOf(p Period) []*limitFields {
	fields := make([]*limitFields, len(q.limits))
	name := q.spec.Name
	if name == "" {
		name = q.spec.Window.String()
	}
	for i, l := range q.limits {
		if !q.spec.OmitFields {
			fields[i] = newLimitFields(name, l.limit, q.spec.Unit, p.End.Sub(p.Start))
		}
	}
	return fields
}

// of returns the limit that applies to a caller.
func (q *quota) of(c *proxy.Caller) *unitsLimit {
	if q.spec.Tier != nil {
		if l, ok := q.tiers[q.spec.Tier(c)]; ok {
			return l
		}
	}
	return q.limits[0]
}

// weight returns how many units a call uses.
func (q *quota) weight(req *proxy.Request) (int, error) {
	if q.spec.Weight == nil {
		return 1, nil
	}
	n := q.spec.Weight(req)
	if n < 0 {
		return 0, &proxy.Error{Status: http.StatusInternalServerError, Op: "quota", Err: fmt.Errorf("the weight of the call is %d", n)}
	}
	return n, nil
}

// decide counts a call, or returns why it is refused.
func (q *quota) decide(ctx context.Context, req *proxy.Request) (d decision, err error) {
	if err := ctx.Err(); err != nil {
		return d, &proxy.Error{Op: "quota", Err: err}
	}
	l := q.of(req.Caller)
	n, err := q.weight(req)
	if err != nil {
		return d, err
	}
	now, window := q.calendar.now()
	d.fields, d.never = window.fields[l.index], n > l.limit
	if q.counts != nil {
		key, err := q.counts.keyOf(ctx, "quota", q.spec.Key, q.kind, req)
		if err != nil {
			return d, err
		}
		d.known = true
		d.Grant, d.shared = q.counts.take(l, key, window.number, uint64(n))
		d.Full = window.left(now)
		if !d.OK || d.Remaining == 0 {
			d.After = d.Full
		}
		return d, d.refusal(ctx, "quota")
	}
	key, err := keyFor(ctx, "quota", q.spec.Key, req)
	if err != nil {
		return d, err
	}
	if n == 0 { // it uses nothing that has to be counted
		return d, nil
	}
	err = d.ask(ctx, "quota", q.spec.Open, func() (Grant, error) {
		return q.spec.Quotas.Spend(ctx, q.prefix+key, n, l.limit, window.around)
	})
	return d, err
}

// take counts n units in the window of the number now. A level of an earlier window is empty.
func (l *unitsLimit) take(c *level, now int64, n uint64) Grant {
	if now > c.at {
		*c = level{at: now}
	}
	limit := uint64(l.limit)
	g := Grant{OK: n <= limit && c.debt <= limit-n || n == 0}
	if g.OK {
		c.debt += n
	}
	g.Remaining = int(limit - min(c.debt, limit))
	return g
}

// freshAt returns the number of the next window.
func (l *unitsLimit) freshAt(c level) int64 {
	if c.debt == 0 {
		return c.at
	}
	return c.at + 1
}
