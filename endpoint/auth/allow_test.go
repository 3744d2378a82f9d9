package auth_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestRulesDecideByTheCaller(t *testing.T) {
	t.Parallel()
	caller := claiming(`{"tenant":"acme","level":2,"groups":["a","b"],"deep":{"er":true},"none":null,"object":{}}`)
	caller.Roles, caller.Scopes = []string{"reader", "writer"}, []string{"orders:read", "orders:write"}
	tests := []struct {
		name string
		rule auth.Rule
		ok   bool
	}{
		{"a scope", auth.Scope("orders:write"), true},
		{"all scopes", auth.Scope("orders:write", "orders:read"), true},
		{"not all scopes", auth.Scope("orders:write", "orders:delete"), false},
		{"a part of a scope", auth.Scope("orders"), false},
		{"one of scopes", auth.AnyScope("orders:delete", "orders:read"), true},
		{"none of scopes", auth.AnyScope("orders:delete", "items:read"), false},
		{"a role", auth.Role("reader"), true},
		{"all roles", auth.Role("reader", "writer"), true},
		{"not all roles", auth.Role("reader", "admin"), false},
		{"one of roles", auth.AnyRole("admin", "writer"), true},
		{"none of roles", auth.AnyRole("admin", "root"), false},
		{"a role in capitals", auth.Role("READER"), false},
		{"a claim", auth.ClaimIs("tenant", "acme"), true},
		{"a claim of several values", auth.ClaimIs("tenant", "other", "acme"), true},
		{"another value", auth.ClaimIs("tenant", "other"), false},
		{"a number", auth.ClaimIs("level", "2"), true},
		{"a bool inside", auth.ClaimIs("deep.er", "true"), true},
		{"one of an array", auth.ClaimIs("groups", "b"), true},
		{"none of an array", auth.ClaimIs("groups", "c"), false},
		{"an absent claim", auth.ClaimIs("nothing", "a"), false},
		{"null", auth.ClaimIs("none", "null"), false},
		{"an object", auth.ClaimIs("object", "{}"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := through(t.Context(), get(), withCaller(caller), auth.Allow(tt.rule))
			if tt.ok {
				assert.NoError(t, err)
				assert.NotNil(t, req)
			} else {
				assert.Nil(t, req)
				assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err))
				assert.ErrorIs(t, err, auth.ErrDenied)
			}
			req, err = through(t.Context(), get(), auth.Allow(tt.rule))
			assert.Nil(t, req)
			assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err), "nobody")
			assert.ErrorIs(t, err, auth.ErrNoCredentials)
		})
	}
}

func TestEveryRuleMustHold(t *testing.T) {
	t.Parallel()
	caller := &proxy.Caller{ID: "ada", Roles: []string{"reader"}}
	asked := 0
	ask := func(context.Context, *proxy.Request) error { asked++; return nil }
	_, err := through(t.Context(), get(), withCaller(caller), auth.Allow(auth.Role("reader"), auth.Role("writer"), ask))
	assert.EqualError(t, err, "allow: the caller may not do this: it needs role writer")
	assert.Zero(t, asked)
	_, err = through(t.Context(), get(), withCaller(caller), auth.Allow(ask, auth.Role("reader"), ask))
	assert.NoError(t, err)
	assert.Equal(t, 2, asked)
}

func TestAMissingScopeIsToldAsRFC6750Says(t *testing.T) {
	t.Parallel()
	caller := &proxy.Caller{ID: "ada", Scopes: []string{"orders:read"}}
	_, err := through(t.Context(), get(), withCaller(caller), auth.Allow(auth.Scope("orders:write", "orders:read")))
	assert.Contains(t, err.Error(), "scope orders:write orders:read")
	var lacks *proxy.Error
	for e := err; e != nil; e = errors.Unwrap(e) {
		if p, ok := e.(*proxy.Error); ok && len(p.Header) > 0 { //nolint:errorlint // one level at a time
			lacks = p
		}
	}
	require.NotNil(t, lacks)
	assert.Equal(t, []string{`Bearer error="insufficient_scope", scope="orders:write orders:read"`}, lacks.Header["Www-Authenticate"])
}

func TestAFunctionIsARule(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name   string
		rule   auth.Rule
		status int // 0 passes
	}{
		{"passes", func(context.Context, *proxy.Request) error { return nil }, 0},
		{"an error", func(context.Context, *proxy.Request) error { return boom }, 403},
		{"with a status", func(context.Context, *proxy.Request) error { return &proxy.Error{Status: 404, Err: boom} }, 404},
		{"a dependency is down", func(context.Context, *proxy.Request) error { return &proxy.Error{Status: 503, Err: boom} }, 503},
		{"no upstream was asked", func(context.Context, *proxy.Request) error { return &proxy.Error{Status: 502, Err: boom} }, 403},
		{"a cancellation of its own", func(context.Context, *proxy.Request) error { return context.Canceled }, 403},
		{"a panic", func(context.Context, *proxy.Request) error { panic("bug") }, 500},
		{"Goexit", func(context.Context, *proxy.Request) error { runtime.Goexit(); return nil }, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := through(t.Context(), get(), auth.Allow(tt.rule))
			if tt.status == 0 {
				assert.NoError(t, err)
				return
			}
			assert.Nil(t, req)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			assert.Equal(t, tt.status == 403, errors.Is(err, auth.ErrDenied))
		})
	}
}

// proves T6
func TestARuleThatBlocksDeniesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, sent := time.Now(), get()
		req, err := through(ctx, sent, auth.Allow(func(_ context.Context, req *proxy.Request) error {
			<-done
			req.Header.Set("Late", "x")
			return nil
		}))
		assert.Nil(t, req)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		close(done)
		synctest.Wait()
		assert.Empty(t, sent.Header)
	})
}

func TestARuleCanReadABodyThatCanBeReplayed(t *testing.T) {
	t.Parallel()
	sent := get()
	sent.SetBody("application/json", []byte(`{"amount":7}`))
	req, err := through(t.Context(), sent, auth.Allow(func(_ context.Context, req *proxy.Request) error {
		doc, err := req.Document()
		assert.Equal(t, `{"amount":7}`, doc.String())
		return err
	}))
	require.NoError(t, err)
	doc, err := req.Document()
	require.NoError(t, err)
	assert.Equal(t, `{"amount":7}`, doc.String())
}

func TestRulesThatCannotBeAskedAreFaults(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]proxy.Decorator{
		"auth: Allow: there are no rules":                                                                       auth.Allow(),
		"auth: Allow: rule 2 is nil":                                                                            auth.Allow(auth.Role("a"), nil),
		"auth: Allow: rule 1 (scope): there are no names":                                                       auth.Allow(auth.Scope()),
		"auth: Allow: rule 1 (any role of): there are no names":                                                 auth.Allow(auth.AnyRole()),
		"auth: Allow: rule 1 (role): a name is empty":                                                           auth.Allow(auth.Role("")),
		`auth: Allow: rule 1 (scope a b): "a b" is no scope`:                                                    auth.Allow(auth.Scope("a b")),
		`auth: Allow: rule 1 (scope a"): "a\"" is no scope`:                                                     auth.Allow(auth.Scope(`a"`)),
		`auth: Allow: rule 1 (claim a..b is x): document: path "a..b": invalid path: empty name`:                auth.Allow(auth.ClaimIs("a..b", "x")),
		"auth: Allow: rule 1 (claim a is): there are no names\nauth: Allow: rule 2 (scope): there are no names": auth.Allow(auth.ClaimIs("a"), auth.Scope()),
	} {
		assert.EqualError(t, faultsOf(d), want)
		req, err := through(t.Context(), get(), d)
		assert.Nil(t, req)
		assert.Error(t, err)
	}
}

func TestAllowShowsItsRulesInThePlan(t *testing.T) {
	t.Parallel()
	own := func(context.Context, *proxy.Request) error { panic("planning runs nothing") }
	plan := pipe.PlanOf(proxy.Proxy(answers).With(auth.Allow(auth.Scope("orders:write"), auth.AnyRole("a", "b"), auth.ClaimIs("tenant", "acme"))))
	assert.Contains(t, plan.String(), "→ allow (scope orders:write, any role of a b, claim tenant is acme)")
	assert.False(t, plan.Effects.Has(pipe.Opaque))
	assert.True(t, plan.Effects.Has(pipe.ReadsCaller))
	plan = pipe.PlanOf(proxy.Proxy(answers).With(auth.Allow(own)))
	assert.Contains(t, plan.String(), "→ allow (func at allow_test.go:")
	assert.True(t, plan.Effects.Has(pipe.Opaque))
}

func TestAllowKeepsTheLaws(t *testing.T) {
	t.Parallel()
	request := func() *proxy.Request {
		req := get()
		req.Caller = &proxy.Caller{ID: "ada", Roles: []string{"reader"}}
		return req
	}
	own := func(context.Context, *proxy.Request) error { return nil }
	for _, d := range []proxy.Decorator{auth.Allow(auth.Role("reader")), auth.Allow(own)} {
		proxytest.Conform(t, d, proxytest.Options{Request: request})
	}
}
