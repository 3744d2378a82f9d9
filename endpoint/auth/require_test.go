package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A kind is an authenticator of a test.
type kind struct {
	name         string
	authenticate func(ctx context.Context, req *proxy.Request) (*proxy.Caller, error)
	challenge    func(err error) string
}

func (k *kind) Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error) {
	return k.authenticate(ctx, req)
}

func (k *kind) Challenge(err error) string {
	if k.challenge != nil {
		return k.challenge(err)
	}
	if err != nil {
		return k.name + ` error="invalid"`
	}
	return k.name
}

// ofHeader returns an authenticator of a header: "bad" is a bad credential, and any other value the
// caller.
func ofHeader(name string) *kind {
	return &kind{name: name, authenticate: func(_ context.Context, req *proxy.Request) (*proxy.Caller, error) {
		switch value := req.Header.Get(name); value {
		case "":
			return nil, nil
		case "bad":
			return nil, &proxy.Error{Status: http.StatusUnauthorized, Err: auth.ErrInvalidCredentials}
		default:
			return &proxy.Caller{ID: value, Scheme: name}, nil
		}
	}}
}

func answering(c *proxy.Caller, err error) *kind {
	return &kind{name: "Other", authenticate: func(context.Context, *proxy.Request) (*proxy.Caller, error) { return c, err }}
}

func TestRequireLetsTheFirstCredentialDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		fields     []string
		id         string
		status     int
		challenges []string
	}{
		{name: "the first kind", fields: []string{"A", "ada"}, id: "ada"},
		{name: "the second kind", fields: []string{"B", "bob"}, id: "bob"},
		{name: "both kinds", fields: []string{"A", "ada", "B", "bob"}, id: "ada"},
		{name: "none", status: 401, challenges: []string{"A", "B"}},
		{name: "a bad one", fields: []string{"A", "bad"}, status: 401, challenges: []string{`A error="invalid"`}},
		{name: "a bad one of the second kind", fields: []string{"B", "bad"}, status: 401, challenges: []string{`B error="invalid"`}},
		{name: "a bad one and a good one", fields: []string{"A", "bad", "B", "bob"}, status: 401, challenges: []string{`A error="invalid"`}},
		{name: "a good one and a bad one", fields: []string{"A", "ada", "B", "bad"}, id: "ada"},
		{name: "two lines of Authorization", fields: []string{"A", "ada", "Authorization", "x y", "Authorization", "x y"}, status: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := through(t.Context(), get(tt.fields...), auth.Require(ofHeader("A"), ofHeader("B")))
			if tt.status == 0 {
				require.NoError(t, err)
				assert.Equal(t, tt.id, req.Caller.ID)
				return
			}
			assert.Nil(t, req)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			assert.Equal(t, tt.challenges, headerOf(t, err)["Www-Authenticate"])
		})
	}
}

func TestOptionalLetsNobodyPassAndNoBadCredential(t *testing.T) {
	t.Parallel()
	optional := auth.Optional(ofHeader("A"), ofHeader("B"))
	req, err := through(t.Context(), get(), optional)
	require.NoError(t, err)
	assert.Nil(t, req.Caller)

	req, err = through(t.Context(), get("B", "bob"), optional)
	require.NoError(t, err)
	assert.Equal(t, "bob", req.Caller.ID)

	_, err = through(t.Context(), get("B", "bad"), optional)
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	assert.Equal(t, []string{`B error="invalid"`}, headerOf(t, err)["Www-Authenticate"])
}

// proves T6
func TestAnAuthenticatorThatCannotTellDenies(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		is     error
	}{
		{"an error without status", refused, 503, auth.ErrUnavailable},
		{"an error with status 503", &proxy.Error{Status: 503, Err: refused}, 503, auth.ErrUnavailable},
		{"a bad gateway", &proxy.Error{Status: 502, Err: refused}, 503, auth.ErrUnavailable},
		{"a timeout of its own", context.DeadlineExceeded, 503, auth.ErrUnavailable},
		{"a cancellation of its own", context.Canceled, 503, auth.ErrUnavailable},
		{"a status of the upstream's", &proxy.Error{Status: 599, Err: refused}, 503, auth.ErrUnavailable},
		{"not valid", &proxy.Error{Status: 401, Err: auth.ErrInvalidCredentials}, 401, auth.ErrInvalidCredentials},
		{"denied", &proxy.Error{Status: 403, Err: auth.ErrDenied}, 403, auth.ErrDenied},
		{"malformed", &proxy.Error{Status: 400, Err: refused}, 400, refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, d := range []proxy.Decorator{auth.Require(answering(nil, tt.err)), auth.Optional(answering(nil, tt.err)),
				auth.Require(answering(&proxy.Caller{ID: "ada"}, tt.err)), auth.Require(answering(nil, tt.err), ofHeader("A"))} {
				req, err := through(t.Context(), get("A", "ada"), d)
				assert.Nil(t, req)
				assert.Equal(t, tt.status, proxy.StatusOf(err))
				assert.ErrorIs(t, err, tt.is)
			}
		})
	}
}

// proves T6
func TestAnAuthenticatorThatPanicsDenies(t *testing.T) {
	t.Parallel()
	for name, bug := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		a := &kind{authenticate: func(context.Context, *proxy.Request) (*proxy.Caller, error) { bug(); return nil, nil }}
		for _, d := range []proxy.Decorator{auth.Require(a, ofHeader("A")), auth.Optional(a, ofHeader("A"))} {
			req, err := through(t.Context(), get("A", "ada"), d)
			assert.Nil(t, req, name)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), name)
		}
	}
}

// proves T6
func TestAnAuthenticatorThatBlocksDeniesInTime(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"slow": http.StatusGatewayTimeout, "client gone": proxy.StatusClientGone} {
		synctest.Test(t, func(t *testing.T) {
			done := make(chan struct{})
			a := &kind{authenticate: func(_ context.Context, req *proxy.Request) (*proxy.Caller, error) {
				<-done
				req.Header.Set("Late", "x") // on its own copy
				return &proxy.Caller{ID: "late"}, nil
			}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if name == "client gone" {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
			}
			defer cancel()
			start, sent := time.Now(), get()
			req, err := through(ctx, sent, auth.Require(a))
			assert.Nil(t, req, name)
			assert.Equal(t, time.Second, time.Since(start), name)
			assert.Equal(t, want, proxy.StatusOf(err), name)
			close(done)
			synctest.Wait()
			assert.Empty(t, sent.Header)
			assert.Nil(t, sent.Caller)
		})
	}
}

func TestAnAuthenticatorWithoutPlaceIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		a := &kind{authenticate: func(context.Context, *proxy.Request) (*proxy.Caller, error) { <-done; return nil, nil }}
		guarded := proxy.Proxy(answers).With(auth.Require(a))
		for range proxy.DefaultMaxAbandoned {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := guarded(ctx, get())
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
			cancel()
		}
		_, err := guarded(t.Context(), get())
		assert.ErrorIs(t, err, proxy.ErrAbandoned)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		close(done)
	})
}

func TestAnAuthenticatorMayReturnTheSentinelsAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"no credentials", auth.ErrNoCredentials, http.StatusUnauthorized},
		{"not good", fmt.Errorf("%w: unknown partner", auth.ErrInvalidCredentials), http.StatusUnauthorized},
		{"not this one", fmt.Errorf("%w: it is suspended", auth.ErrDenied), http.StatusForbidden},
		{"cannot tell", fmt.Errorf("%w: no answer", auth.ErrUnavailable), http.StatusServiceUnavailable},
		{"cannot tell whether it is good", errors.Join(auth.ErrInvalidCredentials, auth.ErrUnavailable), http.StatusServiceUnavailable},
		{"a status counts", &proxy.Error{Status: http.StatusBadRequest, Err: auth.ErrInvalidCredentials}, http.StatusBadRequest},
		{"anything else", errors.New("reset"), http.StatusServiceUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := answering(nil, tt.err)
			a.challenge = func(error) string { return "Legacy" }
			req, err := through(t.Context(), get(), auth.Require(a))
			assert.Nil(t, req)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.want, proxy.StatusOf(err))
			assert.Equal(t, tt.want == http.StatusUnauthorized, len(headerOf(t, err)["Www-Authenticate"]) == 1, "a challenge")
		})
	}
}

// proves H7
func TestAChallengeThatCannotBeMadeIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, challenge := range map[string]func(error) string{
		"panic":  func(error) string { panic("bug") },
		"Goexit": func(error) string { runtime.Goexit(); return "" },
		"none":   func(error) string { return "" },
		"CRLF":   func(error) string { return "Basic\r\nSet-Cookie: a=b" },
		"NUL":    func(error) string { return "Basic \x00" },
	} {
		for _, fault := range []error{nil, &proxy.Error{Status: 401, Err: auth.ErrInvalidCredentials}} {
			a := answering(nil, fault)
			a.challenge = challenge
			_, err := through(t.Context(), get(), auth.Require(a))
			assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err), name)
			assert.Empty(t, headerOf(t, err)["Www-Authenticate"], name)
		}
	}
}

func TestRequireWithoutAuthenticatorsIsAFault(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, faultsOf(auth.Require()), "auth: require: there are no authenticators")
	assert.EqualError(t, faultsOf(auth.Optional()), "auth: optional: there are no authenticators")
	assert.EqualError(t, faultsOf(auth.Require(nil)), "auth: require: authenticator 1 is nil")
	var typed *kind
	assert.EqualError(t, faultsOf(auth.Require(ofHeader("A"), typed)), "auth: require: authenticator 2 is nil")
	assert.EqualError(t, faultsOf(auth.Require(auth.APIKeys(nil))), "auth: APIKeys: the store is nil")

	req, err := through(t.Context(), get("A", "ada"), auth.Require(ofHeader("A"), typed))
	assert.Nil(t, req, "nothing is served without its guard")
	assert.Error(t, err)
}

// proves O20
func TestAnEndpointIsNotMadeWithoutItsGuard(t *testing.T) {
	t.Parallel()
	_, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(answers).With(auth.Require(auth.APIKeys(nil)), auth.Allow(auth.Scope()), auth.Claims())})
	assert.ErrorContains(t, err, "auth: APIKeys: the store is nil")
	assert.ErrorContains(t, err, "auth: Allow: rule 1 (scope): there are no names")
	assert.ErrorContains(t, err, "auth: Claims: there are no claims")
}

func TestRequireShowsItsAuthenticatorsInThePlan(t *testing.T) {
	t.Parallel()
	keys := auth.APIKeys(auth.NewKeys(auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret")}))
	leaf := pipe.Describe(proxy.Proxy(answers), pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal})
	plan := pipe.PlanOf(leaf.With(auth.Require(keys, auth.Certificates(), ofHeader("A"))))
	assert.Equal(t, `→ require, in order
  → api-key (X-Api-Key)
  → certificate (URI)
  → authenticator *auth_test.kind
  ↔ backend orders
`, plan.String())
	assert.NoError(t, plan.Guards("require", "orders"))
	assert.NoError(t, plan.Before("api-key", "orders"))
	assert.Error(t, plan.Guards("authenticator", "orders"), "it may not be asked")
	assert.True(t, plan.Effects.Has(pipe.Authenticates|pipe.CallsOnce|pipe.PassesOn))
	for step := range plan.All() {
		assert.Equal(t, step.Kind == "require", step.Effects.Has(pipe.Authenticates), step.Kind)
	}
	assert.True(t, pipe.PlanOf(leaf.With(auth.Optional(keys))).Effects.Has(pipe.Authenticates), "it says who the caller is")
}

// proves T8
func TestNothingThatIsSharedStandsAroundWhatFindsTheCaller(t *testing.T) {
	t.Parallel()
	keys := auth.APIKeys(auth.NewKeys())
	constant := func(context.Context, *proxy.Request) (string, error) { return "", nil }
	for name, inside := range map[string]proxy.Decorator{"require": auth.Require(keys), "optional": auth.Optional(keys)} {
		for around, d := range map[string]proxy.Decorator{
			"LimitBy":           policy.LimitBy(policy.ByCaller, policy.PerSecond(1)),
			"Coalesce (shared)": policy.Coalesce(policy.CoalesceSpec{Name: "shared", Key: constant}),
		} {
			assert.ErrorContains(t, faultsOf(d, inside), around+": "+name+" inside finds out who the caller is")
		}
	}
}

// policy.ByCaller says so: against clients that guess credentials.
func TestALimitByClientMayStandAroundWhatFindsTheCaller(t *testing.T) {
	t.Parallel()
	_, err := endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{
		policy.LimitBy(policy.ByClient, policy.PerSecond(1)), auth.Require(auth.APIKeys(auth.NewKeys()))}})
	assert.NoError(t, err)
}

func TestTheRecordOfARequestKnowsTheCaller(t *testing.T) {
	t.Parallel()
	h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(answers).With(auth.Require(ofHeader("A")))})
	require.NoError(t, err)
	for _, id := range []string{"ada", "bad"} {
		r, record := endpoint.WithRecord(httptest.NewRequest("GET", "/", nil))
		r.Header.Set("A", id)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if id == "ada" {
			require.NotNil(t, record.Entry().Caller)
			assert.Equal(t, "ada", record.Entry().Caller.ID)
			assert.Equal(t, http.StatusOK, w.Code)
			continue
		}
		assert.Nil(t, record.Entry().Caller)
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Equal(t, []string{`A error="invalid"`}, w.Header()["Www-Authenticate"])
	}
}

func TestRequireKeepsTheLaws(t *testing.T) {
	t.Parallel()
	request := func() *proxy.Request {
		req := get("A", "ada", "X-Api-Key", "secret")
		req.Body = nil
		return req
	}
	keys := auth.APIKeys(auth.NewKeys(auth.APIKey{Name: "batch", Digest: auth.DigestOf("secret")}))
	for _, d := range []proxy.Decorator{auth.Require(ofHeader("A")), auth.Optional(ofHeader("B")), auth.Require(keys), auth.Public("a test")} {
		proxytest.Conform(t, d, proxytest.Options{Request: request})
	}
}

func TestPublicSaysWhy(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(proxy.Proxy(answers).With(auth.Public("the catalogue is no secret")))
	assert.Contains(t, plan.String(), "public (the catalogue is no secret)")
	assert.EqualError(t, faultsOf(auth.Public("")), "auth: Public: it does not say why")
	req, err := through(t.Context(), get(), auth.Public("a test"))
	assert.NoError(t, err)
	assert.NotNil(t, req)
}
