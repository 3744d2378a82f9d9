package test_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

// A diary notes events in their order.
type diary struct {
	mu    sync.Mutex
	notes []string
}

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, what)
}

// read returns the notes since the last call.
func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.notes = nil }()
	return strings.Join(d.notes, " ")
}

func (d *diary) middleware(name string) func(http.Handler) http.Handler {
	return router.Named(name, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.note(name)
			next.ServeHTTP(w, r)
		})
	})
}

func (d *diary) decorator(name string) proxy.Decorator {
	return pipe.Named(name, func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) {
			d.note(name)
			return next(ctx, r)
		}
	})
}

func (d *diary) op(name string) shape.Op {
	return pipe.NamedPipe(name, func(_ context.Context, doc document.Document) (document.Document, error) {
		d.note(name)
		return doc, nil
	})
}

// leaf is an upstream.
func (d *diary) leaf(name, text string) proxy.Proxy {
	return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
		d.note(name)
		return decoded(text), nil
	})
}

// gateway returns a gateway with every kind of step that has an order.
func (d *diary) gateway(t *testing.T) chi.Router {
	page := proxy.Merge(
		proxy.Part{Proxy: d.leaf("user", `{"a":1}`).With(d.decorator("credentials"), shape.Response(d.op("shape user")))},
		proxy.Part{Name: "orders", Optional: true, Proxy: d.leaf("orders", `[1]`).With(shape.Response(d.op("shape orders")))},
	).With(d.decorator("audit"), policy.Limit(rate.NewLimiter(rate.Inf, 0)), shape.Response(d.op("shape page")))
	health := router.NewHealth()
	r := chi.NewRouter()
	r.Method("GET", "/healthz", health.Live())
	r.Group(func(r chi.Router) {
		r.Use(d.middleware("A"), d.middleware("B"))
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: page},
			Middlewares: []func(http.Handler) http.Handler{d.middleware("C")}}))
	})
	return r
}

// The plan of the whole gateway tells these orders, and they hold when it runs.
//
// proves O2, O3, O11
func TestThePlanTellsTheOrder(t *testing.T) {
	t.Parallel()
	d := new(diary)
	r := d.gateway(t)
	plan := router.PlanOf(r)
	for _, pair := range [][2]string{
		{"A", "B"}, {"B", "path"}, {"path", "C"}, {"C", "endpoint"}, {"endpoint", "audit"}, {"audit", "limit"}, {"limit", "merge"},
		{"merge", "user"}, {"credentials", "user"}, {"user", "shape user"}, {"shape user", "shape page"}, {"shape orders", "shape page"},
	} {
		assert.NoError(t, plan.Before(pair[0], pair[1]), "%v", pair)
		assert.ErrorIs(t, plan.Before(pair[1], pair[0]), pipe.ErrOrder, "%v the other way round", pair)
	}
	err := plan.Before("user", "orders")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
	err = plan.Before("audti", "user")
	assert.ErrorIs(t, err, pipe.ErrNoStep)
	assert.Empty(t, plan.Find("GET /healthz")[0].Find("A"), "health stands outside")
	assert.Empty(t, d.read(), "nothing runs for a plan")

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/users/1", nil))
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, `{"a":1}`, strings.TrimSpace(w.Body.String()), "the list of orders is not for a merge")
	got := d.read()
	assert.True(t, strings.HasPrefix(got, "A B C audit "), got)
	assert.True(t, strings.HasSuffix(got, " shape page"), "also of a partial answer: %s", got)
	assert.Regexp(t, "credentials .*user .*shape user", got)
	assert.Regexp(t, "orders .*shape orders", got)

	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/healthz", nil))
	assert.Empty(t, d.read())
}

// proves O4
func TestABadPathIsRefusedFirst(t *testing.T) {
	t.Parallel()
	d := new(diary)
	r := d.gateway(t)
	for _, path := range []string{"/users/..", "/users/%2e%2e", "/users/a%00b", "/users/a%0ab", "/%75sers/1"} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "http://gateway"+path, nil)
		r.ServeHTTP(w, req)
		assert.Contains(t, []int{400, 404}, w.Code, path)
		assert.Contains(t, []string{"", "A B"}, d.read(), path)
	}
}

// proves O20, T6
func TestFaultsAreFoundAtWiring(t *testing.T) {
	t.Parallel()
	d := new(diary)
	bad := func(name, url string) proxy.Proxy { return pipe.Check(backend.New(backend.Spec{Name: name, URL: url})) }
	r := chi.NewRouter()
	err := router.Mount(r,
		router.Route{Method: "GET", Pattern: "/good", Endpoint: endpoint.Spec{Proxy: d.leaf("good", `{}`)}},
		router.Route{Method: "GET", Pattern: "/pages/{id}", Endpoint: endpoint.Spec{Proxy: proxy.Merge(
			proxy.Part{Proxy: bad("first", "ftp://up/").With(shape.Response(shape.Keep("a..b")))},
			proxy.Part{Proxy: bad("second", "http://up/{id").With(shape.SetHeader("a b", "c")), Optional: true},
		)}},
		router.Route{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: pipe.Check(backend.New(backend.Spec{Name: "third", URL: "http://up/{account}"}))}},
		router.Route{Method: "GET", Pattern: "/nothing"},
	)
	require.Error(t, err)
	for _, fault := range []string{"first", "a..b", "second", "a b", "third", "account", "/nothing"} {
		assert.ErrorContains(t, err, fault)
	}
	assert.Empty(t, r.Routes(), "nothing is served without its guard")
}

// A limit outside a retry counts calls, and a limit inside counts tries. A timeout outside is for
// all tries together, and a timeout inside for each.
func TestPoliciesCountWhatStandsInside(t *testing.T) {
	t.Parallel()
	busy := &proxy.Error{Status: http.StatusServiceUnavailable, Op: "status", Err: errors.New("busy")}
	tests := []struct {
		name, notes string
		decorators  func(d *diary) []proxy.Decorator
	}{
		{"limit outside", "limit try try try", func(d *diary) []proxy.Decorator {
			return []proxy.Decorator{d.decorator("limit"), policy.Retry(policy.Attempts{Backoff: -1}), d.decorator("try"), policy.Timeout(time.Second)}
		}},
		{"limit inside", "call limit limit limit", func(d *diary) []proxy.Decorator {
			return []proxy.Decorator{d.decorator("call"), policy.Timeout(time.Second), policy.Retry(policy.Attempts{Backoff: -1}), d.decorator("limit")}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := new(diary)
			leaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, busy })
			_, err := leaf.With(tt.decorators(d)...)(t.Context(), proxy.NewRequest("GET", "/"))
			require.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
			assert.Equal(t, tt.notes, d.read())
		})
	}
}
