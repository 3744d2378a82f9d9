package idempotency

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

var (
	// ErrKey is why a request is refused if its Idempotency-Key is missing or not valid. It comes in a
	// [*proxy.Error] of status 400.
	ErrKey = errors.New("the request has no valid Idempotency-Key")

	// ErrRunning is why a request is refused while an earlier request with the same key runs. It comes in a
	// [*proxy.Error] of status 409 with a Retry-After.
	ErrRunning = errors.New("a request with this key is running")

	// ErrReused is why a request is refused if its key belongs to another request. It comes in a
	// [*proxy.Error] of status 422.
	ErrReused = errors.New("the key belongs to another request")

	// ErrNotKept is why a request is refused if its key belongs to a request that was executed, but whose
	// answer was not kept. It comes in a [*proxy.Error] of status 409.
	ErrNotKept = errors.New("the request was executed, and its answer was not kept")

	// ErrAnswers is why a request is refused if the Answers fail. It comes in a [*proxy.Error] of status
	// 503.
	ErrAnswers = errors.New("the store of answers has failed")

	// ErrReplayed is the cause of an error that replays the failure of an earlier request. Its status, and
	// what the client is told with it, are those of the first error.
	ErrReplayed = errors.New("the outcome of an earlier request with this key")
)

const (
	// DefaultTTL is how long an answer is kept by default.
	DefaultTTL = 24 * time.Hour

	// DefaultLease is how long a claim outlasts the deadline of its call by default.
	DefaultLease = 10 * time.Second

	// DefaultTimeout is how long a call may take by default if its context has no deadline.
	DefaultTimeout = time.Minute

	// DefaultMaxAnswer is how large a kept answer may be by default: 64 KiB.
	DefaultMaxAnswer = 64 << 10
)

// A Spec describes a [RequireWith].
type Spec struct {
	// Answers is the store of the answers. nil is a fault in the plan.
	Answers Answers

	// TTL is how long an answer is kept; a request that comes later is a new one. 0 is [DefaultTTL], and a
	// negative TTL is a fault in the plan.
	TTL time.Duration

	// Lease is how long a key stays claimed beyond the deadline of its call if the outcome of the call is
	// never kept, because the process has died or the Answers have failed. The next request with the key is
	// then executed. 0 is [DefaultLease], and a negative Lease is a fault in the plan.
	Lease time.Duration

	// Timeout is how long a call may take if its context has no deadline. 0 is [DefaultTimeout], and a
	// negative Timeout is a fault in the plan.
	Timeout time.Duration

	// MaxAnswer is the most bytes that the payload of a kept answer may have, and also the most that its
	// header may have. 0 is [DefaultMaxAnswer], and a negative MaxAnswer is no limit.
	MaxAnswer int
}

// Require returns a decorator that executes a request with an Idempotency-Key once, and answers every
// repeat of it with the answer of the first.
//
// # The key
//
// The header Idempotency-Key must be exactly one String of RFC 9651, such as "8e03978e-40d5" with the
// quotes, of 1 to 255 bytes and without parameters. A request with another value, or without the header, is
// refused with 400 and [ErrKey]. GET, HEAD, OPTIONS and TRACE are safe methods: they pass, with or without
// a key.
//
// A key belongs to the host without its port, the method, the route (Request.Pattern) and the caller
// (Request.Caller) that it came with. Requests without a Caller share their keys. Any client can then get
// the answer to another client's request, if it knows the key and sends the same payload, Authorization and
// certificate, and also the same Cookie if something inside reads cookies. So put a decorator that sets the
// Caller outside; see endpoint.Identify.
//
// Two requests with one key are the same if their path, query, Content-Type, Content-Encoding and body are
// also the same; the SHA-256 of these is kept. If a key comes with another request, that request is refused
// with 422 and [ErrReused].
//
// # Repeats
//
// While the first request runs, a repeat is refused with 409, [ErrRunning] and Retry-After: 1. Later a
// repeat gets the same answer with Idempotent-Replayed: true: the status, the header except Set-Cookie, and
// the payload byte for byte. If the first request has failed, even with a 504, a repeat fails with the same
// status, and the problem has the same members.
//
// Some answers go only to the first client: a stream, an answer whose length is not announced, and one
// above Spec.MaxAnswer. A repeat is then refused with 409 and [ErrNotKept].
//
// # Failures
//
// A key is given back, so that a repeat is executed, only if the call has failed and nothing can have
// happened. That is so if no upstream was reached, because something inside has refused the request, such
// as an open breaker or a limit, or if no upstream could be connected to. Only the leaves of the plan
// count, but not those that only decide: an authenticator, the judge of auth.Ask, the key of a limit. If a
// function of yours around an upstream does more than call it, Require does not see that.
//
// If the Answers fail before the call, the request is refused with 503 and [ErrAnswers], and is not
// executed. If they fail after it was executed, the client gets its answer, and the failure is reported;
// see [proxy.Report]. Require then tries every second to keep the answer, until the Lease is over.
//
// # The call
//
// The call of next outlives its client, but not the deadline of its context. Its context has the values of
// the client's context. next gets a copy of the request, whose body must be replayable; another body is
// refused with [proxy.ErrBodyNotReplayable] and 500. A stream ends with its client. At a deadline the
// client gets its 504 within 50 ms, when a repeat would get the same 504. Calls whose clients have left
// count as abandoned; see [proxy.Hold].
//
// # State
//
// The answers belong to the store: decorators that share it share the keys of equal routes, in one process
// or in several. The decorator is safe for concurrent use. nil answers, and answers with a Fault, are a
// fault in the plan.
func Require(answers Answers) proxy.Decorator { return RequireWith(Spec{Answers: answers}) }

// RequireWith is [Require] with other limits.
func RequireWith(s Spec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	s = s.withDefaults()
	step := pipe.Step{Mark: mark.Ours(), Kind: "idempotency", Detail: s.detail(), Source: pipe.Here(), Acts: pipe.Both,
		Effects: pipe.CallsOnce | pipe.Caches | pipe.Keeps | pipe.Stateful | pipe.NeedsReplay | pipe.Validates | pipe.ReadsCaller | pipe.HonoursContext,
		Waits:   -1, Takes: []string{headerName, "Authorization", "Content-Encoding", "Content-Type"}}
	if w, ok := s.Answers.(interface{ Waits() time.Duration }); ok && mark.On(s.Answers) && w.Waits() >= 0 {
		step.Waits = 2*w.Waits() + grace // before the call and after it
	}
	if reflect.ValueOf(s.Answers).Comparable() {
		step.State = s.Answers
	}
	if !mark.On(s.Answers) {
		step.Effects |= pipe.Opaque
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		plan := pipe.PlanOf(next)
		r := &require{spec: s, next: next, ours: mark.On(s.Answers), bound: call.NewBound(0)}
		if !plan.HonoursContext() {
			r.next = proxy.Hold(0)(next)
		}
		step := step
		if taken := call.Takes(plan); taken.Has("Cookie") {
			r.cookies = true
			step.Takes = append([]string{"Cookie"}, step.Takes...)
		}
		return pipe.Describe(r.call, step, next)
	}
}

func (s Spec) withDefaults() Spec {
	if s.TTL == 0 {
		s.TTL = DefaultTTL
	}
	if s.Lease == 0 {
		s.Lease = DefaultLease
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.MaxAnswer == 0 {
		s.MaxAnswer = DefaultMaxAnswer
	}
	return s
}

// fault returns what is wrong with the spec, joined, or nil.
func (s Spec) fault() error {
	var errs []error
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"TTL", s.TTL}, {"Lease", s.Lease}, {"Timeout", s.Timeout}} {
		if t.d < 0 {
			errs = append(errs, fmt.Errorf("idempotency: Require: %s is %v, want 0 or more", t.name, t.d))
		}
	}
	if call.IsNil(s.Answers) {
		errs = append(errs, errors.New("idempotency: Require: the Answers are nil"))
	} else if f, ok := s.Answers.(interface{ Fault() error }); ok {
		errs = append(errs, f.Fault())
	}
	return errors.Join(errs...)
}

func (s Spec) detail() string {
	notes := []string{"kept for " + s.TTL.String()}
	if s.MaxAnswer > 0 {
		notes = append(notes, fmt.Sprintf("up to %d bytes", s.MaxAnswer))
	} else {
		notes = append(notes, "any size")
	}
	return strings.Join(notes, ", ")
}

// A require is a proxy that executes a request once.
type require struct {
	spec    Spec // with the defaults filled in
	next    proxy.Proxy
	ours    bool        // the Answers are sluice's, and need no guard
	cookies bool        // something inside takes them
	bound   *call.Bound // of calls that outlive their clients
}

func (r *require) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: op, Err: err}
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.next(ctx, req)
	}
	key, err := keyIn(req.Header)
	if err != nil {
		return nil, err
	}
	if r.bound.Full(ctx) {
		return nil, &proxy.Error{Status: http.StatusServiceUnavailable, Op: op, Err: call.ErrAbandoned}
	}
	print, err := r.fingerprint(ctx, req)
	if err != nil {
		return nil, err
	}
	return r.attempt(ctx, req, scope(req, key), print)
}

const (
	op         = "idempotency"
	headerName = "Idempotency-Key"
	replayed   = "Idempotent-Replayed"
)

// refusal returns the error of a request that is not executed. detail is for the client.
func refusal(status int, why error, detail string) *proxy.Error {
	e := &proxy.Error{Status: status, Op: op, Err: why}
	if members, err := document.Of(map[string]string{"detail": detail}); err == nil {
		e.Members = members
	}
	return e
}

// repeat answers a request whose key has a value already.
func (r *require) repeat(ctx context.Context, found []byte, print fingerprint) (*proxy.Response, error) {
	v, err := readValue(found)
	if err != nil {
		return nil, unavailable(fmt.Errorf("the value of the key: %w", err))
	}
	if v.print != print {
		return nil, refusal(http.StatusUnprocessableEntity, ErrReused,
			"The Idempotency-Key was used for another request: another path, query, content type or body. Send a new key with a new request.")
	}
	switch v.kind {
	case kindClaim:
		e := refusal(http.StatusConflict, ErrRunning, "A request with this Idempotency-Key is still running.")
		e.Header = http.Header{"Retry-After": {"1"}}
		return nil, e
	case kindGone:
		return nil, refusal(http.StatusConflict, ErrNotKept,
			"The request with this Idempotency-Key was executed. Its answer was not kept, and it is not executed again.")
	}
	pipe.Note(ctx, "replayed", "")
	return v.replay()
}

// unavailable returns the error of a request whose key cannot be looked up or claimed.
func unavailable(err error) error {
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: op, Err: fmt.Errorf("%w: %w", ErrAnswers, err)}
}
