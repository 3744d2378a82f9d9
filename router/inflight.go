package router

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrFull is why [InFlight] refuses a request.
var ErrFull = errors.New("too many requests in flight")

// InFlight returns a middleware that serves n requests at a time, and refuses any further request at once
// with 503 and Retry-After: 1. The error wraps [ErrFull]. A request is in flight until its handler returns,
// so a stream, an upload and a tunnel count for as long as they last.
//
// It bounds what a process holds. It stands around what is costly: reading a body, verifying a credential.
// policy.InFlight bounds the calls of one upstream.
//
// The places belong to the returned value: routers that use it share them, and the plan shows that. It is
// safe for concurrent use. An n below 1 is a fault in the plan.
func InFlight(n int) func(http.Handler) http.Handler {
	var faults []error
	if n < 1 {
		faults = append(faults, fmt.Errorf("router: InFlight: n is %d, want 1 or more", n))
	}
	slots := make(chan struct{}, max(n, 0))
	step := pipe.Step{Kind: "inflight", Detail: fmt.Sprintf("%d at once", n), Acts: pipe.In, Effects: pipe.Stateful, State: slots}
	return described(step, faults, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case slots <- struct{}{}:
		default:
			endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusServiceUnavailable, Op: "inflight",
				Header: http.Header{"Retry-After": {"1"}}, Err: ErrFull})
			return
		}
		defer func() { <-slots }() // also after a panic
		next.ServeHTTP(w, r)
	})
}
