package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrJudge is why [Ask] refuses a call whose judge gave no verdict. It comes in a [*proxy.Error] of status
// 503.
var ErrJudge = errors.New("the judge gave no verdict")

// Ask returns a decorator that asks a proxy whether a request may pass, as forward authentication
// does:
//
//	judge := backend.Spec{Name: "judge", URL: "http://judge/verify",
//		Headers: []string{"Authorization"}, Expose: []string{"X-User"}}
//	auth.Ask(pipe.Check(backends.New(judge)), "X-User")
//
// The judge gets a GET without a body, with the header, query and params of the client's request; a backend
// sends only those that its Spec names. Conditions and ranges are left out, because they are about the
// answer that the client wants. X-Forwarded-Method and X-Forwarded-Uri tell the judge what the client asked
// for; the query in X-Forwarded-Uri is the one that this process has parsed. These two are in Upstream, so
// they are always sent, and nothing else is in Upstream. The client's body is not read.
//
//   - A complete answer of 2xx lets the request pass.
//   - 401 or 403, as an answer or as an error, refuses the request with that status and with the
//     judge's WWW-Authenticate. The judge's body is dropped. The [*proxy.Error] wraps [ErrDenied].
//   - Anything else, such as a redirect, an error or a panic, refuses the request with 503 and
//     [ErrJudge].
//
// headers names fields of the judge's answer that upstreams get. They are set in Upstream, from the Header
// of the answer or, if it has a document, from its Origin. What the client or code has sent under these
// names, or under twins of them, is removed, even if the answer lacks the field. A value that a header
// cannot hold is 503. A name that code may not set is a fault in the plan, and so is a nil judge.
//
// A backend decodes its answer as JSON and returns only the headers that its Expose names, so name each
// header there too. If the judge answers with another kind of body, such as a page, its backend needs
// Decode: backend.Passthrough.
//
// A judge that may ignore its context runs on a goroutine of its own, as with [proxy.Hold]; limit its time
// with policy.Timeout. Ask does not set Request.Caller. What callers share, such as a cache, stands inside
// Ask. The plan shows the judge.
func Ask(judge proxy.Proxy, headers ...string) proxy.Decorator {
	a := &ask{}
	var errs []error
	for _, name := range headers {
		if err := field.CheckSet(name); err != nil {
			errs = append(errs, fmt.Errorf("auth: Ask: header %q: %w", name, err))
		}
		if key := http.CanonicalHeaderKey(name); !slices.Contains(a.headers, key) {
			a.headers = append(a.headers, key)
		}
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "ask", Detail: strings.Join(a.headers, ", "), Source: pipe.Here(), Acts: pipe.In,
		Layout: pipe.Serial, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Authenticates | pipe.ReadsClient | pipe.WritesRequest}
	if judge == nil {
		step.Err = errors.Join(append(errs, errors.New("auth: Ask: the judge is nil"))...)
		return func(next proxy.Proxy) proxy.Proxy {
			return pipe.Describe[*proxy.Request, *proxy.Response](nil, step, pipe.Described(next))
		}
	}
	step.Err = errors.Join(errs...)
	judge = pipe.Described(judge)
	a.judge = pipe.Describe(proxy.Hold(0)(judge), pipe.Step{Mark: mark.Borrows(), Kind: "judge", Source: step.Source, Acts: pipe.None,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext}, judge)
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := a.admit(ctx, req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, a.judge, next)
	}
}

// ask is one Ask.
type ask struct {
	judge   proxy.Proxy
	headers []string // canonical
}

// admit asks the judge, and returns why the request is refused, or nil.
func (a *ask) admit(ctx context.Context, req *proxy.Request) error {
	if err := ctx.Err(); err != nil {
		return &proxy.Error{Op: "ask", Err: err}
	}
	res, err := a.judge(call.Aside(ctx), question(req))
	if ctx.Err() != nil {
		call.Discard(ctx, res)
		return &proxy.Error{Op: "ask", Err: ctx.Err()}
	}
	if err != nil {
		status, h := verdictOf(err)
		return refused(status, h, err)
	}
	defer call.Discard(ctx, res)
	switch status := res.StatusCode(); {
	case status < 200 || status > 299:
		return refused(status, res.Header, nil)
	case res.Err != nil: // the verdict is partial
		return refused(status, nil, res.Err)
	}
	from := res.Header
	if res.Origin != nil {
		from = res.Origin
	}
	return a.set(req, from)
}

// question returns the request that the judge gets.
func question(req *proxy.Request) *proxy.Request {
	q := copyOf(req)
	q.GetBody, q.ContentLength = nil, 0
	query := req.RawQuery
	if !field.SameQuery(query, req.Query) { // a pair that does not parse reaches no upstream, but another parser may read it
		query = req.Query.Encode()
	}
	uri := req.Path
	if query != "" {
		uri += "?" + query
	}
	for _, name := range field.Describing {
		q.Header.Del(name)
	}
	for _, name := range field.Conditions { // they are about the answer that the client wants, and 304 is no verdict
		q.Header.Del(name)
	}
	q.Method, q.Upstream, q.UpstreamQuery = http.MethodGet, http.Header{}, nil
	for name, value := range map[string]string{"X-Forwarded-Method": req.Method, "X-Forwarded-Uri": uri} {
		field.Delete(q.Header, name)
		q.Upstream[name] = []string{value}
	}
	return q
}

// verdictOf returns the status and the header that an error of the judge stands for. A backend gives
// the 401 of its upstream the status 502 where the client has sent no credentials that could be at
// fault. Here they are what the judge was asked about.
func verdictOf(err error) (status int, h http.Header) {
	status = proxy.StatusOf(err)
	e, ok := call.As[*proxy.Error](err)
	if !ok {
		return status, nil
	}
	if e.Upstream != nil && e.Upstream.Status == http.StatusUnauthorized && status == http.StatusBadGateway {
		status = http.StatusUnauthorized
	}
	if h = e.Header; h["Www-Authenticate"] == nil && e.Upstream != nil {
		h = e.Upstream.Header
	}
	return status, h
}

// refused returns the refusal for a verdict that does not admit.
func refused(status int, h http.Header, err error) error {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		if err == nil {
			err = fmt.Errorf("it answered %d", status)
		}
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "ask", Err: fmt.Errorf("%w: %w", ErrJudge, err)}
	}
	e := &proxy.Error{Status: status, Op: "ask", Err: ErrDenied}
	if err != nil {
		e.Err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	if challenges := field.Values(h["Www-Authenticate"]); len(challenges) > 0 {
		e.Header = http.Header{"Www-Authenticate": challenges}
	}
	return e
}

// set hands the named headers of the answer to upstreams.
func (a *ask) set(req *proxy.Request, from http.Header) error {
	for _, name := range a.headers {
		field.Delete(req.Header, name)
		field.Delete(req.Upstream, name)
	}
	for _, name := range a.headers {
		values := from[name]
		switch {
		case len(values) == 0:
			continue
		case !field.AreValues(values):
			return refused(0, nil, fmt.Errorf("%s has a control character", name))
		case req.Upstream == nil:
			req.Upstream = http.Header{}
		}
		req.Upstream[name] = slices.Clone(values)
	}
	return nil
}
