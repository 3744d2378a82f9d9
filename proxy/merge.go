package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Part is one proxy of a [Merge] or [MergeWith].
type Part struct {
	// Proxy answers with a Document whose root is an object, or with no Document (204). With Group,
	// and in MergeWith, the root may be another value. A nil Proxy is a fault in the plan.
	Proxy Proxy

	// Name is the name of the part in the plan and in errors. If it is "", the part takes the name
	// of the first named step in the plan of Proxy that is not a function. If there is none, it
	// takes its number, counted from 1.
	Name string

	// Group is the name of the member that the part's document, an object or any other value,
	// becomes in the answer. If it is "", the members of the document become members of the answer.
	Group string

	// Optional allows an answer without the part if it fails. The failure is then joined in
	// Response.Err. An optional part has a little less time than the others, so that the answer
	// without it is in time; see Merge.
	Optional bool

	// When decides whether the part is called; nil means always. A skipped part does not count as
	// missing. When runs on the goroutine of the part, with the part's copy of the request. If it
	// panics, the part fails.
	When func(ctx context.Context, req *Request) bool

	// Expose names the headers of the part's response that the answer carries; by default there are
	// none. Values from several parts appear in declared order.
	Expose []string
}

// Grouped returns a required part whose document, an object or any other value, becomes the member
// of that name. It is short for a Part with this Name and Group.
func Grouped(name string, p Proxy) Part {
	if name == "" && p != nil { // "" is a member name like any other
		p = grouped(p, name, pipe.Here())
	}
	return Part{Name: name, Group: name, Proxy: p}
}

// grouped returns p with its document wrapped in a member.
func grouped(p Proxy, member, source string) Proxy {
	p = pipe.Described(p)
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		res, err := p(ctx, req)
		if err != nil || res == nil {
			return res, err
		}
		res.Document = res.Document.Wrap(member)
		return res, nil
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "group", Detail: member, Source: source, Acts: pipe.Out,
		Effects: pipe.CallsOnce}, p)
}

// Optional returns a copy of the part that is optional, so that the merge can answer without it:
//
//	proxy.Optional(proxy.Grouped("recs", recs))
func Optional(part Part) Part {
	part.Optional = true
	return part
}

// Merge returns a proxy that calls all parts at once and answers with one object that has the
// members of all of them. For parts that need an earlier answer, see [Sequence]. For other ways to
// combine the documents of the parts, see [MergeWith].
//
// The parts run concurrently, each with its own copy of the request. If there are several, the body
// is replayed for each of them; a body that cannot be replayed is refused with
// [ErrBodyNotReplayable] before any part is called. A part that panics fails.
//
// The members appear in the declared order of the parts, whichever part answers first. A name that
// occurs again keeps its first place and takes its last value. Values are copied unchanged, digit
// for digit. The status is 200, and the headers are those that the parts expose. A part without a
// document adds nothing; if all parts are skipped or empty, the answer is {}.
//
// If a required part fails, the merge cancels the other parts and returns that error. A part also
// fails if it answers with a stream, with a 304 without a document ([ErrNotModified]), or with a
// root that is not an object. If an optional part fails, its error is joined in Err of the response, in declared order. If all parts are optional
// and all of them fail, the joined error is the error of the merge.
//
// If the context has a deadline, optional parts end before it, by a tenth of the remaining time but
// at most 250 ms, so that the partial answer is in time. A merge inside an optional part does not
// shorten the time again, unless it has an earlier deadline of its own.
//
// A part that ignores its context is abandoned when its time is over; see [Hold] for what that
// means and [Spec] for the limit. At the limit, parts that may ignore their context fail with
// [ErrAbandoned] without being called. A merge that requires such a part is refused at once; any
// other merge goes on without them.
//
// It is a fault in the plan if there are no parts, if a part has no proxy or one that is certain to
// answer with a stream, or if two parts have the same name, given or derived.
func Merge(parts ...Part) Proxy { return newMerge(Spec{Parts: parts}) }

type merge struct {
	parts      []mergePart
	optional   int  // how many parts are optional
	loose      bool // a required part, or the user's Combine, may ignore its context; Do refuses optional parts
	method     method
	combine    Combine // of the custom method
	maxMembers int     // as document.Merge takes it
	bound      *call.Bound
	opens      *call.Bound // of bodies that are being opened again
}

type mergePart struct {
	Part
	i              int    // the index of the part
	method         method // of the merge
	honoursContext bool   // it ends with its context, without being abandoned
	reads          bool   // it only reads its request; see call.OnlyReads
}

func newMerge(s Spec) Proxy {
	m := &merge{method: methodOf(s.Combine), combine: s.Combine, maxMembers: s.MaxMembers, bound: call.NewBound(s.MaxAbandoned), opens: call.NewBound(0)}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "merge", Name: s.Name, Detail: counted(len(s.Parts), "part"), Source: pipe.Here(),
		Layout: pipe.Parallel, Effects: pipe.CallsOnce | pipe.Buffers | pipe.HonoursContext}
	faults := faultsOf("Merge", s.Name)
	if len(s.Parts) == 0 {
		faults.add("there are no parts")
	}
	var inner []pipe.Any
	seen := map[string]bool{}
	for i, part := range s.Parts {
		plan := pipe.PlanOf(part.Proxy)
		if part.Name == "" {
			part.Name = nameIn(plan, strconv.Itoa(i+1))
		}
		which := numbered("part", i, part.Name)
		if seen[part.Name] {
			faults.add("%s has the name of another part", which)
		}
		seen[part.Name] = true
		if part.Proxy == nil {
			faults.add("%s has a nil Proxy", which)
			continue
		}
		if call.AlwaysStreams(plan) {
			faults.add("%s answers with a stream, which cannot be merged: decode it", which)
		}
		if part.Group != "" {
			part.Proxy = grouped(part.Proxy, part.Group, step.Source)
		}
		part.Expose = slices.Clone(part.Expose)
		part.Proxy = part.described(step.Source)
		m.parts = append(m.parts, mergePart{Part: part, i: i, method: m.method, honoursContext: part.When == nil && plan.HonoursContext(),
			reads: call.OnlyReads(pipe.PlanOf(part.Proxy))})
		inner = append(inner, part.Proxy)
		if part.Optional {
			m.optional++
		}
		m.loose = m.loose || !part.Optional && !m.parts[len(m.parts)-1].honoursContext
	}
	if len(s.Parts) > 1 {
		step.Effects |= pipe.NeedsReplay
	}
	if how := methodNames[m.method]; how != "" {
		step.Detail += ", " + how
	}
	if m.method == custom {
		m.loose = true
		step.Effects |= pipe.Opaque
	}
	step.Err = faults.err()
	return pipe.Describe(m.call, step, inner...)
}

// described returns the proxy of the part as the plan shows it.
func (p Part) described(source string) Proxy {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "part", Name: p.Name, Source: source, Acts: pipe.None, Calls: 1}
	var notes []string
	if p.Optional {
		notes, step.Effects = append(notes, "optional"), pipe.Skippable
	}
	if p.When != nil {
		notes, step.Effects = append(notes, "conditional"), pipe.Skippable|pipe.Opaque
	}
	step.Detail = strings.Join(notes, ", ")
	p.Proxy = pipe.Described(p.Proxy)
	return pipe.Describe(p.Proxy, step, p.Proxy)
}

// counted returns a number and its noun, as in "1 part" and "2 parts".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// nameIn returns the first name in a plan that is neither a function's nor inside a mirror. If
// there is none, it returns other.
func nameIn(plan *pipe.Step, other string) string {
	if name := firstName(plan); name != "" {
		return name
	}
	return other
}

func firstName(s *pipe.Step) string {
	switch {
	case s.Effects.Has(pipe.Detached): // the answer does not come from a mirror
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

// A mergeCall is one call of a merge.
type mergeCall struct {
	merge    *merge
	ctx      call.Clock  // the caller's context, made cancellable
	early    *call.Clock // the context of optional parts, if it ends sooner
	branches []mergeBranch
	group    call.Group[*Response]
	failed   atomic.Int32 // index + 1 of the first required part that failed
}

// A mergeBranch is the call of one part.
type mergeBranch struct {
	branch  branch
	call    *mergeCall
	part    *mergePart
	req     Request
	skipped bool // by When
}

func (m *merge) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "merge", Err: err}
	}
	if m.loose && m.bound.Full(ctx) {
		return nil, fmt.Errorf("merge: %w", errFull())
	}
	c := &mergeCall{merge: m, branches: make([]mergeBranch, len(m.parts))}
	if err := req.fork(ctx, m.opens, len(c.branches), c.request); err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	defer checkShared(ctx, req)()
	c.ctx.StartCancellable(ctx)
	defer c.ctx.Cancel()
	if m.optional > 0 {
		if c.early = call.ForOptional(&c.ctx); c.early != nil {
			defer c.early.Cancel()
		}
	}
	defer c.closeAll() // even if a part ends the goroutine
	c.run()
	return c.answer(ctx)
}

// request returns the request of a branch, and whether its part only reads it.
func (c *mergeCall) request(i int) (req *Request, reads bool) {
	return &c.branches[i].req, c.merge.parts[i].reads
}

// run runs the branches and returns when each has arrived or was left, even if the last one ends
// the goroutine.
func (c *mergeCall) run() {
	defer c.group.Wait()
	var early context.Context
	if c.early != nil {
		early = c.early
	}
	c.group.Begin(len(c.branches), &c.ctx, early)
	last := len(c.branches) - 1
	for i := range c.branches {
		b := &c.branches[i]
		b.call, b.part = c, &c.merge.parts[i]
		b.branch = branch{Ctx: &c.ctx, Task: b, Bound: c.merge.bound, Close: closeResponse, HonoursContext: b.part.honoursContext}
		if early != nil && b.part.Optional {
			b.branch.Ctx = early
		}
		if i < last {
			c.group.Go(&b.branch)
		} else {
			c.group.Run(&b.branch)
		}
	}
}

// Do calls the part, and closes the body of its copy of the request. It refuses if too many calls
// are abandoned and this one could become one more.
func (b *mergeBranch) Do(ctx context.Context) (*Response, error) {
	if body := b.req.Body; body != nil && len(b.call.branches) > 1 {
		defer call.Discard(ctx, body)
	}
	if !b.part.honoursContext && b.call.merge.bound.Full(ctx) {
		return nil, errFull()
	}
	if b.part.When != nil && !b.part.When(ctx, &b.req) {
		pipe.Note(ctx, "skipped", b.part.Name)
		b.skipped = true
		return &Response{}, nil
	}
	if b.part.When != nil {
		if err := ctx.Err(); err != nil {
			return nil, err // When has used up the time of the part
		}
	}
	res, err := call.Checked(b.part.Proxy(ctx, &b.req))
	if err != nil {
		return nil, err
	}
	if err := b.part.unfit(res); err != nil {
		discard(ctx, res)
		return nil, err
	}
	return res, nil
}

// Arrived cancels the other parts if a required part has failed.
func (b *mergeBranch) Arrived() {
	if _, err := b.branch.Result(); err != nil && !b.part.Optional && b.call.failed.CompareAndSwap(0, int32(b.part.i)+1) {
		b.call.ctx.Cancel()
	}
}

// unfit returns why a merge cannot use the response; named adds whose response it is.
func (p *mergePart) unfit(res *Response) error {
	if err := res.unusable(); err != nil {
		return &Error{Status: http.StatusBadGateway, Err: err}
	}
	return wrapError("", http.StatusBadGateway, p.method.unfit(p.i, res.Document))
}

// answer makes the response from what arrived.
func (c *mergeCall) answer(parent context.Context) (*Response, error) {
	if err := c.failure(parent); err != nil {
		return nil, err
	}
	res := &Response{Status: http.StatusOK, Header: headerFor(call.Described(parent))}
	var room [8]document.Document // on the stack
	docs := room[:0]
	var missing []error
	failures := 0
	for i := range c.branches {
		part := c.branches[i].part
		answer, err := c.branches[i].branch.Result()
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
	if failures == len(c.branches) {
		return nil, fmt.Errorf("merge: %w", res.Err)
	}
	var err error
	if c.merge.method == custom {
		res.Document, err = c.custom()
	} else {
		name := func(i int) string { return c.merge.parts[i].Name }
		res.Document, err = c.merge.method.merge(parent, "merge", c.merge.maxMembers, name, docs...)
	}
	if err != nil {
		call.ReportPanic(parent, res.Err)
		return nil, err
	}
	notePartial(parent, res)
	return res, nil
}

// notePartial notes what is missing in an answer.
func notePartial(ctx context.Context, res *Response) {
	if res.Err != nil && watch.Of(ctx) != nil {
		pipe.Note(ctx, "partial", res.Err.Error())
	}
}

// failure returns the error of the first required part that failed. If that part failed because the
// context ended, it returns the errors of all required parts that failed. Errors of parts that were
// cancelled because of the first failure are dropped, but panics among them are reported.
func (c *mergeCall) failure(parent context.Context) error {
	first := int(c.failed.Load()) - 1
	ended := parent.Err() != nil
	if first >= 0 {
		_, err := c.branches[first].branch.Result()
		ended = ended && call.Is(err, parent.Err())
	} else if !ended {
		return nil
	}
	var errs, others []error
	for i := range c.branches {
		part := c.branches[i].part
		res, err := c.branches[i].branch.Result()
		if err == nil {
			err = res.Err
		} else if !part.Optional && (i == first || ended) {
			errs = append(errs, part.named(err))
			continue
		}
		others = append(others, err)
	}
	if len(errs) == 0 {
		return nil
	}
	for _, err := range others {
		call.ReportPanic(&c.ctx, err)
	}
	if len(errs) == 1 {
		return fmt.Errorf("merge: %w", errs[0])
	}
	return fmt.Errorf("merge: %w", errors.Join(errs...))
}

// named adds to err which part failed.
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

// closeAll closes the responses that arrived. Their documents stay valid.
func (c *mergeCall) closeAll() {
	for i := range c.branches {
		if b := &c.branches[i].branch; b.HasArrived() {
			res, _ := b.Result()
			discard(&c.ctx, res)
		}
	}
}
