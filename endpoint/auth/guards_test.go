package auth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A tap tells whether a body was read.
type tap struct {
	io.Reader
	read bool
}

func (t *tap) Read(p []byte) (int, error) {
	t.read = true
	return t.Reader.Read(p)
}

// What a caller has claimed, and nothing that the client has sent in its place, is there for everything
// that stands behind Claims: a limit, a rule, and the upstream. Who it is is decided before what he may.
//
// proves O7
func TestClaimsAreThereBeforeWhatReadsThem(t *testing.T) {
	t.Parallel()
	writer := auth.APIKey{Name: "writer", Digest: auth.DigestOf("secret"), Roles: []string{"writer"}}
	reader := auth.APIKey{Name: "reader", Digest: auth.DigestOf("other")}
	var trail []string
	sees := func(name string) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				assert.Empty(t, req.Header["X-User"], "of the client")
				assert.Empty(t, req.Header["X_user"], "of the client")
				trail = append(trail, name+" "+req.Upstream.Get("X-User")+" "+req.Params.Get("owner")+" "+req.Upstream.Get("X-Roles"))
				return next(ctx, req)
			}
		}
	}
	h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(answers).With(sees("pipe")), Guards: []proxy.Decorator{
		auth.Require(auth.APIKeys(auth.NewKeys(writer, reader))),
		auth.Claims(auth.Claim{Path: "sub", Header: "X-User", Param: "owner"}, auth.Claim{Path: "roles", Header: "X-Roles"}),
		sees("limit"), auth.Allow(auth.Role("writer")),
	}})
	require.NoError(t, err)
	for _, tt := range []struct {
		key    string
		status int
		trail  []string
		read   bool
	}{
		{"", 401, nil, false},
		{"a guess", 401, nil, false},
		{"other", 403, []string{"limit reader reader "}, false},
		{"secret", 200, []string{"limit writer writer writer", "pipe writer writer writer"}, true},
	} {
		trail = nil
		body := &tap{Reader: strings.NewReader(strings.Repeat("x", 1000))}
		r := httptest.NewRequest("POST", "/orders", body)
		r.ContentLength = 1000
		r.Header["X-User"], r.Header["X_user"], r.Header["X-Roles"] = []string{"admin"}, []string{"admin"}, []string{"admin"}
		if tt.key != "" {
			r.Header.Set("X-Api-Key", tt.key)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, tt.status, w.Code, tt.key)
		assert.Equal(t, tt.trail, trail, tt.key)
		assert.Equal(t, tt.read, body.read, "the body is read for who may send it")
	}
}

// proves H14
func TestNoCredentialGetsIntoAnErrorOrAPlan(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t\r\nforged: line"
	var reported []string
	h, err := endpoint.New(endpoint.Spec{
		Proxy:  answers,
		Guards: []proxy.Decorator{auth.Require(auth.APIKeys(auth.NewKeys(batch)), auth.Certificates())},
		Report: func(_ context.Context, err error) { reported = append(reported, err.Error()) },
	})
	require.NoError(t, err)
	for _, lines := range [][]string{{secret}, {secret, secret}, {strings.Repeat(secret, 50)}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Api-Key"] = lines
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.NotEqual(t, http.StatusOK, w.Code)
		assert.NotContains(t, w.Body.String(), "s3cr3t")
	}
	require.Len(t, reported, 3)
	for _, text := range reported {
		assert.NotContains(t, text, "s3cr3t")
		assert.NotContains(t, text, "\n")
	}
}

func TestWhatGoesByTheCallerBelongsInsideOfRequire(t *testing.T) {
	t.Parallel()
	require := auth.Require(ofHeader("A"))
	for name, d := range map[string]proxy.Decorator{
		"allow":          auth.Allow(auth.Role("reader")),
		"claims":         auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}),
		"end-with-token": auth.EndWithToken,
	} {
		_, err := endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{d, require}})
		assert.ErrorContains(t, err, "decides by the caller, which require inside finds out", name)
		assert.ErrorContains(t, err, name)
		_, err = endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{require, d}})
		assert.NoError(t, err, name)
	}
	judge := auth.Ask(answers) // it verifies the caller, and does not say who that is
	limit := policy.LimitBy(policy.ByCaller, policy.PerSecond(1))
	_, err := endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{require, limit, judge}})
	assert.NoError(t, err)
	_, err = endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{judge, auth.Allow(auth.Role("reader")), require}})
	assert.ErrorContains(t, err, "decides by the caller")
	shared := policy.Coalesce(policy.CoalesceSpec{Key: policy.ByClient})
	assert.ErrorContains(t, pipe.PlanOf(proxy.Proxy(answers).With(shared, judge)).Faults(), "put it outside", "others would pass it by")
	own := auth.Allow(func(context.Context, *proxy.Request) error { return nil }) // it may look at something else
	_, err = endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{own, require}})
	assert.NoError(t, err)
}

func TestAReasonHasItsStatusByItself(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{auth.ErrNoCredentials: 401, auth.ErrInvalidCredentials: 401, auth.ErrDenied: 403, auth.ErrUnavailable: 503} {
		for _, returned := range []error{err, fmt.Errorf("guard: %w", err), fmt.Errorf("%w: not on Sundays", err)} {
			guard := func(proxy.Proxy) proxy.Proxy {
				return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, returned }
			}
			h, err := endpoint.New(endpoint.Spec{Proxy: answers, Guards: []proxy.Decorator{guard}})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			assert.Equal(t, status, w.Code, returned)
		}
	}
}
