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
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// A ShadowSpec describes a [Shadow]. Only Mirror is required.
type ShadowSpec struct {
	// Mirror gets copies of the requests. Its answers go to Compare and nowhere else. A nil Mirror
	// is an error of NewShadow.
	Mirror Proxy

	// Name is the name of the mirror in the plan and in errors. If it is "", the mirror takes the
	// name of the first named step in the plan of Mirror that is not a function. If there is none,
	// it is "mirror".
	Name string

	// Timeout is how long a mirrored call may take, counted from its start; 0 is 10 s. Waiting for
	// the answer and Compare together may take as long again. A negative Timeout is an error of
	// NewShadow, because nothing else ends a mirrored call.
	Timeout time.Duration

	// Max is how many mirrored calls may run at a time, for all decorated proxies together. A call
	// above the limit is dropped, not queued. 0 is 100, negative is no limit.
	Max int

	// Compare gets the outcome of the answer and of the mirrored call, once both have ended. It
	// sees the answer as it passed the shadow, without the changes of outer decorators. A stream
	// has a status and headers but no Document. In a partial answer, Err says what is missing in
	// Document. The Name of the mirrored result is the Name above. The Name of the answer is that
	// of the first named step that it came from, or "answer".
	//
	// Compare runs on the goroutine of the mirrored call, which counts towards Max until Compare
	// returns. It is called concurrently, and usually after the client was answered. Its ctx has
	// the values of the call. A panic in Compare is reported; see [Report]. Compare is not called
	// if the answer takes longer than the mirrored call and Timeout together, or if Run was ended.
	Compare func(ctx context.Context, answer, mirrored Result)
}

const (
	defaultShadowTimeout = 10 * time.Second
	defaultShadowMax     = 100
)

// A Shadow calls a mirror with copies of the requests that other proxies get, to try out an
// upstream with real traffic. Create it with [NewShadow], and decorate proxies with
// [Shadow.Decorate]. A Shadow is safe for concurrent use.
//
// A Shadow works without Run, because every mirrored call ends at its Timeout. Pass it to
// adapter.Run to drain it at a stop, so that the end of the process does not cut mirrored calls
// off.
type Shadow struct {
	spec           ShadowSpec // with the defaults filled in
	honoursContext bool       // Mirror returns when its context ends
	mirror         Proxy      // Mirror as plans show it
	bound          *call.Bound
	opens          *call.Bound // of bodies that are being opened again
	dropped        atomic.Int64

	mu      sync.Mutex // guards the fields below, and users of every mirrorCall
	slots   int        // mirrored calls that run, including abandoned ones
	open    map[*mirrorCall]struct{}
	stopped bool
	idle    chan struct{} // closed when the shadow is stopped and no call is open
}

// NewShadow returns the shadow that s describes. The error joins everything that is wrong with s: a
// nil Mirror, a negative Timeout.
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
	sh := &Shadow{spec: s, honoursContext: plan.HonoursContext(), bound: call.NewBound(-1), opens: call.NewBound(0), open: map[*mirrorCall]struct{}{},
		idle: make(chan struct{})}
	mirror := pipe.Described(s.Mirror)
	sh.mirror = pipe.Describe(mirror, sh.step(), mirror)
	return sh, nil
}

// step describes the mirror. The answer does not wait for the mirror, so the step honours the
// context of the call whatever the mirror does. Whether the mirror buffers or needs to replay a
// body does not concern the answer either: a request whose body cannot be replayed is not mirrored.
func (s *Shadow) step() pipe.Step {
	notes := []string{s.spec.Timeout.String()}
	if s.spec.Max > 0 {
		notes = append(notes, fmt.Sprintf("%d at once", s.spec.Max))
	}
	effects := pipe.CallsOnce | pipe.HonoursContext | pipe.Detached | pipe.Keeps
	if s.spec.Compare != nil {
		notes, effects = append(notes, "compared"), effects|pipe.Opaque
	}
	return pipe.Step{Mark: mark.Ours(), Kind: "mirror", Name: s.spec.Name, Detail: strings.Join(notes, ", "), Source: pipe.Here(),
		Acts: pipe.None, Effects: effects}
}

// Decorate is a [Decorator]. The proxy that it returns answers as next does, and calls the mirror
// at the same time:
//
//	p.With(validate, shadow.Decorate)
//
// The answer is that of next alone. The mirror affects neither its status, headers and body, nor
// what is missing in it, nor when it comes. A decorator outside of the shadow, such as validation,
// runs before anything is mirrored. What a decorator inside does is not mirrored.
//
// The mirror gets a [Request.Clone], made before next is called. The request body is read again
// with GetBody. Informational answers, trailers and a change of protocols stay with the original.
// The clone has the Upstream headers that code set outside of the shadow, including credentials;
// set headers that are meant for one upstream alone inside of it. Of the client's headers, the
// mirror sends those that its own Spec names.
//
// The context of the mirrored call has the values of the caller's context, so that failures reach
// the same [Report], but it does not end with it. A client that leaves, or an answer that is
// complete, ends no mirrored call. A mirrored call that does not end at its Timeout is abandoned:
// an endpoint or agent counts it, it counts towards Max until it returns, and its late response is
// closed. A stream is closed unread.
//
// A call is not mirrored, and is counted by [Shadow.Dropped], if Max mirrored calls are already
// running, if the request body cannot be read again, or if the shadow was stopped. Such a call
// starts no goroutine. The errors of mirrored calls, partial ones too, are reported to Report. So
// is a panic or runtime.Goexit in a mirrored call.
//
// All proxies that one Shadow decorates share Max and the counts.
func (s *Shadow) Decorate(next Proxy) Proxy {
	next = pipe.Described(next)
	sh := &shadowed{shadow: s, next: next}
	step := pipe.Step{Mark: mark.Ours(), Kind: "shadow", Source: pipe.Here(), Acts: pipe.In, Layout: pipe.Parallel,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful | pipe.Keeps, State: s}
	p := pipe.Describe(sh.call, step, next, s.mirror)
	sh.name = nameIn(pipe.PlanOf(next), "answer")
	return p
}

// Dropped returns how many calls were not mirrored, or were cut off because Run was ended.
func (s *Shadow) Dropped() int64 { return s.dropped.Load() }

// Running returns how many mirrored calls are running, including abandoned ones that have not
// returned.
func (s *Shadow) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots
}

// Run blocks until ctx ends or the shadow is drained, and then returns nil. After that, nothing is
// mirrored. When ctx ends, Run cancels the calls that are still running and gives them half a
// second to return. To let them finish, call Drain first.
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

// Drain stops mirroring, waits until the running calls have ended, including Compare, and lets Run
// return. If ctx ends first, Drain returns the error of ctx, wrapped. It does not wait for
// abandoned calls. A drained shadow cannot be started again. Calling Drain again waits again.
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

// cut cancels the open calls.
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
	m.answer = Result{Name: s.name, Err: errNotReturned} // stays if next panics
	res, err := s.next(ctx, req)
	if m.answer = seenOf(s.name, res, err); res != nil {
		m.answer.Header = res.Header.Clone() // the caller may change the response
	}
	return res, err
}

var errNotReturned = &Error{Status: http.StatusInternalServerError, Err: errors.New("the call ended in a panic")}

// seenOf returns the outcome of a call as Compare sees it.
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
	base   call.Clock // has the values of the caller's context; the end of Run cancels it
	clock  call.Clock // the context of the call
	req    Request
	users  int // how many goroutines keep the slot

	watched *watch.Call // kept open until the goroutine has called the mirror; nil if nobody watches

	answered chan struct{} // closed when answer is known; nil without Compare
	answer   Result
}

// start starts a call of the mirror with a copy of the request. If it drops the call, it returns
// nil.
func (s *Shadow) start(ctx context.Context, req *Request) *mirrorCall {
	if !req.Replayable() {
		s.dropped.Add(1)
		pipe.Note(ctx, "skipped", s.spec.Name)
		return nil
	}
	m := s.take()
	if m == nil {
		s.dropped.Add(1)
		pipe.Note(ctx, "limited", s.spec.Name)
		return nil
	}
	m.base.StartCancellable(call.Detach(ctx))
	if !m.copyOf(ctx, req) {
		return nil
	}
	if s.spec.Compare != nil {
		m.answered = make(chan struct{})
	}
	m.watched = watch.Retain(ctx)
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

// leave ends the mirroring. An abandoned call keeps its slot.
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

// release gives the slot back unless another goroutine keeps it.
func (m *mirrorCall) release() {
	m.shadow.mu.Lock()
	defer m.shadow.mu.Unlock()
	if m.users--; m.users == 0 {
		m.shadow.slots--
	}
}

// copyOf copies the request, and reports whether that succeeded. GetBody is code of the user, and
// its failure must not become one of the answer.
func (m *mirrorCall) copyOf(ctx context.Context, req *Request) (made bool) {
	defer func() {
		if v := recover(); v != nil {
			m.report(pipe.NewPanicError(v))
		}
		if !made {
			m.shadow.dropped.Add(1)
			m.leave()
		}
	}()
	if err := req.cloneTo(&m.req, copierFor(ctx).writers, opens(ctx, m.shadow.opens)); err != nil {
		m.report(err)
		return false
	}
	return true
}

// mirrored runs the call on its own goroutine.
func (m *mirrorCall) mirrored() {
	defer m.leave()
	defer m.watched.Release()
	if m.base.Err() != nil { // Run has ended in the meantime
		call.Discard(&m.base, m.req.Body)
		m.shadow.dropped.Add(1)
		return
	}
	m.clock.Start(&m.base, time.Now().Add(m.shadow.spec.Timeout))
	m.branch = branch{Ctx: &m.clock, Task: m, Bound: m.shadow.bound, Close: closeResponse, HonoursContext: m.shadow.honoursContext}
	defer m.conclude() // even if code in the mirror ends the goroutine
	if m.shadow.honoursContext {
		m.branch.Run()
		return
	}
	m.users = 2 // until both goroutines have ended
	_, _ = m.branch.Await()
}

// Do calls the mirror and closes the body that the request was copied with, even if the mirror
// replaces it.
func (m *mirrorCall) Do(ctx context.Context) (*Response, error) {
	if !m.shadow.honoursContext {
		defer m.release()
	}
	defer call.Discard(&m.base, m.req.Body)
	return call.Checked(m.shadow.mirror(ctx, &m.req))
}

// Arrived does nothing, because the goroutine of the call waits.
func (m *mirrorCall) Arrived() {}

// conclude reports and compares the outcome of the call.
func (m *mirrorCall) conclude() {
	if result, whole := m.result(); whole && m.answered != nil {
		m.compare(result)
	}
}

// result ends the call, and returns its outcome and whether it was not cut off.
func (m *mirrorCall) result() (result Result, whole bool) {
	defer m.clock.Cancel()
	res, err := m.branch.Result()
	if m.branch.HasArrived() {
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
	if err := call.Close(res); call.Panicked(err) {
		m.report(&Error{Op: "close", Err: err})
	}
}

// compare waits for the answer and passes both results to Compare.
func (m *mirrorCall) compare(result Result) {
	ctx := call.After(&m.base, m.shadow.spec.Timeout)
	select {
	case <-m.answered:
	default: // calling Done sets a timer, so it is not called above
		select {
		case <-m.answered:
		case <-ctx.Done():
			return
		}
	}
	if ctx.Err() != nil { // Run has ended
		return
	}
	m.guarded("compare", func() { m.shadow.spec.Compare(ctx, m.answer, result) })
}

// guarded calls f, which is code of the user, and reports a panic or runtime.Goexit.
func (m *mirrorCall) guarded(op string, f func()) {
	returned := false
	defer func() {
		if !returned {
			m.report(&Error{Op: op, Err: call.PanicOf(recover())})
		}
	}()
	f()
	returned = true
}

func (m *mirrorCall) report(err error) { Report(&m.base, m.named(err)) }

func (m *mirrorCall) named(err error) error {
	return fmt.Errorf("shadow %s: %w", m.shadow.spec.Name, err)
}
