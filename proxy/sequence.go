package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Stage is one proxy of a [Sequence].
type Stage struct {
	// Proxy answers with a Document, or with no Document (204). A nil Proxy is a fault in the plan.
	Proxy Proxy

	// Name is the name of the stage in the plan, in errors and for bindings. If it is "", the stage
	// takes the name of the first named step in the plan of Proxy that is not a function. If there
	// is none, it takes its number, counted from 1.
	Name string

	// Optional lets the sequence go on if the stage fails. The failure is then joined in
	// Response.Err. An optional stage has a little less time than the others; see Sequence.
	Optional bool

	// Internal keeps the document of the stage out of the answer, so that only later stages use it.
	Internal bool

	// Group is the name of the member that the stage's document, an object or any other value,
	// becomes in the answer. Later stages see the document without the group. If Group is "", the
	// members of the document become members of the answer.
	Group string

	// When decides whether the stage is called, from its request and the results of the earlier
	// stages; nil means always. A skipped stage does not count as missing.
	When func(ctx context.Context, req *Request, before Results) bool

	// Bind sets params, headers, query parameters or the body of the request from the answers of
	// earlier stages.
	Bind []Binding

	// Prepare changes the request in any other way: method, params, query, headers, or the body by
	// Request.SetBody. It runs after Bind. If it returns an error, the stage fails, with the status
	// that StatusOf finds in the error. A nil Prepare leaves the request as it is.
	Prepare func(ctx context.Context, req *Request, before Results) error

	// Expose names the headers of the stage's response that the answer carries; by default there
	// are none. Values from several stages appear in declared order.
	Expose []string
}

// Sequence returns a proxy that calls the stages one after another. It answers with one object that
// has the members of all their documents, except those of Internal stages, merged as in [Merge].
// The status is 200, and the headers are those that the stages expose. If only the last stage is
// not Internal, and it has no Group, its response is the answer as it is: status, headers, and a
// stream too.
//
// Each stage gets a copy of the request that the sequence was called with, without the changes that
// earlier stages made to their copies. If there are several stages, the body is replayed for each
// of them; a body that cannot be replayed is refused with [ErrBodyNotReplayable] before any stage
// is called. When, Bind and Prepare see the copy, and the results of the earlier stages in declared
// order. The functions own the slice of results, but must not change the headers in it.
//
// If a required stage fails, the sequence ends with its error, and no later stage is called. A
// stage whose response is not the answer also fails if it answers with a stream or with a 304 without a document, or if it is not
// Internal and answers with an ungrouped document whose root is not an object. If an optional stage
// fails, its error is joined in Err of the response; if no stage is left to answer, the joined
// error is the error of the sequence. A stage that binds to a stage that failed or was skipped
// fails if it is required, and is skipped if it is optional.
//
// All stages share one deadline. If there is one, optional stages end before it, by a tenth of the
// time that remained at the start of the sequence but at most 250 ms; see [Merge]. After the
// context has ended, no stage is called. A stage that ignores its context is abandoned when its
// time is over, and so is a stage whose When or Prepare ignores it; see [Hold] for what that means
// and [Spec] for the limit. At the limit, a sequence that requires a stage that may ignore its
// context is refused with [ErrAbandoned]; an optional stage of that kind fails without being
// called.
//
// A panic in a stage or in one of its functions fails that stage. If the stage's response would be
// the answer, a panic with [http.ErrAbortHandler] is passed on to the endpoint.
//
// It is a fault in the plan if there are no stages or only Internal ones, or if two stages have the
// same name, given or derived. It is also a fault if a stage has no proxy, a wrong binding, or a
// proxy that is certain to answer with a stream that cannot be the answer.
func Sequence(stages ...Stage) Proxy { return newSequence(Spec{Stages: stages}) }

type sequence struct {
	stages     []stage
	answering  int  // how many stages are not internal
	optional   bool // a stage is optional
	loose      bool // a required stage may ignore its context
	bound      *call.Bound
	opens      *call.Bound // of bodies that are being opened again
	maxMembers int         // as document.Merge takes it
}

type stage struct {
	Stage
	i              int   // the index of the stage
	honoursContext bool  // it ends with its context, without being abandoned
	reads          bool  // it only reads its request; see call.OnlyReads
	alone          bool  // its response is the answer
	from           []int // the stages that it binds to
}

func newSequence(spec Spec) Proxy {
	s := &sequence{bound: call.NewBound(spec.MaxAbandoned), opens: call.NewBound(0), maxMembers: spec.MaxMembers}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "sequence", Name: spec.Name, Detail: counted(len(spec.Stages), "stage"),
		Source: pipe.Here(), Layout: pipe.Serial, Effects: pipe.CallsOnce | pipe.HonoursContext}
	faults := faultsOf("Sequence", spec.Name)
	for i := range spec.Stages {
		s.add(spec.Stages[i], i)
	}
	switch {
	case len(s.stages) == 0:
		faults.add("there are no stages")
	case s.answering == 0:
		faults.add("all stages are internal, so none of them answers")
	}
	if len(spec.Parts) > 0 {
		faults.add("there are both Parts and Stages")
	}
	if spec.Combine != nil {
		faults.add("there is a Combine, which works only with Parts")
	}
	if n := len(s.stages); n > 1 {
		step.Effects |= pipe.NeedsReplay
	}
	var inner []pipe.Any
	for i := range s.stages {
		st := &s.stages[i]
		last := i == len(s.stages)-1
		st.alone = last && s.answering == 1 && !st.Internal && st.Group == ""
		if st.alone && st.When == nil && (!st.Optional || len(st.Bind) == 0) { // else it may be skipped
			step.Effects |= pipe.PassesOn
		}
		if last && !st.alone {
			step.Effects |= pipe.Buffers
		}
		s.check(i, faults)
		s.optional = s.optional || st.Optional && !st.alone
		s.loose = s.loose || !st.Optional && !st.honoursContext
		if st.Proxy != nil {
			st.Proxy = st.described(step.Source)
			st.reads = call.OnlyReads(pipe.PlanOf(st.Proxy))
			inner = append(inner, st.Proxy)
		}
	}
	step.Err = faults.err()
	return pipe.Describe(s.call, step, inner...)
}

// add adds a stage.
func (s *sequence) add(spec Stage, i int) {
	st := stage{Stage: spec, i: i}
	if !st.Internal {
		s.answering++
	}
	st.Bind, st.Expose = slices.Clone(st.Bind), slices.Clone(st.Expose)
	if st.Proxy != nil {
		plan := pipe.PlanOf(st.Proxy)
		if st.Name == "" {
			st.Name = nameIn(plan, strconv.Itoa(i+1))
		}
		st.honoursContext = st.When == nil && st.Prepare == nil && plan.HonoursContext()
	}
	s.stages = append(s.stages, st)
}

// check adds the faults of stage i, and looks up the stages that it binds to.
func (s *sequence) check(i int, faults *faults) {
	st := &s.stages[i]
	fault := func(format string, args ...any) {
		faults.add("%s "+format, append([]any{numbered("stage", i, st.Name)}, args...)...)
	}
	named := func(name string) int {
		return slices.IndexFunc(s.stages, func(st stage) bool { return name != "" && st.Name == name })
	}
	if st.Proxy == nil {
		fault("has a nil Proxy")
	} else if !st.alone && call.AlwaysStreams(pipe.PlanOf(st.Proxy)) {
		fault("answers with a stream, which only a last stage that is the whole answer may do: decode it")
	}
	if first := named(st.Name); first >= 0 && first < i {
		fault("has the name of another stage")
	}
	for k := range st.Bind {
		b := &st.Bind[k]
		from := named(b.stage)
		st.from = append(st.from, from)
		for _, err := range b.faults() {
			fault("binds %s: %v", b.title(), err)
		}
		switch {
		case from < 0:
			fault("binds %s to stage %q, which does not exist", b.title(), b.stage)
		case from >= i:
			fault("binds %s to stage %q, which is not called earlier", b.title(), b.stage)
		}
		if slices.ContainsFunc(st.Bind[:k], b.clashes) {
			fault("binds %s twice", b.title())
		}
	}
}

// described returns the proxy of the stage as the plan shows it, with what is done before and after
// it.
func (st *stage) described(source string) Proxy {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "stage", Name: st.Name, Source: source, Acts: pipe.None, Calls: 1}
	if st.When == nil { // else the answer may be none
		step.Effects = pipe.PassesOn
	}
	var notes []string
	if st.Optional {
		notes, step.Effects = append(notes, "optional"), step.Effects|pipe.Skippable
	}
	if st.When != nil {
		notes, step.Effects = append(notes, "conditional"), pipe.Opaque|pipe.Skippable
	}
	if st.Internal {
		notes = append(notes, "internal")
	}
	step.Detail = strings.Join(notes, ", ")
	p := pipe.Described(st.Proxy)
	if st.Prepare != nil {
		p = st.prepared(p, source)
	}
	for k := len(st.Bind) - 1; k >= 0; k-- {
		p = st.bound(p, k)
	}
	if st.Group != "" && !st.Internal {
		p = st.grouped(p, source)
	}
	return pipe.Describe(p, step, p)
}

// prepared returns p with the stage's Prepare before it.
func (st *stage) prepared(p Proxy, source string) Proxy {
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		if err := st.Prepare(ctx, req, slices.Clone(req.stage.before)); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err // Prepare has used up the time of the stage
		}
		return p(ctx, req)
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "prepare", Source: source, Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Opaque | pipe.WritesRequest}, p)
}

// bound returns p with binding k of the stage before it.
func (st *stage) bound(p Proxy, k int) Proxy {
	b := &st.Bind[k]
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		if err := b.apply(ctx, req, &req.stage.before[st.from[k]]); err != nil {
			return nil, err
		}
		return p(ctx, req)
	}
	return pipe.Describe(serve, b.step(), p)
}

// grouped returns p with the stage's document wrapped in its group. Later stages see it without.
func (st *stage) grouped(p Proxy, source string) Proxy {
	serve := func(ctx context.Context, req *Request) (*Response, error) {
		stage := req.stage
		res, err := call.Checked(p(ctx, req))
		if err != nil {
			return nil, err
		}
		stage.document, res.Document = res.Document, res.Document.Wrap(st.Group)
		return res, nil
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "group", Detail: st.Group, Source: source, Acts: pipe.Out,
		Effects: pipe.CallsOnce}, p)
}

// A sequenceCall is one call of a sequence.
type sequenceCall struct {
	seq     *sequence
	ctx     context.Context
	early   *call.Clock // the context of optional stages, if it ends sooner
	req     *Request
	copies  copier
	results Results              // of the stages so far
	docs    []document.Document  // what they add to the answer
	room    [8]document.Document // of docs, most often
	missing []error
	lost    int // how many stages that are not internal have failed
}

func (s *sequence) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "sequence", Err: err}
	}
	if len(s.stages) > 1 && !req.Replayable() {
		return nil, &Error{Op: "sequence", Err: ErrBodyNotReplayable}
	}
	if s.loose && s.bound.Full(ctx) {
		return nil, fmt.Errorf("sequence: %w", errFull())
	}
	c := &sequenceCall{seq: s, ctx: ctx, req: req, copies: copierFor(ctx), results: make(Results, 0, len(s.stages))}
	defer checkShared(ctx, req)()
	if n := len(s.stages); n <= len(c.room) {
		c.docs = c.room[:n]
	} else {
		c.docs = make([]document.Document, n)
	}
	if s.optional {
		if c.early = call.ForOptional(ctx); c.early != nil {
			defer c.early.Cancel()
		}
	}
	for i := range s.stages {
		st := &s.stages[i]
		res, skipped, err := c.run(st)
		switch {
		case err != nil:
			if err := c.without(st, err); err != nil {
				return nil, err
			}
		case st.alone && !skipped:
			return c.handOn(res), nil
		default:
			if res.Err != nil {
				c.missing = append(c.missing, st.named(res.Err))
			}
			discard(c.ctx, res) // the document lives on
		}
	}
	return c.answer()
}

// without decides whether the sequence can go on without a stage that failed. If it cannot, without
// returns the error of the sequence.
func (c *sequenceCall) without(st *stage, err error) error {
	abort := st.alone && aborts(err) // its response would be the answer, so the endpoint aborts
	if !abort {
		err = st.named(err)
	}
	if !st.Internal {
		c.lost++
	}
	if !st.Optional || abort {
		for _, other := range c.missing {
			c.reportBeside(err, other)
		}
		return within("sequence", err)
	}
	if c.missing = append(c.missing, err); c.lost == c.seq.answering {
		return fmt.Errorf("sequence: %w", errors.Join(c.missing...))
	}
	return nil
}

// reportBeside reports other if it holds a panic that err, the error of the sequence, does not
// hold.
func (c *sequenceCall) reportBeside(err, other error) {
	told, _ := call.As[*pipe.PanicError](err)
	if p, ok := call.As[*pipe.PanicError](other); ok && p != told {
		Report(c.ctx, other)
	}
}

// named adds to err which stage failed.
func (st *stage) named(err error) error { return named("stage", st.Name, err) }

// handOn makes the response of the last stage the answer. If it depends on the stages before, its
// Origin does not tell for whom and for how long it holds. A 304 keeps it, so that an endpoint sees
// whose 304 it is.
func (c *sequenceCall) handOn(res *Response) *Response {
	if len(c.seq.stages) > 1 && !res.notModified() {
		res.Origin = nil
	}
	if len(c.missing) > 0 {
		res.Err = errors.Join(append(c.missing, res.Err)...)
		notePartial(c.ctx, res)
	}
	own := res.Header
	res.Header = nil
	c.expose(res, len(c.seq.stages)-1)
	if len(res.Header) == 0 {
		res.Header = own
		return res
	}
	for name, values := range own {
		res.Header[name] = append(res.Header[name], values...)
	}
	return res
}

// answer makes the response from the documents.
func (c *sequenceCall) answer() (*Response, error) {
	res := &Response{Status: http.StatusOK, Header: headerFor(call.Described(c.ctx)), Err: errors.Join(c.missing...)}
	c.expose(res, len(c.seq.stages))
	var err error
	if res.Document, err = (document.Work{Context: c.ctx}).Merge(c.seq.maxMembers, c.docs...); err == nil {
		notePartial(c.ctx, res)
		return res, nil
	}
	call.ReportPanic(c.ctx, res.Err)
	if e, ok := errors.AsType[*document.MergeError](err); ok {
		err = c.seq.stages[e.Index].named(misfit{e})
	}
	return nil, workError("sequence", http.StatusBadGateway, err)
}

// expose copies the headers that the first n stages expose.
func (c *sequenceCall) expose(res *Response, n int) {
	for i := range n {
		expose(res, c.seq.stages[i].Expose, c.results[i].Header)
	}
}

// A stageCall is the call of one stage.
type stageCall struct {
	branch   branch
	stage    *stage
	req      Request
	before   Results
	document document.Document // without the group of the stage; set only if it has one
	skipped  bool
}

// run calls a stage and keeps its result.
func (c *sequenceCall) run(st *stage) (res *Response, skipped bool, err error) {
	b, res, err := c.runStage(st)
	result := Result{Name: st.Name, Err: err}
	if err == nil {
		skipped = b.skipped
		if result = resultOf(st.Name, res, nil, skipped); !st.Internal {
			c.docs[st.i] = res.Document
		}
		if st.Group != "" && !st.Internal {
			result.Document = b.document
		}
	}
	c.results = append(c.results, result)
	return res, skipped, err
}

// runStage calls a stage. The stage runs on the caller's goroutine if it is certain to return in
// time. A stage that failed may still be running, and its call belongs to it.
func (c *sequenceCall) runStage(st *stage) (b *stageCall, res *Response, err error) {
	ctx := c.ctx
	if st.Optional && !st.alone && c.early != nil {
		ctx = c.early
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if st.Optional && !st.honoursContext && c.seq.bound.Full(ctx) {
		return nil, nil, errFull()
	}
	b = &stageCall{stage: st, before: c.results}
	b.branch = branch{Ctx: ctx, Task: b, Bound: c.seq.bound, Close: closeResponse, HonoursContext: st.honoursContext}
	if st.alone { // it is the last stage, so it gets the connection and the body themselves
		c.req.copyTo(&b.req, c.copies.forProxy(st.reads))
	} else if err := c.req.cloneTo(&b.req, c.copies.forProxy(st.reads), opens(ctx, c.seq.opens)); err != nil {
		return nil, nil, err
	}
	b.req.stage = b
	if st.honoursContext {
		b.branch.Run()
		res, err = b.branch.Result()
	} else {
		res, err = b.branch.Await()
	}
	return b, res, err
}

// Arrived does nothing, because the caller waits.
func (b *stageCall) Arrived() {}

// Do calls the stage and its functions, and fails if the sequence cannot use the answer.
func (b *stageCall) Do(ctx context.Context) (*Response, error) {
	st, req := b.stage, &b.req
	if !st.alone {
		defer call.Discard(ctx, req.Body) // the body of the copy, even if Prepare replaces it
	}
	if st.When != nil && !st.When(ctx, req, slices.Clone(b.before)) || st.Optional && b.unbound() {
		pipe.Note(ctx, "skipped", st.Name)
		b.skipped = true
		return &Response{}, nil
	}
	if st.When != nil && len(st.Bind) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, err // When has used up the time of the stage
		}
	}
	res, err := call.Checked(st.Proxy(ctx, req))
	if err != nil || st.alone {
		return res, err
	}
	if err := st.unfit(res); err != nil {
		discard(ctx, res)
		return nil, err
	}
	return res, nil
}

// unbound reports whether a stage that this stage binds to failed or was skipped.
func (b *stageCall) unbound() bool {
	return slices.ContainsFunc(b.stage.from, func(i int) bool { return b.before[i].Err != nil || b.before[i].Skipped })
}

// unfit returns why a sequence cannot use the response; named adds whose response it is.
func (st *stage) unfit(res *Response) error {
	if err := res.unusable(); err != nil {
		return &Error{Status: http.StatusBadGateway, Err: err}
	}
	if st.Internal || st.Group != "" {
		return nil
	}
	return wrapError("", http.StatusBadGateway, shallow.unfit(st.i, res.Document))
}
