package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A handler is what New makes.
type handler struct {
	spec  Spec // with the limits filled in: 0 is none
	step  pipe.Step
	call  proxy.Proxy // the pipe, held to its deadline
	scope call.Scope

	formats []format // nil is JSON

	// direct says that no user code stands in the pipe, so that nothing it returns blocks past its context.
	direct   bool
	maxStuck int64        // 0 is no limit
	stuck    atomic.Int64 // streams and tunnels that were left alone

	documents sync.Pool // of *[]byte: an answer while it is written
	chunks    sync.Pool // of *[writeSize]byte: what passes through a stream that only our code reads
}

func newHandler(s Spec, source string) *handler {
	s.Timeout = limit(s.Timeout, DefaultTimeout)
	s.ReadTimeout = limit(s.ReadTimeout, DefaultReadTimeout)
	s.WriteTimeout = limit(s.WriteTimeout, DefaultWriteTimeout)
	s.IdleTimeout = limit(s.IdleTimeout, DefaultIdleTimeout)
	s.CacheControl = cacheControl(s.CacheControl)
	s.TrustedProxies = slices.Clone(s.TrustedProxies)
	s.Encode = slices.Clone(s.Encode)
	maxBody := int64(DefaultMaxBody)
	if s.Stream {
		maxBody = 0
	}
	s.MaxBody = limit(s.MaxBody, maxBody)
	h := &handler{spec: s, direct: pipe.PlanOf(s.Proxy).HonoursContext()}
	h.formats, _ = formatsOf(s.Encode)
	h.maxStuck = int64(limit(s.MaxAbandoned, proxy.DefaultMaxAbandoned))
	if h.call = s.Proxy; !h.direct {
		h.call = s.Proxy.With(proxy.Hold(s.MaxAbandoned))
	}
	h.scope.Report = h.report
	h.scope.Serve(pipe.PlanOf(s.Proxy))
	h.step = pipe.Step{Kind: "endpoint", Name: s.Name, Detail: s.detail(), Source: source, Acts: pipe.Both,
		Layout: pipe.Around, Effects: pipe.CallsOnce | pipe.HonoursContext}
	if s.Stream {
		h.step.Effects |= pipe.Streams
	} else {
		h.step.Effects |= pipe.Buffers
	}
	return h
}

// detail tells the limits that matter to a reader of the plan.
func (s Spec) detail() string {
	var words []string
	if s.Timeout > 0 {
		words = append(words, s.Timeout.String())
	} else {
		words = append(words, "no timeout")
	}
	switch {
	case s.Stream:
		words = append(words, "stream")
	case s.MaxBody > 0:
		words = append(words, "body of "+size(s.MaxBody))
	default:
		words = append(words, "body of any size")
	}
	if len(s.Encode) > 0 {
		words = append(words, formatNames(s.Encode))
	}
	return strings.Join(words, ", ")
}

// size writes a number of bytes in the largest unit that it is whole in.
func size(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	units := [...]string{"bytes", "KiB", "MiB", "GiB"}
	i := 0
	for ; i < len(units)-1 && n%1024 == 0; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

// Plan returns the plan of the endpoint, with that of the pipe inside.
func (h *handler) Plan() *pipe.Step {
	step := h.step
	step.Steps = []*pipe.Step{pipe.PlanOf(h.spec.Proxy)}
	return &step
}

// Abandoned returns how many calls run at the moment whose client was answered without them.
func (h *handler) Abandoned() int { return h.scope.Abandoned() + int(h.stuck.Load()) }

// crowded returns why no further stream or tunnel is begun, or nil.
func (h *handler) crowded() error {
	if h.maxStuck > 0 && h.stuck.Load() >= h.maxStuck {
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "endpoint", Err: proxy.ErrAbandoned}
	}
	return nil
}

// report hands a failure to the hook, whose panic nobody could report.
func (h *handler) report(ctx context.Context, err error) {
	if h.spec.Report == nil || err == nil {
		return
	}
	defer func() { _ = recover() }()
	h.spec.Report(ctx, err)
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Context: r.Context(), h: h, w: w, in: r}
	defer x.end()
	x.serve()
	x.served = true
}
