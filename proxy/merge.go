package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Part is one proxy of a [Merge] or [MergeWith].
type Part struct {
	// Proxy answers with a Document whose root is an object, or with none (204); MergeWith may take another root. nil is
	// a wiring mistake.
	Proxy Proxy

	// Name is the part's in the plan and in errors. "" takes that of the first named step in the plan of Proxy that is
	// not a function, and where there is none the part's number, counted from 1.
	Name string

	// Optional lets the answer go without the part when it fails: the failure is joined in Response.Err. An optional part
	// has a little less time than the rest, so that the answer without it is in time; see Merge.
	Optional bool

	// When decides whether the part is called. A part that is skipped is not missing. nil is always. It runs on the
	// goroutine of the part, on the part's copy of the request; a panic fails the part.
	When func(ctx context.Context, req *Request) bool

	// Expose names the headers of the part's response that the answer carries, none by default. Those of several parts
	// come in declared order.
	Expose []string
}

// Grouped returns a required part whose answer, an object or any other value, becomes the member with the name.
func Grouped(name string, p Proxy) Part {
	if p == nil {
		panic(fmt.Sprintf("proxy: Grouped: the proxy of %s is nil", name))
	}
	source := pipe.Here()
	call := func(ctx context.Context, req *Request) (*Response, error) {
		res, err := p(ctx, req)
		if err != nil || res == nil {
			return res, err
		}
		res.Document = res.Document.Wrap(name)
		return res, nil
	}
	step := pipe.Step{Kind: "group", Detail: name, Source: source, Acts: pipe.Out, Effects: pipe.CallsOnce}
	return Part{Name: name, Proxy: pipe.Describe(call, step, p)}
}

// Optional returns the part as one without which the answer can go:
//
//	proxy.Optional(proxy.Grouped("recs", recs))
func Optional(part Part) Part {
	part.Optional = true
	return part
}

// Merge returns a proxy that calls all parts at once and answers with one object that has the members of all of them. For
// parts that need an earlier answer see [Sequence], for other ways to make one document of the parts [MergeWith].
//
// Each part gets its own copy of the request, on a goroutine of its own; a body is replayed for each of several, and one
// that cannot be is refused with [ErrBodyNotReplayable] before any part is called. A panic of a part fails that part.
//
// The members stand in the declared order of the parts, whatever arrives first; a name that occurs again keeps its
// first place and takes its last value. Values are copied as they are, digit for digit. The status is 200, and the
// headers are those that parts expose. A part without a document adds nothing; if all are skipped or empty the answer
// is {}.
//
// A required part that fails cancels the others and is the error; a part that answers with a stream, or with a root
// that is no object, has failed. An optional part that fails is joined in Err of the response, in declared order, unless
// all parts are optional and all have failed: then that is the error. If the context has a deadline, optional parts end
// a tenth of the remaining time before it, at most 250 ms, so that the partial answer is in time; a merge inside an
// optional part does not take off again, unless it has an earlier deadline of its own.
//
// A part that ignores its context is abandoned when its time is over; see [Hold], and Spec for the limit. Above it the
// parts that may ignore their context fail with [ErrAbandoned], without being called: a merge that requires one is
// refused at once, and one that does not goes on without them.
//
// Merge panics if there are no parts, or one has no proxy or one that is certain to answer with a stream, or two have the
// same name. [New] returns that as an error.
func Merge(parts ...Part) Proxy {
	s := Spec{Parts: parts}
	if err := s.check(); err != nil {
		panic(err.Error())
	}
	return newMerge(s)
}

type merge struct {
	parts      []mergePart
	optional   int  // how many are
	held       bool // some may ignore their context
	method     method
	combine    Combine // of a custom method
	maxMembers int     // as document.Merge takes it
	abandoned  abandoned
}

type mergePart struct {
	Part
	i       int    // which one it is
	method  method // of the merge
	honours bool   // its context: its end need not be enforced
	fitting Proxy  // the part, held to what the merge can use
}

func newMerge(s Spec) Proxy {
	m := &merge{method: methodOf(s.Combine), combine: s.Combine, maxMembers: s.MaxMembers}
	if m.abandoned.limit = int64(s.MaxAbandoned); s.MaxAbandoned == 0 {
		m.abandoned.limit = DefaultMaxAbandoned
	}
	source := pipe.Here()
	var inner []pipe.Any
	for i, part := range s.Parts {
		plan := pipe.PlanOf(part.Proxy)
		if part.Name == "" {
			part.Name = nameIn(plan, strconv.Itoa(i+1))
		}
		part.Expose = slices.Clone(part.Expose)
		var notes []string
		var effects pipe.Effects
		if part.Optional {
			m.optional++
			notes = append(notes, "optional")
		}
		if part.When != nil {
			notes, effects = append(notes, "conditional"), pipe.Opaque
		}
		honours := part.When == nil && plan.HonoursContext()
		m.held = m.held || !honours
		p := mergePart{Part: part, i: i, method: m.method, honours: honours}
		p.fitting = p.call
		m.parts = append(m.parts, p)
		inner = append(inner, pipe.Describe(part.Proxy,
			pipe.Step{Kind: "part", Name: part.Name, Detail: strings.Join(notes, ", "), Source: source, Acts: pipe.None,
				Effects: effects}, part.Proxy))
	}
	effects := pipe.CallsOnce | pipe.Buffers | pipe.HonoursContext
	if len(s.Parts) > 1 {
		effects |= pipe.NeedsReplay
	}
	detail := fmt.Sprintf("%d parts", len(s.Parts))
	if len(s.Parts) == 1 {
		detail = "1 part"
	}
	if how := methodNames[m.method]; how != "" {
		detail += ", " + how
	}
	if m.method == custom {
		effects |= pipe.Opaque
	}
	return pipe.Describe(m.call, pipe.Step{Kind: "merge", Name: s.Name, Detail: detail,
		Source: source, Layout: pipe.Parallel, Effects: effects}, inner...)
}

// nameIn returns the first name in a plan that is not that of a function and stands in no mirror, or another one where
// there is none.
func nameIn(plan *pipe.Step, other string) string {
	if name := firstName(plan); name != "" {
		return name
	}
	return other
}

func firstName(s *pipe.Step) string {
	switch {
	case s.Kind == "mirror": // what is inside gives no answer
		return ""
	case s.Name != "" && s.Kind != "func":
		return s.Name
	}
	for _, inner := range s.Steps {
		if name := firstName(inner); name != "" {
			return name
		}
	}
	return ""
}

// A merging is one call of a merge.
type merging struct {
	*merge
	ctx      *Expiry // the caller's context, to cancel it
	early    *Expiry // the context of optional parts, where it ends sooner
	branches []mergeBranch
	arrived  chan struct{} // a token for each branch that came back
	failed   atomic.Int32  // index + 1 of the required part that failed first
}

// A mergeBranch is the call of one part.
type mergeBranch struct {
	branch
	*merging
	i       int
	req     Request
	skipped bool // by its condition
}

func (m *merge) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "merge", Err: err}
	}
	if err := m.refuse(); err != nil {
		return nil, err
	}
	c := &merging{merge: m, branches: make([]mergeBranch, len(m.parts)), arrived: make(chan struct{}, len(m.parts))}
	if err := c.copies(req, headersFor(ctx)); err != nil {
		return nil, err
	}
	c.ctx = cancellable(ctx)
	defer c.ctx.Cancel()
	if m.optional > 0 {
		if c.early = Earlier(c.ctx); c.early != nil {
			defer c.early.Cancel()
		}
	}
	c.start()
	c.await()
	return c.answer(ctx)
}

// refuse refuses the call while too many are abandoned and a required part, or the function that combines, could become
// one more; see proxy for optional parts.
func (m *merge) refuse() error {
	err := m.abandoned.refuse()
	if err == nil || m.method == custom ||
		slices.ContainsFunc(m.parts, func(p mergePart) bool { return !p.Optional && !p.honours }) {
		return err
	}
	return nil
}

// copies makes a copy of the request for each part, before any is called.
func (c *merging) copies(req *Request, header func(http.Header) http.Header) error {
	for i := range c.branches {
		c.branches[i].merging, c.branches[i].i = c, i
	}
	if err := req.fork(len(c.branches), header, func(i int) *Request { return &c.branches[i].req }); err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	return nil
}

func (c *merging) contextOf(i int) context.Context {
	if c.early != nil && c.parts[i].Optional {
		return c.early
	}
	return c.ctx
}

// start starts the branches, the last one here if it is sure to come back in time.
func (c *merging) start() {
	last := len(c.parts) - 1
	for i := range last {
		go c.branches[i].start()
	}
	if c.parts[last].honours {
		c.branches[last].start()
		return
	}
	go c.branches[last].start()
}

func (b *mergeBranch) start() { b.run(b.contextOf(b.i), b.proxy(), &b.req, b) }

// landed takes the result of the branch, or closes it if the branch was given up.
func (b *mergeBranch) landed(ours bool) {
	if !ours {
		b.abandoned.end(b.contextOf(b.i), &b.branch)
		return
	}
	if b.err != nil && !b.parts[b.i].Optional && b.failed.CompareAndSwap(0, int32(b.i)+1) {
		b.ctx.Cancel()
	}
	b.arrived <- struct{}{}
}

// proxy returns the proxy of the part, which closes the body of a copy, and which refuses while too many calls are
// abandoned and this could become one more.
func (b *mergeBranch) proxy() Proxy {
	call := b.parts[b.i].fitting
	if b.parts[b.i].When != nil {
		call = b.conditional
	}
	if !b.parts[b.i].honours {
		if err := b.abandoned.refuse(); err != nil {
			call = func(context.Context, *Request) (*Response, error) { return nil, err }
		}
	}
	if b.req.Body == nil || len(b.parts) == 1 {
		return call
	}
	return func(ctx context.Context, req *Request) (*Response, error) {
		defer closeBody(req.Body)
		return call(ctx, req)
	}
}

func closeBody(body io.ReadCloser) {
	if body != nil {
		_ = body.Close()
	}
}

// conditional is the part with its condition.
func (b *mergeBranch) conditional(ctx context.Context, req *Request) (*Response, error) {
	part := &b.parts[b.i]
	if !part.When(ctx, req) {
		b.skipped = true
		return &Response{}, nil
	}
	return part.fitting(ctx, req)
}

// call calls the part and holds it to what the merge can use.
func (p mergePart) call(ctx context.Context, req *Request) (*Response, error) {
	res, err := p.Proxy(ctx, req)
	if err != nil || res == nil {
		return res, err
	}
	if err := p.unfit(res); err != nil {
		_ = res.Close()
		return nil, err
	}
	return res, nil
}

// unfit says why a merge cannot use the response; named says whose it is.
func (p mergePart) unfit(res *Response) error {
	if res.open() {
		return &Error{Status: http.StatusBadGateway, Err: ErrStream}
	}
	return wrapError("", http.StatusBadGateway, p.method.unfit(p.i, res.Document))
}

// await returns when every branch has come back or been given up.
func (c *merging) await() {
	waiting := len(c.branches)
	var end, early <-chan struct{}
	if c.held {
		end, early = c.ctx.Done(), c.earlyDone()
	}
	for waiting > 0 {
		select {
		case <-c.arrived:
			waiting--
		case <-early:
			waiting -= c.giveUp(true)
			early = nil
		case <-end:
			waiting -= c.giveUp(false)
			end, early = nil, nil
		}
	}
}

func (c *merging) earlyDone() <-chan struct{} {
	if c.early == nil {
		return nil
	}
	return c.early.Done()
}

// giveUp abandons the branches that are still running and may ignore their context, and returns how many. The others
// are sure to come back at once.
func (c *merging) giveUp(onlyOptional bool) int {
	n := 0
	for i := range c.branches {
		part, b := &c.parts[i], &c.branches[i]
		if part.honours || onlyOptional && !part.Optional {
			continue
		}
		if c.abandoned.give(c.contextOf(i), &b.branch) {
			n++
		}
	}
	return n
}

// result returns what came of a part; what was given up is not touched.
func (c *merging) result(i int) (*Response, error) {
	b := &c.branches[i]
	if b.state.Load() == given {
		return nil, c.contextOf(i).Err() // the same text as that of a part which noticed in time
	}
	return b.res, b.err
}

// answer makes the response of what arrived.
func (c *merging) answer(parent context.Context) (*Response, error) {
	defer c.closeAll()
	if err := c.failure(parent); err != nil {
		return nil, err
	}
	res := &Response{Status: http.StatusOK, Header: headerFor(Described(parent))}
	var room [8]document.Document // of the stack
	docs := room[:0]
	var missing []error
	failures := 0
	for i := range c.parts {
		part := &c.parts[i]
		answer, err := c.result(i)
		docs = append(docs, document.Document{})
		if err != nil {
			failures++
			missing = append(missing, part.named(err))
			continue
		}
		if answer.Err != nil {
			missing = append(missing, part.named(answer.Err))
		}
		docs[i] = answer.Document
		expose(res, part.Expose, answer.Header)
	}
	res.Err = errors.Join(missing...)
	if failures == len(c.parts) {
		return nil, fmt.Errorf("merge: %w", res.Err)
	}
	var err error
	if c.method == custom {
		res.Document, err = c.custom()
	} else if res.Document, err = c.method.merge(c.maxMembers, docs...); err != nil {
		err = blame(err, func(i int) string { return c.parts[i].Name })
		err = &Error{Status: http.StatusBadGateway, Op: "merge", Err: err}
	}
	if err != nil {
		reportPanic(parent, res.Err)
		return nil, err
	}
	return res, nil
}

// failure is the error of the required part that failed first; where that is the end of the context, of all that failed
// by it. The parts that were cancelled by the first are no news, but a panic among them is.
func (c *merging) failure(parent context.Context) error {
	first := int(c.failed.Load()) - 1
	ended := parent.Err() != nil
	if first >= 0 {
		ended = ended && errors.Is(c.branches[first].err, parent.Err())
	} else if !ended {
		return nil
	}
	var errs, others []error
	for i := range c.parts {
		res, err := c.result(i)
		if err == nil {
			err = res.Err
		} else if !c.parts[i].Optional && (i == first || ended) {
			errs = append(errs, c.parts[i].named(err))
			continue
		}
		others = append(others, err)
	}
	if len(errs) == 0 {
		return nil
	}
	for _, err := range others {
		reportPanic(c.ctx, err)
	}
	if len(errs) == 1 {
		return fmt.Errorf("merge: %w", errs[0])
	}
	return fmt.Errorf("merge: %w", errors.Join(errs...))
}

// named says which part failed.
func (p Part) named(err error) error { return named("part", p.Name, err) }

// expose adds the named headers of h to those of res.
func expose(res *Response, names []string, h http.Header) {
	for _, name := range names {
		name = http.CanonicalHeaderKey(name)
		if values := h[name]; len(values) > 0 {
			if res.Header == nil {
				res.Header = http.Header{}
			}
			res.Header[name] = append(res.Header[name], values...)
		}
	}
}

// closeAll closes the responses that arrived. Their documents live on.
func (c *merging) closeAll() {
	for i := range c.branches {
		if c.branches[i].state.Load() == done {
			_ = c.branches[i].res.Close()
		}
	}
}
