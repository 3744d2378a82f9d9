package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

var (
	// ErrDraining means that the process is not ready because it has begun to stop.
	ErrDraining = errors.New("draining")

	// ErrCheckTimeout means that a check has not returned within its Timeout. The check fails with
	// it until it returns.
	ErrCheckTimeout = errors.New("the check has not returned in time")
)

// DefaultCheckTimeout is the Timeout of a [Check] that sets none.
const DefaultCheckTimeout = 2 * time.Second

// A Check tells whether something works that the process needs to serve requests.
type Check struct {
	// Name stands for the check in the readiness answer when it fails. It is required and must be
	// unique.
	Name string

	// Func returns nil if all is well. It is required. A panic is a failure. It never runs twice at
	// the same time: requests that come while it runs share its result.
	Func func(ctx context.Context) error

	// Timeout ends the context of Func, and the wait for Func. 0 is DefaultCheckTimeout, negative
	// is no limit.
	Timeout time.Duration

	// Optional makes the process ready even if the check fails. The answer still names the check.
	Optional bool
}

// Health answers whether the process is alive and whether it is ready for requests. It is safe for
// concurrent use.
//
//	health := router.NewHealth(router.Check{Name: "db", Func: db.PingContext})
//	r.Method("GET", "/healthz", health.Live())
//	r.Method("GET", "/readyz", health.Ready())
//	adapter.Run(ctx, adapter.Server{Handler: r, OnDrain: []func(){health.Drain}})
//
// Mount both where no guard of other routes (hosts, authentication, rates) stands in front of them;
// [PlanOf] shows what does.
type Health struct {
	checks   []*check
	faults   []error
	source   string // where it was made
	draining atomic.Bool
}

// NewHealth returns a Health that is ready while all required checks succeed and [Health.Drain] has
// not been called. A check without a name or a function is a fault, and so are two checks of the
// same name; see [Health.Fault].
func NewHealth(checks ...Check) *Health {
	h := &Health{source: pipe.Here()}
	fault := func(format string, args ...any) {
		h.faults = append(h.faults, fmt.Errorf("router: NewHealth: "+format, args...))
	}
	seen := map[string]bool{}
	for i, c := range checks {
		named := c.Name != ""
		switch {
		case !named && c.Func == nil:
			fault("check %d has no Name and a nil Func", i+1)
		case !named:
			fault("check %d has no Name", i+1)
		case c.Func == nil:
			fault("check %d (%s) has a nil Func", i+1, c.Name)
		}
		if seen[c.Name] {
			fault("check %d: there are two checks named %s", i+1, c.Name)
		}
		seen[c.Name] = named
		if c.Timeout == 0 {
			c.Timeout = DefaultCheckTimeout
		}
		h.checks = append(h.checks, &check{spec: c})
	}
	return h
}

// Fault returns everything that is wrong with the checks, joined, or nil. With a fault the process
// is never ready: no check runs, the readiness answer has status 503 and names the fault, and the
// plan of its handler shows it. The liveness answer is still 200.
func (h *Health) Fault() error { return errors.Join(h.faults...) }

// Drain makes the process not ready, for good. It is a hook for adapter.Server.OnDrain.
func (h *Health) Drain() { h.draining.Store(true) }

// Err runs the checks, all at once, and returns why the process is not ready, or nil if it is
// ready. The error is [ErrDraining], the Fault, or the failures of the required checks, each with
// its name, joined in the order of the checks. It is meant for logs: unlike the answer of
// [Health.Ready] it says what happened.
func (h *Health) Err(ctx context.Context) error {
	report := h.report(ctx)
	return errors.Join(report.required...)
}

// Live returns a handler that answers 200 as long as the process can answer at all. It runs no
// checks: to restart the process because its database is down would help nobody.
func (h *Health) Live() http.Handler {
	return healthHandler{name: "live", serve: func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, readiness{Status: "live"})
	}}
}

// Ready returns a handler that runs the checks, all at once, and answers 200, or 503 while the
// process drains or a required check fails, with an object such as
//
//	{"status":"unready","failing":["db"],"degraded":["mail"]}
//
// The status is "ready", "unready" or "draining". The member failing names the required checks that
// fail and degraded the optional ones, both in the order of the checks; only [Health.Err] says why.
// If there is a [Health.Fault], the member faults has its texts.
func (h *Health) Ready() http.Handler {
	return healthHandler{name: "ready", health: h, serve: func(w http.ResponseWriter, r *http.Request) {
		report := h.report(r.Context())
		status := http.StatusOK
		if len(report.required) > 0 {
			status = http.StatusServiceUnavailable
		}
		writeStatus(w, status, report.body)
	}}
}

type readiness struct {
	Status   string   `json:"status"`
	Failing  []string `json:"failing,omitempty"`
	Degraded []string `json:"degraded,omitempty"`
	Faults   []string `json:"faults,omitempty"`
}

type report struct {
	body     readiness
	required []error
}

func (h *Health) report(ctx context.Context) report {
	report := report{body: readiness{Status: "ready"}}
	if h.draining.Load() {
		report.body.Status = "draining"
		report.required = []error{ErrDraining}
		return report // whatever the checks say
	}
	if len(h.faults) > 0 {
		report.body.Status, report.required = "unready", h.faults
		for _, err := range h.faults {
			report.body.Faults = append(report.body.Faults, err.Error())
		}
		return report
	}
	runs := make([]*run, len(h.checks))
	for i, c := range h.checks {
		runs[i] = c.start(ctx)
	}
	for i, c := range h.checks {
		err := runs[i].wait(ctx)
		switch {
		case err == nil:
		case c.spec.Optional:
			report.body.Degraded = append(report.body.Degraded, c.spec.Name)
		default:
			report.body.Status = "unready"
			report.body.Failing = append(report.body.Failing, c.spec.Name)
			report.required = append(report.required, fmt.Errorf("check %s: %w", c.spec.Name, err))
		}
	}
	return report
}

// A check is a Check and the call of it that is running, if any.
type check struct {
	spec    Check
	mu      sync.Mutex
	running *run // guarded by mu
}

// A run is one call of a check. All requests that come while it runs wait for it.
type run struct {
	ctx    context.Context // ends with the timeout, not with the context of a request
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

// start returns the running call, or a new one. A call that ignores its context is waited for until
// its timeout, and no second call starts beside it.
func (c *check) start(ctx context.Context) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return c.running
	}
	run := &run{done: make(chan struct{})}
	detached := context.WithoutCancel(ctx) // requests other than the first may wait for it
	if c.spec.Timeout > 0 {
		run.ctx, run.cancel = context.WithTimeout(detached, c.spec.Timeout)
	} else {
		run.ctx, run.cancel = context.WithCancel(detached)
	}
	c.running = run
	go c.call(run)
	return run
}

func (c *check) call(run *run) {
	err := errors.New("the check ended its goroutine") // runtime.Goexit
	defer func() {
		if v := recover(); v != nil {
			err = pipe.NewPanicError(v)
		}
		c.mu.Lock()
		c.running = nil
		c.mu.Unlock()
		run.err = err
		close(run.done)
		run.cancel() // last: a waiter that sees the context end before done reports a timeout
	}()
	err = c.spec.Func(run.ctx)
}

func (r *run) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.ctx.Done():
	}
	select {
	case <-r.done:
		return r.err
	default:
		return ErrCheckTimeout
	}
}

// A healthHandler is a handler of a Health that has a plan.
type healthHandler struct {
	name   string
	health *Health // set for readiness only
	serve  http.HandlerFunc
}

func (h healthHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r) }

// Plan shows the handler in [PlanOf].
func (h healthHandler) Plan() *pipe.Step {
	step := &pipe.Step{Kind: "health", Name: h.name, Effects: pipe.Terminal}
	if h.health != nil {
		if step.Err = h.health.Fault(); step.Err != nil {
			step.Source = h.health.source
		}
	}
	return step
}

func writeStatus(w http.ResponseWriter, status int, body readiness) {
	b, err := json.Marshal(body)
	if err != nil { // strings always marshal
		status, b = http.StatusInternalServerError, nil
	}
	write(w, status, "application/json", b)
}
