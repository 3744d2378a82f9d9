package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Allow returns a decorator that lets a request pass if every rule returns nil:
//
//	auth.Allow(auth.Scope("orders:write"), ownAccount)
//
// The rules are asked in the order given, and the first error refuses the request without calling next. The
// refusal is a [*proxy.Error] with the status of that error. A rule of this package answers 401 if there is
// no caller, and 403 if the caller may not make the request. An error without a status from any other rule
// is 403, and the refusal then wraps [ErrDenied]. A panic is 500.
//
// A rule of your own may block, or change what it gets. So it runs on a goroutine of its own, with a copy
// of the request that has no Body, and the call does not wait for it beyond its context. In such a rule
// [proxy.Request.Document] works only if the body can be replayed, which is not the case in the Guards of
// an endpoint. If [proxy.DefaultMaxAbandoned] calls of such rules are still running, the next one is
// refused with 503. A nil caller does not refuse by itself: a rule of your own must look at req.Caller.
//
// The decorator is safe for concurrent use if the rules are. These are faults in the plan: no rules, a nil
// rule, and a rule without names.
func Allow(rules ...Rule) proxy.Decorator {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "allow", Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller | pipe.Validates}
	var details []string
	var errs []error
	if len(rules) == 0 {
		errs = append(errs, errors.New("auth: Allow: there are no rules"))
	}
	a := &allow{bound: call.NewBound(0)}
	for i, rule := range rules {
		if rule == nil {
			errs = append(errs, fmt.Errorf("auth: Allow: rule %d is nil", i+1))
			continue
		}
		known, err := rule.described()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("auth: Allow: rule %d (%s): %w", i+1, known, err))
		case known == "":
			known = pipe.FuncName(rule)
			step.Effects |= pipe.Opaque
			rule = a.apart(rule)
		}
		a.rules, details = append(a.rules, rule), append(details, known)
	}
	step.Detail, step.Err = strings.Join(details, ", "), errors.Join(errs...)
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := a.refusal(ctx, req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// allow is one Allow.
type allow struct {
	rules []Rule
	bound *call.Bound
}

// apart returns a rule that is code of a user as one that can be called like ours.
func (a *allow) apart(rule Rule) Rule {
	return func(ctx context.Context, req *proxy.Request) error {
		own := copyOf(req)
		_, err := call.Guard(ctx, a.bound, nil, func() (struct{}, error) { return struct{}{}, rule(ctx, own) })
		return err
	}
}

// refusal returns why a request is refused, or nil.
func (a *allow) refusal(ctx context.Context, req *proxy.Request) error {
	if err := ctx.Err(); err != nil {
		return &proxy.Error{Op: "allow", Err: err}
	}
	for _, rule := range a.rules {
		if err := rule(ctx, req); err != nil {
			return denied(ctx, err)
		}
	}
	return nil
}

// denied returns the refusal for the error of a rule.
func denied(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &proxy.Error{Op: "allow", Err: ctx.Err()}
	}
	e := &proxy.Error{Status: proxy.StatusOf(err), Op: "allow", Err: err}
	switch {
	case err == call.ErrAbandoned:
		e.Status = http.StatusServiceUnavailable
	case e.Status == http.StatusBadGateway, e.Status == proxy.StatusClientGone: // no upstream was asked, and no client is gone
		e.Status = http.StatusForbidden
	}
	if e.Status == http.StatusForbidden && !call.Is(err, ErrDenied) {
		e.Err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return e
}
