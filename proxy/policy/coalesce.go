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

// A CoalesceSpec describes a [Coalesce]. The zero value is ready to use.
type CoalesceSpec struct {
	// Name is the name of the step in the plan.
	Name string

	// Key says what of the client tells answers apart, such as its language or who it is. Its
	// string stands in the key of a call for what counts of the client if Key is nil. Everything
	// else counts with any Key; see [Coalesce].
	Key Key

	// MaxKeys is how many calls are shared at a time, and how many keys are left alone at a time.
	// 0 is 10,000, and a negative MaxKeys is no limit. A call above the limit is not shared, and of
	// the keys that are left alone the oldest goes.
	MaxKeys int

	// MaxShare is the size of the largest Document that is shared, in bytes. 0 is 1 MiB, and a
	// negative MaxShare is no limit.
	MaxShare int
}

const (
	defaultCoalesceKeys  = 10_000
	defaultCoalesceShare = 1 << 20

	// leftAlone is how long calls are not shared after an answer that must not be.
	leftAlone = 10 * time.Second
)

// Coalesce returns a decorator that has calls with the same key at the same time share one call of
// next. A thousand callers that ask for the same thing make one call. Nothing is kept once that call
// has ended; for that there is a cache. RFC 9111, section 4, calls this collapsing requests.
//
// # Which calls
//
// Calls are shared if the method is GET or HEAD and there is neither a body nor a change of
// protocols. All others pass. If the plan of next says that a leaf is not idempotent, or that the
// answer is always a stream, nothing is shared, and the plan of Coalesce says so.
//
// # The key
//
// The key is made of the method, scheme, host, path, pattern, query, params, and all of
// Request.Upstream, where the credentials are. By default it also has those of the client's headers
// that reach something inside, as the plan of next says: what backend.Spec.Headers names of each
// upstream; see pipe.Step.Takes. If a function is inside that the plan does not show, it might ask
// for anything. Then all of Request.Header counts, the address of the client, its TLS certificate,
// and Request.Caller, so behind an endpoint only calls of one client are the same. A Key names what
// counts instead:
//
//	policy.Coalesce(policy.CoalesceSpec{Key: language})
//
// If a Key leaves out something that an upstream gets from Header, or by which a function inside decides,
// one client gets the answer of another. If a step inside decides by the caller, Request.Caller counts with
// any Key, but the address does not. Values of the context never count unless Key adds them. An error of
// Key refuses the call, as in [LimitBy], and a panic of it reaches the caller.
//
// # The shared call
//
// The call has the values of its first caller's context, such as the trace and the [proxy.Report]
// hook, a copy of the first caller's request, and that caller's deadline. No informational answer
// of it reaches a client. It runs at its own speed: no caller waits for another one. A caller that
// leaves does not end it for the others, and the last one to leave cancels it. A callee that
// ignores its context is then abandoned, as [proxy.Hold] describes.
//
// If the call has failed at its deadline, callers with more time share one more call, with the
// deadline of the one that has most. No caller waits for a third one.
//
// # The answer
//
// Each caller gets a response with headers of its own, and the same Document, which nobody can
// change. Errors are shared too, and must not be changed. A panic or runtime.Goexit inside is an
// error of all callers that wraps a [*pipe.PanicError].
//
// An answer that must not be shared goes to one caller: a stream, an answer with Set-Cookie, with
// "Vary: *", or with private or no-store in Cache-Control, and one above MaxShare. The others then
// call next at once, not one after the other. For the next 10 s no call with that key is shared. Of
// a decoded answer, Origin counts too. A merge has none: what forbids sharing in one of its parts is
// not seen outside of it, so Coalesce belongs around upstreams.
//
// # State
//
// Each decorated proxy has its own calls, even if several are decorated with the same value. It is safe for
// concurrent use. What is wrong with the Key is a fault in the plan. So is a step inside that finds out who
// the caller is and, without a Key, one that decides by the caller or the client, such as [TakeDeadline].
func Coalesce(s CoalesceSpec) proxy.Decorator {
	if s.Key != nil {
		if err := pipe.PlanOf(s.Key).Faults(); err != nil {
			return proxy.Fault(err)
		}
	}
	if s.MaxKeys == 0 {
		s.MaxKeys = defaultCoalesceKeys
	}
	if s.MaxShare == 0 {
		s.MaxShare = defaultCoalesceShare
	}
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		plan := pipe.PlanOf(next)
		step := pipe.Step{Mark: mark.Ours(), Kind: "coalesce", Name: s.Name, Source: source, Acts: pipe.Both}
		if why := neverCoalesced(plan); why != "" {
			step.Detail, step.Effects = "never: "+why, pipe.CallsOnce|pipe.PassesOn
			return pipe.Describe(passes(next), step, next)
		}
		step.Err = s.fault(plan)
		// Caches, because a caller may get what another one was answered. It may have waited for
		// that first, for as long as next takes.
		step.Effects = pipe.CallsOnce | pipe.Caches | pipe.Keeps | pipe.Stateful
		step.Waits = -1
		taken := call.Takes(plan)
		step.Detail = s.detail(&step, taken)
		if !step.Effects.Has(pipe.Opaque) { // else the Key may wait although it must not
			step.Effects |= pipe.HonoursContext
		}
		c := &coalesce{spec: s, next: next, taken: taken, byCaller: call.Any(plan, pipe.ReadsCaller), flights: map[flightKey]*flight{}}
		if !plan.HonoursContext() {
			c.next = held("coalesce", next)
		}
		c.alone.Init(s.MaxKeys, leftAlone)
		step.State = c
		return pipe.Describe(c.call, step, next)
	}
}

// neverCoalesced returns why no call of a pipe is ever shared, or "".
func neverCoalesced(plan *pipe.Step) string {
	if _, never := call.Repeatable(plan); never != nil {
		return never.Title() + " is not idempotent"
	}
	if call.AlwaysStreams(plan) {
		return "the answers are streams"
	}
	return ""
}

// passes returns next behind a check that the call has not ended.
func passes(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		if err := ctx.Err(); err != nil {
			return nil, &proxy.Error{Op: "coalesce", Err: err}
		}
		return next(ctx, req)
	}
}

// fault returns why calls of a pipe cannot be shared, or nil.
func (s CoalesceSpec) fault(plan *pipe.Step) error {
	where := "policy: Coalesce"
	if s.Name != "" {
		where += " (" + s.Name + ")"
	}
	err := call.ByCaller(plan, pipe.Authenticates, where, "put it outside")
	if s.Key == nil {
		err = errors.Join(err, call.ByCaller(plan, pipe.ReadsCaller|pipe.ReadsClient, where, "put it outside, or set Key"))
	}
	return err
}

// detail returns what the plan shows, and adds to step what the plan of the Key says.
func (s CoalesceSpec) detail(step *pipe.Step, taken call.Taken) string {
	var notes []string
	switch {
	case s.Key != nil:
		notes = append(notes, "by "+keyStep(step, s.Key))
	case taken.Hidden:
		notes = append(notes, "by client and header")
	case taken.All:
		notes = append(notes, "by header")
	case len(taken.Names) > 0:
		notes = append(notes, "by "+strings.Join(taken.Names, ", "))
	}
	if s.MaxKeys > 0 {
		notes = append(notes, fmt.Sprintf("%d keys", s.MaxKeys))
	} else {
		notes = append(notes, "any number of keys")
	}
	if s.MaxShare > 0 {
		notes = append(notes, fmt.Sprintf("up to %d bytes", s.MaxShare))
	} else {
		notes = append(notes, "any size")
	}
	return strings.Join(notes, ", ")
}

func (c *coalesce) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "coalesce", Err: err}
	}
	if !mayShare(req) {
		return c.next(ctx, req)
	}
	key, err := c.keyOf(ctx, req)
	if err != nil {
		return nil, err
	}
	me := c.join(ctx, key)
	if me == nil {
		return c.next(ctx, req)
	}
	return me.wait(ctx, req)
}

// mayShare reports whether a call may have the answer of another one.
func mayShare(req *proxy.Request) bool {
	safe := req.Method == http.MethodGet || req.Method == http.MethodHead
	return safe && req.Upgrade == "" && (req.Body == nil || req.Body == http.NoBody)
}

// shareable reports whether several callers may have an answer.
func (s CoalesceSpec) shareable(res *proxy.Response) bool {
	if open(res) || s.MaxShare > 0 && res.Document.Size() > s.MaxShare {
		return false
	}
	for _, h := range [...]http.Header{res.Header, res.Origin} { // the first has only what clients get
		if len(h["Set-Cookie"]) > 0 || lists(h["Cache-Control"], "private", "no-store") || lists(h["Vary"], "*") {
			return false
		}
	}
	return true
}

// lists reports whether one of the names is in a field that is a list. What follows a "=" is the
// value of a directive. A name within a quoted string counts too, which only shares less.
func lists(field []string, names ...string) bool {
	for _, line := range field {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, "=")
			item = strings.Trim(item, " \t\"")
			for _, name := range names {
				if strings.EqualFold(item, name) {
					return true
				}
			}
		}
	}
	return false
}
