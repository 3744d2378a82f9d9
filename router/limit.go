package router

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Limit returns a middleware that refuses requests by the limits of package policy. It is for handlers that
// are not endpoints, such as files, or for a whole router:
//
//	r.Use(router.Client(trusted...), router.Limit(policy.LimitBy(policy.ByClient, policy.PerSecond(50))))
//
// The first limit is the outermost. The limits are asked before the handler is called. Their request has
// the method, path, host, scheme, query and header of the client, its address by [endpoint.ClientOf], and
// ContentLength, but no Body, Params or Caller. A refusal is answered by [endpoint.WriteError], with its
// Retry-After. What a limit tells clients, such as RateLimit, is in each answer, before what a limit of an
// endpoint tells.
//
// The limits must decide before the call, as policy.Limit, policy.LimitBy and policy.Quota do. A limit that
// waits for the end of the call, as policy.InFlight does, limits nothing here: use [InFlight]. If a key
// function panics, the panic goes on, and the handler is not called.
//
// The state of a limit belongs to its decorator, as package policy says. These are faults in the plan: what
// is wrong with a limit, a limit by caller, because nobody knows the caller before the endpoint, and no
// limits at all.
func Limit(limits ...proxy.Decorator) func(http.Handler) http.Handler {
	handler := pipe.Describe(pass, pipe.Step{Mark: mark.Borrows(), Kind: "handler", // it may find out who the caller is
		Effects: pipe.Terminal | pipe.HonoursContext | pipe.Authenticates})
	p := handler.With(limits...)
	plan := pipe.PlanOf(p)
	var faults []error
	if err := plan.Faults(); err != nil {
		faults = append(faults, err)
	}
	step := pipe.Step{Kind: kindLimit, Acts: pipe.Both}
	var notes []string
	for inner := range plan.All() {
		if !inner.Effects.Has(pipe.Terminal) {
			step.Effects |= inner.Effects & (pipe.Stateful | pipe.ReadsCaller | pipe.ReadsClient | pipe.Opaque)
			notes = append(notes, strings.TrimSpace(inner.Name+" "+inner.Detail))
		}
	}
	if len(notes) == 0 {
		faults = append(faults, errors.New("router: Limit: there is no limit"))
	}
	step.Detail = strings.Join(notes, "; ")
	return described(step, faults, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		var passed bool
		res, err := p(context.WithValue(r.Context(), passKey{}, &passed), limited(r))
		if err == nil && (res == nil || !passed) {
			err = &proxy.Error{Status: http.StatusInternalServerError, Op: "limit", Err: errNotPassed}
		}
		if err != nil {
			endpoint.WriteError(w, r, err)
			return
		}
		h := w.Header()
		for name, values := range res.Header {
			h[name] = append(h[name], values...)
		}
		_ = res.Close()
		next.ServeHTTP(w, r)
	})
}

const kindLimit = "limit"

var errNotPassed = errors.New("a limit has answered the request itself")

type passKey struct{}

// pass stands for the handler: it notes that the limits have let a request through.
func pass(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	*ctx.Value(passKey{}).(*bool) = true
	return &proxy.Response{Header: http.Header{}}, nil
}

// limited returns what limits are asked with.
func limited(r *http.Request) *proxy.Request {
	client := endpoint.ClientOf(r)
	req := &proxy.Request{Method: r.Method, Path: r.URL.EscapedPath(), Host: client.Host, Scheme: client.Scheme, Remote: client.Addr,
		TLS: r.TLS, Header: r.Header, Upstream: http.Header{}, RawQuery: r.URL.RawQuery, ContentLength: r.ContentLength}
	if req.Query = (url.Values{}); r.URL.RawQuery != "" {
		req.Query = r.URL.Query()
	}
	return req
}
