package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A handler is the http.Handler that New makes.
type handler struct {
	spec  Spec                                      // with the limits filled in: 0 is no limit
	serve pipe.Pipe[*http.Request, *proxy.Response] // answers a request, within its exchange
	call  proxy.Proxy                               // the pipe in its guards, held to its deadline
	scope call.Scope

	guarded bool // there are guards
	lends   bool // the memory of upstreams' bodies is lent for one exchange; see pipe.Step.Lends

	formats []format // nil is JSON

	// direct says that what a response reads from honours the context too, so that it can be read
	// and closed on the goroutine of the handler.
	direct       bool
	maxAbandoned int64        // 0 is no limit
	abandoned    atomic.Int64 // streams and tunnels, in code that ignores that they have ended
	closings     *call.Bound  // what counts those that block in Close

	documents sync.Pool // of *[]byte: a Document while it is written
	chunks    sync.Pool // of *[writeSize]byte: the buffer of a stream that only our code reads
}

// newHandler returns the handler of a Spec that was checked, and has its limits filled in. guarded is
// its pipe in its guards.
func newHandler(s Spec, guarded proxy.Proxy, source string) *handler {
	s.CacheControl = cacheControl(s.CacheControl)
	s.TrustedProxies = slices.Clone(s.TrustedProxies)
	s.Encode = slices.Clone(s.Encode)
	guarded = pipe.Described(guarded)
	plan := pipe.PlanOf(guarded)
	h := &handler{spec: s, guarded: s.hasGuards(), direct: plan.HonoursContext() && !handsOn(plan), closings: call.NewBound(-1)}
	h.formats, _ = formatsOf(s.Encode)
	h.maxAbandoned = int64(limit(s.MaxAbandoned, proxy.DefaultMaxAbandoned))
	if h.call = guarded; !plan.HonoursContext() {
		h.call = guarded.With(proxy.Hold(s.MaxAbandoned))
	}
	h.scope.Report = h.reportBeside
	h.scope.Serve(plan)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "endpoint", Name: s.Name, Detail: s.detail(), Source: source, Acts: pipe.Both,
		Layout: pipe.Around, Effects: pipe.CallsOnce | pipe.HonoursContext | pipe.Validates}
	if s.Stream {
		step.Effects |= pipe.Streams
	} else {
		step.Effects |= pipe.Buffers
	}
	if s.ETag || slices.ContainsFunc(h.formats, func(f format) bool { return !f.ours }) {
		step.Effects |= pipe.Keeps
	}
	step.Within, step.Waits = s.within()
	serve := pipe.Describe(serveExchange, step, guarded)
	h.lends = pipe.PlanOf(serve).Lends() == nil
	h.serve = pipe.Watched(serve, s.Watch)
	return h
}

// handsOn reports whether the answer may have a body from code that may ignore its context. A step
// that holds such code to the deadline answers for its calls, and not for the bodies it returns.
func handsOn(s *pipe.Step) bool {
	switch {
	case s.Effects.Has(pipe.Detached): // it does not answer
		return false
	case s.Effects.Has(pipe.Opaque), len(s.Steps) == 0 && !s.Effects.Has(pipe.HonoursContext):
		return true
	}
	return slices.ContainsFunc(s.Steps, handsOn)
}

// detail returns the limits that matter to a reader of the plan.
func (s Spec) detail() string {
	var words []string
	if s.Timeout > 0 {
		words = append(words, s.Timeout.String())
	} else {
		words = append(words, "no timeout")
	}
	switch {
	case s.hasGuards(): // the step of the body says it
	case s.Stream:
		words = append(words, "stream")
	default:
		words = append(words, "body "+s.sizeDetail())
	}
	if len(s.Encode) > 0 {
		words = append(words, formatNames(s.Encode))
	}
	if s.ETag {
		words = append(words, "etag")
	}
	return strings.Join(words, ", ")
}

// sizeDetail returns how large a request body may be.
func (s Spec) sizeDetail() string {
	if s.MaxBody > 0 {
		return "of " + size(s.MaxBody)
	}
	return "of any size"
}

// within returns how soon an answer begins, and how long the request body may take before the pipe
// is called. A body that is streamed takes from the time of the pipe.
func (s Spec) within() (within, waits time.Duration) {
	switch {
	case s.Stream:
		return s.Timeout, 0
	case s.ReadTimeout == 0:
		return 0, -1
	case s.Timeout == 0:
		return 0, s.ReadTimeout
	}
	return s.ReadTimeout + s.Timeout, s.ReadTimeout
}

// size returns the text of a number of bytes, in the largest unit that it is a whole number of.
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
func (h *handler) Plan() *pipe.Step { return pipe.PlanOf(h.serve) }

// Abandoned returns how many calls are still running at the moment although their client has been
// answered without them.
func (h *handler) Abandoned() int { return h.scope.Abandoned() + int(h.abandoned.Load()) }

// admit returns why no further stream or tunnel may begin, or nil.
func (h *handler) admit() error {
	if h.maxAbandoned > 0 && h.abandoned.Load()+h.closings.Len() >= h.maxAbandoned {
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "endpoint", Err: proxy.ErrAbandoned}
	}
	return nil
}

// report hands a failure to the hook. If the hook panics or exits, that is dropped: nobody is left
// to tell.
func (h *handler) report(ctx context.Context, err error) {
	if h.spec.Report == nil || err == nil {
		return
	}
	_ = apart(func() { h.spec.Report(ctx, err) })
}

// reportBeside is report for a failure that no client is answered with.
func (h *handler) reportBeside(ctx context.Context, err error) {
	if refuses(err) {
		err = &besideError{err}
	}
	h.report(ctx, err)
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.newExchange(w, r)
	defer x.sendAtExit()
	defer x.end()
	x.ctx.id, x.badHook = h.requestID(r)
	_, _ = h.serve(&x.ctx, r)
	x.serveEnds()
}
