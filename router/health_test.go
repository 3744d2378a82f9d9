package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/router"
)

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// proves H14, T4
func TestReadyNamesWhatFails(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial tcp 10.0.0.7:5432: refused")
	tests := []struct {
		name   string
		checks []router.Check
		status int
		body   string
	}{
		{"no checks", nil, 200, `{"status":"ready"}`},
		{"all well", []router.Check{{Name: "db", Func: failing(nil)}}, 200, `{"status":"ready"}`},
		{"required ones, in their order", []router.Check{{Name: "db", Func: failing(secret)}, {Name: "ok", Func: failing(nil)},
			{Name: "bus", Func: failing(secret)}}, 503, `{"status":"unready","failing":["db","bus"]}`},
		{"an optional one", []router.Check{{Name: "mail", Func: failing(secret), Optional: true}}, 200, `{"status":"ready","degraded":["mail"]}`},
		{"a panic", []router.Check{{Name: "db", Func: func(context.Context) error { panic(secret) }}}, 503, `{"status":"unready","failing":["db"]}`},
		{"the end of its goroutine", []router.Check{{Name: "db", Func: func(context.Context) error { runtime.Goexit(); return nil }}},
			503, `{"status":"unready","failing":["db"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			health := router.NewHealth(tt.checks...)
			w := serve(t, health.Ready(), "GET", "/readyz")
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.body, w.Body.String())
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, tt.status == 200, health.Err(t.Context()) == nil)
			assert.Equal(t, http.StatusOK, serve(t, health.Live(), "GET", "/healthz").Code, "it lives all the same")
		})
	}
}

func TestHealthErrSaysWhatHappened(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	health := router.NewHealth(router.Check{Name: "db", Func: failing(refused)},
		router.Check{Name: "bus", Func: func(context.Context) error { panic("bug") }})
	err := health.Err(t.Context())
	assert.ErrorIs(t, err, refused)
	assert.ErrorContains(t, err, "check db: refused")
	_, ok := errors.AsType[*pipe.PanicError](err)
	assert.True(t, ok)
}

func TestDrainEndsReadinessForGood(t *testing.T) {
	t.Parallel()
	calls := 0
	health := router.NewHealth(router.Check{Name: "db", Func: func(context.Context) error { calls++; return nil }})
	hooks := []func(){health.Drain} // as adapter.Server.OnDrain takes them
	for _, hook := range hooks {
		hook()
	}
	w := serve(t, health.Ready(), "GET", "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, `{"status":"draining"}`, w.Body.String())
	assert.ErrorIs(t, health.Err(t.Context()), router.ErrDraining)
	assert.Zero(t, calls)
	assert.Equal(t, http.StatusOK, serve(t, health.Live(), "GET", "/healthz").Code)
}

// proves T3
func TestReadyDoesNotWaitForACheckThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		health := router.NewHealth(
			router.Check{Name: "deaf", Func: func(context.Context) error { calls.Add(1); <-release; return nil }},
			router.Check{Name: "slow", Timeout: time.Second, Func: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			router.Check{Name: "free", Timeout: -1, Func: func(ctx context.Context) error {
				_, limited := ctx.Deadline()
				assert.False(t, limited)
				return nil
			}},
		)
		start := time.Now()
		w := serve(t, health.Ready(), "GET", "/readyz")
		assert.Equal(t, router.DefaultCheckTimeout, time.Since(start))
		assert.Equal(t, `{"status":"unready","failing":["deaf","slow"]}`, w.Body.String())

		start = time.Now()
		err := health.Err(t.Context())
		assert.ErrorIs(t, err, router.ErrCheckTimeout)
		assert.Equal(t, time.Second, time.Since(start), "its time is over already")
		assert.EqualValues(t, 1, calls.Load(), "there is never a second call beside one that hangs")

		close(release)
		synctest.Wait()
		w = serve(t, health.Ready(), "GET", "/readyz")
		assert.Equal(t, `{"status":"unready","failing":["slow"]}`, w.Body.String())
		assert.EqualValues(t, 2, calls.Load())
	})
}

func TestRequestsShareACheckThatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		health := router.NewHealth(router.Check{Name: "db", Func: func(ctx context.Context) error {
			calls.Add(1)
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
		gone, leave := context.WithCancel(t.Context())
		results := make(chan error, 3)
		go func() { results <- health.Err(gone) }()
		synctest.Wait()
		go func() { results <- health.Err(t.Context()) }()
		go func() { results <- health.Err(t.Context()) }()
		synctest.Wait()
		leave() // who asked first goes away
		assert.ErrorIs(t, <-results, context.Canceled)
		assert.NoError(t, <-results)
		assert.NoError(t, <-results)
		assert.EqualValues(t, 1, calls.Load())
	})
}

func TestHealthIsNotReadyWithWrongChecks(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	ok := router.Check{Name: "db", Func: func(context.Context) error { calls.Add(1); return nil }}
	for _, tt := range []struct {
		name   string
		checks []router.Check
		want   []string
	}{
		{"no name", []router.Check{ok, {Func: ok.Func}}, []string{"router: NewHealth: check 2 has no Name"}},
		{"no function", []router.Check{{Name: "db"}}, []string{"router: NewHealth: check 1 (db) has a nil Func"}},
		{"neither", []router.Check{{}}, []string{"router: NewHealth: check 1 has no Name and a nil Func"}},
		{"a name twice", []router.Check{ok, ok}, []string{"router: NewHealth: check 2: there are two checks named db"}},
		{"all of it", []router.Check{{Name: "a"}, ok, {Func: ok.Func, Optional: true}, ok}, []string{"router: NewHealth: check 1 (a) has a nil Func",
			"router: NewHealth: check 3 has no Name", "router: NewHealth: check 4: there are two checks named db"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			health := router.NewHealth(tt.checks...)
			text := strings.Join(tt.want, "\n")
			assert.EqualError(t, health.Fault(), text)
			assert.EqualError(t, health.Err(t.Context()), text)
			w := serve(t, health.Ready(), "GET", "/readyz")
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			body, err := json.Marshal(map[string]any{"status": "unready", "faults": tt.want})
			assert.NoError(t, err)
			assert.JSONEq(t, string(body), w.Body.String())
			assert.Equal(t, http.StatusOK, serve(t, health.Live(), "GET", "/healthz").Code, "it lives all the same")

			r := chi.NewRouter()
			r.Method("GET", "/healthz", health.Live())
			r.Method("GET", "/readyz", health.Ready())
			assert.Equal(t, text, pipetest.Faults(router.PlanOf(r)))
			assert.ErrorContains(t, router.PlanOf(r).Faults(), tt.want[0]+" (health_test.go:")

			health.Drain()
			assert.JSONEq(t, `{"status":"draining"}`, serve(t, health.Ready(), "GET", "/readyz").Body.String())
		})
	}
	assert.NoError(t, router.NewHealth(ok).Fault())
	assert.Zero(t, calls.Load(), "no check of a faulty Health runs")
}
