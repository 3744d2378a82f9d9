package test_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// An unread body counts the reads that should not happen.
type unread struct {
	io.Reader
	reads atomic.Int32
}

func (u *unread) Read(b []byte) (int, error) {
	u.reads.Add(1)
	return u.Reader.Read(b)
}

// proves O6, O8
func TestLimitsByCallerStandInsideAuthentication(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		orders := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			calls.Add(1)
			return &proxy.Response{Document: document.MustParse(`{"id":1}`)}, nil
		})
		spec := endpoint.Spec{
			Guards: []proxy.Decorator{
				auth.Require(auth.APIKeys(auth.NewKeys(
					auth.APIKey{Name: "ann", Digest: auth.DigestOf("key of ann")},
					auth.APIKey{Name: "ann", Digest: auth.DigestOf("other key of ann")},
					auth.APIKey{Name: "bob", Digest: auth.DigestOf("key of bob")},
				))),
				pipe.Named("each", policy.LimitBy(policy.ByCaller, policy.PerHour(3))),
				policy.Quota(policy.QuotaSpec{Name: "bytes", Key: policy.ByCaller, Limit: 100, Window: policy.Day, Unit: "content-bytes",
					Weight: func(req *proxy.Request) int { return int(max(req.ContentLength, 1)) }}),
				pipe.Named("all", policy.LimitByWith(policy.LimitBySpec{Name: "all", Rate: policy.PerHour(5),
					Key: func(context.Context, *proxy.Request) (string, error) { return "", nil }})),
			},
			Proxy: orders,
		}
		h, err := endpoint.New(spec)
		require.NoError(t, err)
		post := func(key string, size int) (*httptest.ResponseRecorder, int32) {
			body := &unread{Reader: strings.NewReader(strings.Repeat(" ", size))}
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/orders", body)
			r.ContentLength = int64(size)
			if key != "" {
				r.Header.Set("X-Api-Key", key)
			}
			h.ServeHTTP(w, r)
			return w, body.reads.Load()
		}
		for range 20 {
			for _, key := range []string{"", "no key"} {
				w, reads := post(key, 10)
				assert.Equal(t, http.StatusUnauthorized, w.Code)
				assert.Empty(t, w.Header().Get("RateLimit"), "no limit was asked")
				assert.Zero(t, reads)
			}
		}
		w, _ := post("key of ann", 60)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, []string{`"default";q=3;w=3600`, `"bytes";q=100;qu="content-bytes";w=86400`, `"all";q=5;w=3600`}, w.Header().Values("RateLimit-Policy"))
		assert.Equal(t, []string{`"default";r=2;t=1200`, `"bytes";r=40;t=86400`, `"all";r=4;t=720`}, w.Header().Values("RateLimit"))

		w, reads := post("other key of ann", 60)
		assert.Equal(t, http.StatusTooManyRequests, w.Code, "the quota of the caller, whatever the key")
		assert.Equal(t, "86400", w.Header().Get("Retry-After"))
		assert.Equal(t, `"bytes";r=40;t=86400`, w.Header().Get("RateLimit"))
		assert.Zero(t, reads, "no body was read")
		for range 20 {
			w, _ = post("key of ann", 1)
		}
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		assert.Equal(t, "1200", w.Header().Get("Retry-After"))
		assert.EqualValues(t, 2, calls.Load())

		for range 3 {
			w, _ = post("key of bob", 1)
			assert.Equal(t, http.StatusOK, w.Code, "an abuser takes nothing from what all share")
		}

		r := chi.NewRouter()
		require.NoError(t, router.Mount(r, router.Route{Method: "POST", Pattern: "/orders", Endpoint: spec}))
		plan := router.PlanOf(r)
		for _, inside := range []string{"each", "quota bytes", "all", "body"} {
			assert.NoError(t, plan.Guards("require", inside))
		}
		assert.NoError(t, plan.Before("each", "all"))

		spec.Guards[0], spec.Guards[1] = spec.Guards[1], spec.Guards[0]
		_, err = endpoint.New(spec)
		assert.ErrorContains(t, err, "policy: LimitBy: require inside finds out who the caller is: put it outside")
	})
}
