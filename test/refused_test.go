package test_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// An account is a watcher that keeps what the outermost step of a call has returned, and which steps
// it has entered.
type account struct {
	entered *[]string
	err     *error
}

func (a *account) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	*a.entered = append(*a.entered, s.Kind)
	return ctx, &account{entered: a.entered, err: a.err}
}
func (a *account) Leave(_ any, err error) { *a.err = err }
func (a *account) Note(string, string)    {}

// proves O5
func TestAWatcherHearsOfCallsThatNeverReachAnUpstream(t *testing.T) {
	t.Parallel()
	fine := pipe.NamedPipe("upstream", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusNoContent}, nil
	})
	open := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1, Open: time.Hour})
	done, err := open.Allow()
	assert.NoError(t, err)
	done(errors.New("down"))
	for _, c := range []struct {
		name    string
		pipe    proxy.Proxy
		body    string
		status  int // of the last of two calls
		entered string
	}{
		{"a body above the limit", fine, strings.Repeat("x", 11), http.StatusRequestEntityTooLarge, "endpoint"},
		{"a client above its limit", fine.With(policy.LimitBy(policy.ByClient, policy.Rate{Events: 1, Per: 1 << 40})), "", http.StatusTooManyRequests, "endpoint limit"},
		{"an open breaker", fine.With(policy.Break(open)), "", http.StatusServiceUnavailable, "endpoint break"},
		{"a panic before the upstream", fine.With(func(proxy.Proxy) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }
		}), "", http.StatusInternalServerError, "endpoint func"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var entered []string
			var left, reported error
			h, err := endpoint.New(endpoint.Spec{Proxy: c.pipe, MaxBody: 10,
				Watch:  pipe.Watch{Start: func(context.Context) pipe.Watcher { return &account{entered: &entered, err: &left} }},
				Report: func(_ context.Context, err error) { reported = err }})
			assert.NoError(t, err)
			for range 2 {
				entered, left, reported = nil, nil, nil
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body)))
				if rec.Code == http.StatusNoContent {
					continue
				}
				assert.Equal(t, c.status, rec.Code)
				assert.Equal(t, c.entered, strings.Join(entered, " "))
				assert.Equal(t, c.status, proxy.StatusOf(left), "what the watcher heard: %v", left)
				assert.Equal(t, c.status, proxy.StatusOf(reported), "what Report heard: %v", reported)
			}
			assert.NotNil(t, left, "the second call is refused")
		})
	}
}
