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
	// Proxy answers with a Document, or with none (204). nil is a wiring mistake.
	Proxy Proxy

	// Name is the stage's in the plan, in errors and for bindings. "" takes that of the first named step in the plan of
	// Proxy that is not a function, and where there is none the stage's number, counted from 1.
	Name string

	// Optional lets the sequence go on when the stage fails: the failure is joined in Response.Err. It has a little less
	// time than the rest; see Sequence.
	Optional bool

	// Internal keeps the stage's document out of the answer: it is for later stages.
	Internal bool

	// Group is the member that the stage's document, an object or any other value, becomes in the answer. Later stages
	// see the document without it. "" is none: the members of the document are those of the answer.
	Group string

	// When decides whether the stage is called, from its request and what came of the stages before. A stage that is
	// skipped is not missing. nil is always.
	When func(ctx context.Context, req *Request, before Results) bool

	// Bind sets params of the request from the documents of earlier stages.
	Bind []Binding

	// Prepare changes the request in any other way: method, params, query, headers, and the body by Request.SetBody. It
	// runs after Bind; its error fails the stage, with the status that StatusOf finds in it. nil leaves the request as
	// it is.
	Prepare func(ctx context.Context, req *Request, before Results) error

	// Expose names the headers of the stage's response that the answer carries, none by default. Those of several stages
	// come in declared order.
	Expose []string
}

// Sequence returns a proxy that calls the stages one after another and answers with one object that has the members of
// all their documents, Internal ones apart, merged as in [Merge]. The status is 200, and the headers are those that
// stages expose. If the last stage is the only one that is not Internal, and has no Group, its response is the answer as
// it is: status, headers and a stream too.
//
// Each stage gets a copy of the request as the sequence got it; what an earlier stage changed in its own is gone. A body
// is replayed for each of several, and one that cannot be is refused with [ErrBodyNotReplayable] before any stage is
// called. When, Bind and Prepare see the copy and, in declared order, what came of the stages before, which is theirs
// but for the headers.
//
// A required stage that fails ends the sequence and is its error; no later stage is called. A stage has failed, too, if it
// answers with a stream, or with a document whose root is neither an object nor grouped. An optional stage that fails is
// joined in Err of the response, unless no stage is left to answer. A required stage that binds to a stage that failed or
// was skipped fails; an optional one is skipped.
//
// All stages share one deadline. If there is one, optional stages have ended a tenth of the remaining time before it, at
// most 250 ms, counted from the start of the sequence; see [Merge]. No stage is called once the context is done. A stage
// that ignores its context, or whose When or Prepare does, is abandoned when its time is over; see [Hold]. While
// [DefaultMaxAbandoned] calls are, a sequence that requires a stage that could become one more is refused with
// [ErrAbandoned], and an optional one fails without being called. A panic in a stage or its functions fails that stage;
// one with [http.ErrAbortHandler], where the stage's response would be the answer, is handed on for the endpoint.
//
// It is a fault in the plan if there are no stages or only Internal ones, or one has no proxy, one that is certain to answer
// with a stream that cannot be the answer, or a wrong binding, or two have the same name, given or derived.
func Sequence(stages ...Stage) Proxy { return newSequence(Spec{Stages: stages}) }

type sequence struct {
	stages     []stage
	answering  int  // how many stages are not internal
	optional   bool // one is
	loose      bool // a required stage may ignore its context
	bound      *call.Bound
	maxMembers int // as document.Merge takes it
}

type stage struct {
	Stage
	i              int   // which one it is
	honoursContext bool  // to honour its context: its end need not be enforced
	alone          bool  // its response is the answer
	from           []int // the stages that it binds to
}

func newSequence(spec Spec) Proxy {
	s := &sequence{bound: call.NewBound(spec.MaxAbandoned), maxMembers: spec.MaxMembers}
	step := pipe.Step{Mark: mark.Ours(), Kind: "sequence", Name: spec.Name, Detail: counted(len(spec.Stages), "stage"),
		Source: pipe.Here(), Layout: pipe.Serial, Effects: pipe.CallsOnce | pipe.HonoursContext}
	faults := faultsOf("Sequence", spec.Name)
	for i := range spec.Stages {
		s.add(spec.Stages[i], i)
	}
	switch {
	case len(s.stages) == 0:
		faults.add("there are no stages")
	case s.answering == 0:
		faults.add("all stages are internal, none of them answers")
	}
	if len(spec.Parts) > 0 {
		faults.add("there are Parts beside the Stages")
	}
	if spec.Combine != nil {
		faults.add("there is a Combine, which is for Parts")
	}
	if n := len(s.stages); n > 1 {
		step.Effects |= pipe.NeedsReplay
	}
	var inner []pipe.Any
	for i := range s.stages {
		st := &s.stages[i]
		last := i == len(s.stages)-1
		st.alone = last && s.answering == 1 && !st.Internal && st.Group == ""
		if last && !st.alone {
			step.Effects |= pipe.Buffers
		}
		s.check(i, faults)
		s.optional = s.optional || st.Optional && !st.alone
		s.loose = s.loose || !st.Optional && !st.honoursContext
		if st.Proxy != nil {
			inner = append(inner, st.describe(step.Source))
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

// check adds what is wrong with stage i, and looks up the stages that it binds to.
func (s *sequence) check(i int, faults *faults) {
	st := &s.stages[i]
	fault := func(format string, args ...any) {
		faults.add("stage %d%s "+format, append([]any{i + 1, inBrackets(st.Name)}, args...)...)
	}
	named := func(name string) int {
		return slices.IndexFunc(s.stages, func(st stage) bool { return name != "" && st.Name == name })
	}
	if st.Proxy == nil {
		fault("has a nil Proxy")
	} else if !st.alone && call.Streams(pipe.PlanOf(st.Proxy)) {
		fault("answers with a stream, which only a last stage that is the whole answer may: decode it")
	}
	if first := named(st.Name); first >= 0 && first < i {
		fault("has the name of another stage")
	}
	for k := range st.Bind {
		b := &st.Bind[k]
		from := named(b.stage)
		st.from = append(st.from, from)
		err := b.fault()
		switch {
		case err != nil:
			fault("binds %q: %v", b.param, err)
		case from < 0:
			fault("binds %q to stage %q, which is none", b.param, b.stage)
		case from >= i:
			fault("binds %q to stage %q, which is not called before", b.param, b.stage)
		case slices.ContainsFunc(st.Bind[:k], func(other Binding) bool { return other.param == b.param }):
			fault("binds %q twice", b.param)
		}
	}
}

// describe returns the proxy of the stage as the plan shows it.
func (st *stage) describe(source string) pipe.Any {
	step := pipe.Step{Mark: mark.Ours(), Kind: "stage", Name: st.Name, Source: source, Acts: pipe.None}
	var notes []string
	if st.Optional {
		notes = append(notes, "optional")
	}
	if st.When != nil {
		notes, step.Effects = append(notes, "conditional"), pipe.Opaque
	}
	if st.Internal {
		notes = append(notes, "internal")
	}
	step.Detail = strings.Join(notes, ", ")
	if st.Group != "" && !st.Internal {
		step.Steps = append(step.Steps, &pipe.Step{Kind: "group", Detail: st.Group, Source: source, Acts: pipe.Out,
			Effects: pipe.CallsOnce | pipe.HonoursContext})
	}
	for k := range st.Bind {
		step.Steps = append(step.Steps, st.Bind[k].step())
	}
	if st.Prepare != nil {
		step.Steps = append(step.Steps, &pipe.Step{Kind: "prepare", Source: source, Acts: pipe.In,
			Effects: pipe.CallsOnce | pipe.Opaque})
	}
	return pipe.Describe(st.Proxy, step, st.Proxy)
}

// A sequenceCall is one call of a sequence.
type sequenceCall struct {
	seq     *sequence
	ctx     context.Context
	early   *call.Clock // the context of optional stages, where it ends sooner
	req     *Request
	header  func(http.Header) http.Header // copies one
	results Results                       // of the stages so far
	missing []error
	lost    int // how many of the stages that are not internal have failed
}

func (s *sequence) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "sequence", Err: err}
	}
	if len(s.stages) > 1 && !req.Replayable() {
		return nil, &Error{Op: "sequence", Err: ErrBodyNotReplayable}
	}
	if s.loose && s.bound.Full() {
		return nil, fmt.Errorf("sequence: %w", errFull())
	}
	c := &sequenceCall{seq: s, ctx: ctx, req: req, header: headersFor(ctx), results: make(Results, 0, len(s.stages))}
	if s.optional {
		if c.early = call.Earlier(ctx); c.early != nil {
			defer c.early.Cancel()
		}
	}
	for i := range s.stages {
		st := &s.stages[i]
		res, skipped, err := c.run(st)
		c.results = append(c.results, resultOf(st.Name, res, err, skipped))
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
			_ = res.Close() // the document lives on
		}
	}
	return c.answer()
}

// without decides whether the sequence can go on without a stage that failed, and returns its error if it cannot.
func (c *sequenceCall) without(st *stage, err error) error {
	abort := st.alone && aborts(err) // it stands where the answer does: the wish is for the endpoint
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

// reportBeside reports a panic that the error of the sequence does not hold.
func (c *sequenceCall) reportBeside(err, other error) {
	told, _ := errors.AsType[*pipe.PanicError](err)
	if p, ok := errors.AsType[*pipe.PanicError](other); ok && p != told {
		Report(c.ctx, other)
	}
}

// named says which stage failed.
func (st *stage) named(err error) error { return named("stage", st.Name, err) }

// handOn makes the response of the last stage the answer.
func (c *sequenceCall) handOn(res *Response) *Response {
	if len(c.missing) > 0 {
		res.Err = errors.Join(append(c.missing, res.Err)...)
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

// answer makes the response of the documents.
func (c *sequenceCall) answer() (*Response, error) {
	res := &Response{Status: http.StatusOK, Header: headerFor(call.Described(c.ctx)), Err: errors.Join(c.missing...)}
	var room [8]document.Document // of the stack
	docs := room[:0]
	for i := range c.seq.stages {
		var d document.Document
		if st := &c.seq.stages[i]; !st.Internal {
			d = c.results[i].Document
			if st.Group != "" {
				d = d.Wrap(st.Group)
			}
		}
		docs = append(docs, d)
	}
	c.expose(res, len(c.seq.stages))
	var err error
	if res.Document, err = document.Merge(c.seq.maxMembers, docs...); err == nil {
		return res, nil
	}
	if e, ok := errors.AsType[*document.MergeError](err); ok {
		err = c.seq.stages[e.Index].named(misfit{e})
	}
	call.ReportPanic(c.ctx, res.Err)
	return nil, &Error{Status: http.StatusBadGateway, Op: "sequence", Err: err}
}

// expose copies the headers that the first n stages expose.
func (c *sequenceCall) expose(res *Response, n int) {
	for i := range n {
		expose(res, c.seq.stages[i].Expose, c.results[i].Header)
	}
}

// A stageCall is the call of one stage.
type stageCall struct {
	branch  branch
	stage   *stage
	req     Request
	before  Results
	skipped bool
}

// run calls a stage, on the goroutine of the caller if it is sure to come back in time.
func (c *sequenceCall) run(st *stage) (res *Response, skipped bool, err error) {
	ctx := c.ctx
	if st.Optional && !st.alone && c.early != nil {
		ctx = c.early
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if st.Optional && !st.honoursContext && c.seq.bound.Full() {
		return nil, false, errFull()
	}
	b := &stageCall{stage: st, before: c.results}
	b.branch = branch{Ctx: ctx, Task: b, Bound: c.seq.bound, Close: closeResponse, HonoursContext: st.honoursContext}
	if st.alone { // nobody comes after it: the connection and the body itself are its own
		c.req.copyTo(&b.req, c.header)
	} else if err := c.req.cloneTo(&b.req, c.header); err != nil {
		return nil, false, err
	}
	if st.honoursContext {
		b.branch.Run()
		res, err = b.branch.Result()
	} else if res, err = b.branch.Await(); b.branch.Left() {
		return nil, false, err
	}
	return res, b.skipped, err
}

// Arrived does nothing: the caller waits.
func (b *stageCall) Arrived() {}

// Do calls the stage with its functions, held to what a sequence can use.
func (b *stageCall) Do(ctx context.Context) (*Response, error) {
	st, req := b.stage, &b.req
	if !st.alone {
		defer closeBody(req.Body) // the copy's, whatever Prepare puts in its place
	}
	if st.When != nil && !st.When(ctx, req, slices.Clone(b.before)) || st.Optional && b.unbound() {
		b.skipped = true
		return &Response{}, nil
	}
	for i := range st.Bind {
		value, err := st.Bind[i].value(&b.before[st.from[i]])
		if err != nil {
			return nil, err
		}
		req.Params.Set(st.Bind[i].param, value)
	}
	if st.Prepare != nil {
		if err := st.Prepare(ctx, req, slices.Clone(b.before)); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	if st.When != nil || st.Prepare != nil {
		if err := ctx.Err(); err != nil {
			return nil, err // they took the time of the stage
		}
	}
	res, err := call.Checked(st.Proxy(ctx, req))
	if err != nil || st.alone {
		return res, err
	}
	if err := st.unfit(res); err != nil {
		_ = res.Close()
		return nil, err
	}
	return res, nil
}

// unbound reports whether a stage that it binds to failed or was skipped.
func (b *stageCall) unbound() bool {
	return slices.ContainsFunc(b.stage.from, func(i int) bool { return b.before[i].Err != nil || b.before[i].Skipped })
}

// unfit says why a sequence cannot use the response; named says whose it is.
func (st *stage) unfit(res *Response) error {
	if res.open() {
		return &Error{Status: http.StatusBadGateway, Err: ErrStream}
	}
	if st.Internal || st.Group != "" {
		return nil
	}
	return wrapError("", http.StatusBadGateway, shallow.unfit(st.i, res.Document))
}
