package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Require returns a decorator that lets a request pass only if its caller is verified:
//
//	auth.Require(tokens, auth.APIKeys(keys))
//
// It asks the authenticators in the order given. The first that finds a credential of its kind decides, and
// no other is asked. [endpoint.Identify] then sets the caller of the request. So if a request has
// credentials of two kinds, the kind that comes first in the list decides. A bad credential is refused even
// if the request has a good one of another kind.
//
// # Refusals
//
// Each refusal is a [*proxy.Error], and next is not called:
//
//   - 401 for a request without credentials; the error wraps [ErrNoCredentials] and has the challenges
//     of all authenticators, each as a line of WWW-Authenticate;
//   - the status of an authenticator's error, if it is from 400 to 500; a 401, for a bad credential,
//     has the challenge of that authenticator;
//   - 503 for any other error, as when a store is down; it wraps [ErrUnavailable];
//   - 400 for two lines of Authorization; it wraps [ErrAuthorization].
//
// If an authenticator panics, the request is refused with 500. An authenticator that runs code of yours, such
// as a key store (pipe.Opaque in the plan), runs on a goroutine of its own, with a copy of the request that
// has no Body, and the call does not wait for it beyond its context. If [proxy.DefaultMaxAbandoned] calls
// of it are still running, the next one is refused with 503.
//
// Require does not remove credentials from the request. An upstream gets a credential only if its Spec
// names the header.
//
// The decorator is safe for concurrent use. These are faults in the plan: no authenticators, a nil one, and
// any fault of an authenticator.
func Require(authenticators ...Authenticator) proxy.Decorator {
	return newGate("require", authenticators)
}

// Optional is [Require] for a route where credentials are optional: a request without any passes, with a
// nil Caller. A credential that is there must still be valid, and a bad one is refused as by Require. The
// plan shows it as a step "optional" that authenticates as Require does.
func Optional(authenticators ...Authenticator) proxy.Decorator {
	return newGate("optional", authenticators)
}

// newGate returns the decorator of a kind.
func newGate(kind string, authenticators []Authenticator) proxy.Decorator {
	g := &gate{required: kind == "require"}
	step := pipe.Step{Mark: mark.Borrows(), Kind: kind, Source: pipe.Here(), Acts: pipe.In, Layout: pipe.Serial,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.WritesRequest | pipe.Authenticates}
	var errs []error
	if len(authenticators) == 0 {
		errs = append(errs, fmt.Errorf("auth: %s: there are no authenticators", kind))
	}
	var inner []pipe.Any
	for i, a := range authenticators {
		if call.IsNil(a) {
			errs = append(errs, fmt.Errorf("auth: %s: authenticator %d is nil", kind, i+1))
			continue
		}
		c := newCheck(a, i > 0)
		step.Waits = waits(step.Waits, c.waits)
		g.checks, inner = append(g.checks, c), append(inner, c.verify)
	}
	step.Err = errors.Join(errs...)
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			caller, err := g.callerOf(ctx, req)
			if err != nil {
				return nil, err
			}
			if caller != nil {
				endpoint.Identify(ctx, req, caller)
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, append(inner[:len(inner):len(inner)], next)...)
	}
}

// waits adds two times of waiting, of which a negative one has no bound.
func waits(a, b time.Duration) time.Duration {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}

// A gate is one Require or Optional.
type gate struct {
	checks   []check
	required bool
}

// callerOf returns who makes a request, nil for nobody, or why it is refused.
func (g *gate) callerOf(ctx context.Context, req *proxy.Request) (*proxy.Caller, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "auth", Err: err}
	}
	if len(req.Header["Authorization"]) > 1 {
		return nil, &proxy.Error{Status: http.StatusBadRequest, Op: "auth", Err: ErrAuthorization}
	}
	aside := call.Aside(ctx)
	for i := range g.checks {
		switch v, err := g.checks[i].verify(aside, req); {
		case err != nil:
			return nil, g.checks[i].refusal(ctx, err)
		case v.caller != nil:
			return v.caller, nil
		}
	}
	if !g.required {
		return nil, nil
	}
	e := &proxy.Error{Status: http.StatusUnauthorized, Op: "auth", Err: ErrNoCredentials, Header: http.Header{}}
	for i := range g.checks {
		g.checks[i].challenge(ctx, e.Header, nil)
	}
	return nil, e
}

// A check is one authenticator of a gate.
type check struct {
	authenticator Authenticator
	verify        pipe.Pipe[*proxy.Request, verdict]
	waits         time.Duration
	apart         bool // code of a user is in it
}

// A verdict is what an authenticator says of a request. It is a value, because a pipe never answers
// with neither a response nor an error.
type verdict struct{ caller *proxy.Caller } // nil if the request has no credential of its kind

func newCheck(a Authenticator, skippable bool) check {
	step := pipe.Step{Kind: "authenticator", Name: fmt.Sprintf("%T", a)}
	if described, ok := a.(interface{ Plan() pipe.Step }); ok {
		step = described.Plan()
	}
	if f, ok := a.(interface{ Fault() error }); ok {
		step.Err = errors.Join(step.Err, f.Fault())
	}
	if step.Mark = mark.Borrows(); !mark.On(a) {
		step.Mark, step.Effects = mark.Mark{}, step.Effects|pipe.Opaque
	}
	c := check{authenticator: a, waits: step.Waits, apart: step.Effects.Has(pipe.Opaque)}
	// The step around tells who has authenticated, and how long it waits: this one answers nothing.
	step.Acts, step.Waits = pipe.In, 0
	step.Effects = step.Effects&^(pipe.Authenticates|pipe.Terminal) | pipe.HonoursContext
	if skippable {
		step.Effects |= pipe.Skippable
	}
	ask := func(ctx context.Context, req *proxy.Request) (verdict, error) {
		caller, err := a.Authenticate(ctx, req)
		return verdict{caller}, err
	}
	if bound := call.NewBound(0); c.apart {
		direct := ask
		ask = func(ctx context.Context, req *proxy.Request) (verdict, error) {
			own := copyOf(req)
			return call.Guard(ctx, bound, nil, func() (verdict, error) { return direct(ctx, own) })
		}
	}
	c.verify = pipe.Describe(ask, step)
	return c
}

// copyOf returns a copy of a request for code of a user that may still run when the call has returned.
// It has no Body, because that can be read only once.
func copyOf(req *proxy.Request) *proxy.Request {
	bare := *req
	bare.Body = nil
	own, _ := bare.Clone() // fails only for a Body
	return own
}

// refusal returns why a request is refused whose authenticator has failed with err.
func (c *check) refusal(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &proxy.Error{Op: "auth", Err: ctx.Err()}
	}
	e := &proxy.Error{Status: proxy.StatusOf(err), Op: "auth", Err: err}
	switch {
	case e.Status == http.StatusUnauthorized:
		e.Header = http.Header{}
		c.challenge(ctx, e.Header, err)
	case e.Status == proxy.StatusClientGone, e.Status > http.StatusInternalServerError:
		e.Status, e.Err = http.StatusServiceUnavailable, unavailable(err)
	}
	return e
}

// unavailable returns an error that wraps ErrUnavailable and err.
func unavailable(err error) error {
	if call.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// challenge adds what WWW-Authenticate says to h. A challenge that cannot be made is left out and
// reported: the request is refused in any case.
func (c *check) challenge(ctx context.Context, h http.Header, err error) {
	ask := func() (string, error) { return c.authenticator.Challenge(err), nil }
	var text string
	var bug error
	if c.apart {
		text, bug = call.Guard(ctx, nil, nil, ask)
	} else {
		text, bug = ask()
	}
	switch {
	case bug != nil:
		call.Report(ctx, fmt.Errorf("auth: challenge: %w", bug))
	case text != "" && field.IsValue(text):
		h["Www-Authenticate"] = append(h["Www-Authenticate"], text)
	}
}
