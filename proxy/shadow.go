package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// A ShadowSpec describes a [Shadow]. Only Mirror is required.
type ShadowSpec struct {
	// Mirror gets copies of the requests; what it answers goes to Compare and nowhere else. nil is an error of NewShadow.
	Mirror Proxy

	// Name is the mirror's in the plan and in errors. "" takes that of the first named step in the plan of Mirror that is
	// not a function, and where there is none "mirror".
	Name string

	// Timeout is how long a mirrored call may take, counted from its start: 0 is 10 s. Waiting for the answer and Compare
	// together have as long again. A negative one is an error of NewShadow, for nobody else ends a mirrored call.
	Timeout time.Duration

	// Max is how many mirrored calls may run at a time, whichever of the proxies decorated they come from. A call beyond
	// it is dropped, not queued. 0 is 100, negative is no limit.
	Max int

	// Compare gets what the answer and the mirrored call came to, once both have ended. It sees the answer as it passed
	// the shadow, so nothing that stands outside has changed it. A stream has a status and headers but no Document, and Err
	// of a partial answer says what is missing in its Document. The mirror's Name is that above, the answer's is that of the
	// first named step it came from, or "answer".
	//
	// It runs on the goroutine of the mirrored call, which keeps its place among Max meanwhile; it is called concurrently,
	// and most often after the client was answered. Its ctx has the values of the call. A panic is reported, see [Report].
	// It is not called where the answer takes longer than the mirrored call and Timeout, or where Run was ended.
	Compare func(ctx context.Context, answer, mirrored Result)
}

const (
	defaultShadowTimeout = 10 * time.Second
	defaultShadowMax     = 100
)

// A Shadow calls a mirror beside other proxies with copies of their requests, to try out an upstream with real traffic.
// It is made by [NewShadow], wraps proxies with [Shadow.Decorate], and is safe for concurrent use.
//
// A Shadow works without Run: every mirrored call ends with Timeout. It is given to adapter.Run, where a stop drains it,
// so that mirrored calls are not cut when the process ends.
type Shadow struct {
	spec           ShadowSpec // with the defaults filled in
	honoursContext bool       // Mirror returns when its context is done
	mirror         pipe.Any   // as it stands in plans
	bound          *call.Bound
	dropped        atomic.Int64

	mu      sync.Mutex // guards what follows, and users of every mirrorCall
	slots   int        // mirrored calls that run, abandoned ones too
	open    map[*mirrorCall]struct{}
	stopped bool
	idle    chan struct{} // closed when it is stopped and nothing is open
}

// NewShadow returns the shadow that s describes. The error joins what is wrong with s: a nil Mirror, a negative Timeout.
func NewShadow(s ShadowSpec) (*Shadow, error) {
	var errs []error
	fault := func(text string) { errs = append(errs, fmt.Errorf("proxy: Shadow%s: %s", inBrackets(s.Name), text)) }
	if s.Mirror == nil {
		fault("the Mirror is nil")
	}
	if s.Timeout < 0 {
		fault(fmt.Sprintf("Timeout is %v, want 0 or more", s.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	plan := pipe.PlanOf(s.Mirror)
	if s.Name == "" {
		s.Name = nameIn(plan, "mirror")
	}
	if s.Timeout == 0 {
		s.Timeout = defaultShadowTimeout
	}
	if s.Max == 0 {
		s.Max = defaultShadowMax
	}
	sh := &Shadow{spec: s, honoursContext: plan.HonoursContext(), bound: call.NewBound(-1), open: map[*mirrorCall]struct{}{},
		idle: make(chan struct{})}
	sh.mirror = pipe.Describe(s.Mirror, sh.step(plan))
	return sh, nil
}

// step describes the mirror. Nobody waits for it, so it honours the context of the call whatever is inside; and that it
// buffers, or would have to read a body again, is no matter of the answer: a call that has no such body is mirrored, and
// another one is not.
func (s *Shadow) step(plan *pipe.Step) pipe.Step {
	for step := range plan.All() {
		step.Effects &^= pipe.Buffers | pipe.NeedsReplay
	}
	notes := []string{s.spec.Timeout.String()}
	if s.spec.Max > 0 {
		notes = append(notes, fmt.Sprintf("%d at once", s.spec.Max))
	}
	effects := pipe.CallsOnce | pipe.HonoursContext | pipe.Detached
	if s.spec.Compare != nil {
		notes, effects = append(notes, "compared"), effects|pipe.Opaque
	}
	return pipe.Step{Mark: mark.Ours(), Kind: "mirror", Name: s.spec.Name, Detail: strings.Join(notes, ", "), Source: pipe.Here(),
		Acts: pipe.None, Effects: effects, Steps: []*pipe.Step{plan}}
}

// Decorate is a [Decorator]. The proxy it returns answers as next does, and calls the mirror at the same time:
//
//	p.With(validate, shadow.Decorate)
//
// The answer is that of next alone: the mirror changes neither its status, headers and body, nor what is missing in it,
// nor when it comes. What stands outside, such as validation, is passed before anything is mirrored; what stands inside is
// not mirrored.
//
// The mirror gets a [Request.Clone], made before next is called: a request body is read again with GetBody, and
// informational answers, trailers and a change of protocols stay with the original. The Clone has what code has set in
// Upstream outside of the shadow, credentials among it; what is for one upstream alone stands inside. Of the client's
// headers the mirror sends on those that its own Spec names.
//
// The context of the mirrored call has the values of the caller's, so that failures reach the same [Report], but does not
// end with it: a client that leaves, or an answer that is complete, ends no mirrored call. One that does not end with its
// Timeout is given up: it is counted by [Scope.Abandoned], keeps its place among Max until it returns, and its late
// response is closed. A stream is closed unread.
//
// A call is not mirrored, and counted by [Shadow.Dropped], where Max run already, the request body cannot be read again,
// or the shadow was stopped. That costs no goroutine. What a mirrored call fails with, also in part, goes to Report; so
// does a panic or runtime.Goexit in it.
//
// The proxies that one Shadow decorates share Max and the counts.
func (s *Shadow) Decorate(next Proxy) Proxy {
	sh := &shadowed{shadow: s, next: next}
	step := pipe.Step{Mark: mark.Ours(), Kind: "shadow", Source: pipe.Here(), Acts: pipe.In, Layout: pipe.Parallel,
		Effects: pipe.CallsOnce | pipe.Stateful, State: s}
	p := pipe.Describe(sh.call, step, next, s.mirror)
	sh.name = nameIn(pipe.PlanOf(next), "answer")
	return p
}

// Dropped returns how many calls were not mirrored, or were cut off when Run was ended.
func (s *Shadow) Dropped() int64 { return s.dropped.Load() }

// Running returns how many mirrored calls run, those that were given up and have not returned among them.
func (s *Shadow) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots
}

// Run works until ctx ends, or the shadow is drained, and then returns nil. Nothing is mirrored after that. The calls that
// still run when ctx ends are cancelled and have half a second to return; to let them finish call Drain first.
func (s *Shadow) Run(ctx context.Context) error {
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
	}
	s.stop()
	s.cut()
	wait := time.NewTimer(500 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-s.idle:
	case <-wait.C:
	}
	return nil
}

// Drain mirrors no further calls, waits until those that run have ended, Compare included, and lets Run return. If ctx ends
// first it returns its error, wrapped. It does not wait for a call that was given up. Drain is final, and to call it again
// is to wait again.
func (s *Shadow) Drain(ctx context.Context) error {
	s.stop()
	select {
	case <-s.idle:
		return nil
	default:
	}
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("proxy: shadow %s: drain: %w", s.spec.Name, ctx.Err())
	}
}

func (s *Shadow) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped && len(s.open) == 0 {
		close(s.idle)
	}
	s.stopped = true
}

// cut cancels what is open.
func (s *Shadow) cut() {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, m := range open {
		m.base.Cancel()
	}
}

// A shadowed is a proxy with a shadow.
type shadowed struct {
	shadow *Shadow
	next   Proxy
	name   string // of the answer
}

func (s *shadowed) call(ctx context.Context, req *Request) (*Response, error) {
	m := s.shadow.start(ctx, req)
	if m == nil || m.answered == nil {
		return s.next(ctx, req)
	}
	defer close(m.answered)
	m.answer = Result{Name: s.name, Err: errNotReturned} // if it does not
	res, err := s.next(ctx, req)
	if m.answer = seenOf(s.name, res, err); res != nil {
		m.answer.Header = res.Header.Clone() // the response is the caller's to change
	}
	return res, err
}

var errNotReturned = &Error{Status: http.StatusInternalServerError, Err: errors.New("the call ended in a panic")}

// seenOf returns what a call came to, as Compare sees it.
func seenOf(name string, res *Response, err error) Result {
	switch {
	case err != nil:
		return Result{Name: name, Err: err}
	case res == nil:
		return Result{Name: name, Err: &Error{Status: http.StatusInternalServerError, Err: ErrNoResponse}}
	}
	return Result{Name: name, Status: res.StatusCode(), Header: res.Header, Document: res.Document, Err: res.Err}
}

// A mirrorCall is one call of the mirror.
type mirrorCall struct {
	branch branch
	shadow *Shadow
	base   call.Clock // has the values of the caller's context, and is cancelled by the end of Run
	clock  call.Clock // the context of the call
	req    Request
	users  int // goroutines that keep the slot

	answered chan struct{} // closed when answer is known; nil without Compare
	answer   Result
}

// start starts a call of the mirror with a copy of the request, or drops it and returns nil.
func (s *Shadow) start(ctx context.Context, req *Request) *mirrorCall {
	if !req.Replayable() {
		s.dropped.Add(1)
		return nil
	}
	m := s.take()
	if m == nil {
		s.dropped.Add(1)
		return nil
	}
	m.base.Free(call.Detached(ctx))
	if !m.copyOf(req, headersFor(ctx)) {
		return nil
	}
	if s.spec.Compare != nil {
		m.answered = make(chan struct{})
	}
	go m.mirrored()
	return m
}

// take takes a slot, if there is one.
func (s *Shadow) take() *mirrorCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.spec.Max > 0 && s.slots >= s.spec.Max {
		return nil
	}
	m := &mirrorCall{shadow: s, users: 1}
	s.slots++
	s.open[m] = struct{}{}
	return m
}

// leave ends the mirroring, but for a call that was given up.
func (m *mirrorCall) leave() {
	m.base.Cancel()
	m.release()
	s := m.shadow
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, m)
	if s.stopped && len(s.open) == 0 {
		close(s.idle)
	}
}

// release gives the slot back if nobody else keeps it.
func (m *mirrorCall) release() {
	m.shadow.mu.Lock()
	defer m.shadow.mu.Unlock()
	if m.users--; m.users == 0 {
		m.shadow.slots--
	}
}

// copyOf makes the request. GetBody is anybody's code, and its failure is not one of the answer.
func (m *mirrorCall) copyOf(req *Request, header func(http.Header) http.Header) (made bool) {
	defer func() {
		if v := recover(); v != nil {
			m.report(pipe.NewPanicError(v))
		}
		if !made {
			m.shadow.dropped.Add(1)
			m.leave()
		}
	}()
	if err := req.cloneTo(&m.req, header); err != nil {
		m.report(err)
		return false
	}
	return true
}

// mirrored is the goroutine of the call.
func (m *mirrorCall) mirrored() {
	defer m.leave()
	if m.base.Err() != nil { // Run was ended meanwhile
		closeBody(m.req.Body)
		m.shadow.dropped.Add(1)
		return
	}
	m.clock.Start(&m.base, time.Now().Add(m.shadow.spec.Timeout))
	m.branch = branch{Ctx: &m.clock, Task: m, Bound: m.shadow.bound, Close: closeResponse, HonoursContext: m.shadow.honoursContext}
	defer m.conclude() // also where code in the mirror has ended the goroutine
	if m.shadow.honoursContext {
		m.branch.Run()
		return
	}
	m.users = 2 // until both goroutines have ended
	_, _ = m.branch.Await()
}

// Do calls the mirror and closes the body of the copy, which may be another's then.
func (m *mirrorCall) Do(ctx context.Context) (*Response, error) {
	if !m.shadow.honoursContext {
		defer m.release()
	}
	defer closeBody(m.req.Body)
	return call.Checked(m.shadow.spec.Mirror(ctx, &m.req))
}

// Arrived does nothing: the goroutine of the call waits.
func (m *mirrorCall) Arrived() {}

// conclude reports and compares what the call came to.
func (m *mirrorCall) conclude() {
	if result, whole := m.result(); whole && m.answered != nil {
		m.compare(result)
	}
}

// result returns what the call came to, ends it, and reports whether it was not cut off.
func (m *mirrorCall) result() (result Result, whole bool) {
	defer m.clock.Cancel()
	res, err := m.branch.Result()
	if m.branch.Here() {
		defer m.close(res)
	}
	result = seenOf(m.shadow.spec.Name, res, err)
	switch {
	case result.Err == nil:
		return result, true
	case m.base.Err() == nil:
		m.report(result.Err)
		return result, true
	}
	m.shadow.dropped.Add(1)
	call.ReportPanic(&m.base, m.named(result.Err))
	return result, false
}

// close closes the response.
func (m *mirrorCall) close(res *Response) {
	m.guarded("close", func() { _ = res.Close() })
}

// compare waits for the answer and hands both to the hook.
func (m *mirrorCall) compare(result Result) {
	ctx := call.After(&m.base, m.shadow.spec.Timeout)
	select {
	case <-m.answered:
	default: // to ask for Done is to set the clock
		select {
		case <-m.answered:
		case <-ctx.Done():
			return
		}
	}
	if ctx.Err() != nil { // Run was ended
		return
	}
	m.guarded("compare", func() { m.shadow.spec.Compare(ctx, m.answer, result) })
}

// guarded calls f, which is anybody's code, and reports a panic or runtime.Goexit.
func (m *mirrorCall) guarded(op string, f func()) {
	returned := false
	defer func() {
		if !returned {
			m.report(&Error{Op: op, Err: call.Ended(recover())})
		}
	}()
	f()
	returned = true
}

func (m *mirrorCall) report(err error) { Report(&m.base, m.named(err)) }

func (m *mirrorCall) named(err error) error {
	return fmt.Errorf("shadow %s: %w", m.shadow.spec.Name, err)
}
