package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A run is one call of a graph. All of it belongs to the goroutine of the caller; others have a task each.
type run struct {
	*graph
	req      *proxy.Request
	collects bool // somebody wants to hear what is missing
	ctx      call.Clock
	early    *call.Clock // the context of what is not required, where it ends sooner
	tasks    []task
	values   []any           // of the nodes that are there; a task that has begun may read those of its dependencies
	ready    []int           // nodes whose dependencies are there
	group    call.Group[any] // of the tasks that run
	over     bool            // the root is there, or a required node has failed
	first    int             // that node, or -1
}

// A task is a node in a run.
type task struct {
	branch call.Branch[any]
	run    *run
	i      int
	state  state
	waits  int   // for so many dependencies
	cause  int   // of its failure: the node that failed first
	err    error // of its failure

	req     *proxy.Request // its own, where it calls
	lent    bool           // with the body of the caller
	partial error          // what its calls said was missing; only to be read where err is nil
}

type state uint8

const (
	waiting state = iota
	started
	there
	failed
)

func (g *graph) call(ctx context.Context, req *proxy.Request) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "flow", Err: err}
	}
	if err := g.refuse(); err != nil {
		return nil, fmt.Errorf("flow: %w", err)
	}
	if g.replays && !req.Replayable() {
		return nil, &proxy.Error{Op: "flow", Err: proxy.ErrBodyNotReplayable}
	}
	c := &run{graph: g, req: req, first: -1, collects: call.Missing(ctx, nil), tasks: make([]task, len(g.nodes)),
		values: make([]any, len(g.nodes)), ready: make([]int, 0, len(g.nodes))}
	c.ctx.StartCancellable(ctx)
	defer c.ctx.Cancel()
	var early context.Context
	if c.optional {
		if c.early = call.ForOptional(&c.ctx); c.early != nil {
			defer c.early.Cancel()
			early = c.early
		}
	}
	c.group.Begin(len(g.nodes), &c.ctx, early)
	c.drive()
	if c.first >= 0 {
		return nil, c.failure(ctx)
	}
	c.tell(ctx)
	return c.values[len(c.values)-1], nil
}

// drive runs the nodes, each when its dependencies are there, until the run is over and all tasks have arrived or were left.
func (c *run) drive() {
	for i := range c.tasks {
		t := &c.tasks[i]
		t.run, t.i, t.waits = c, i, len(c.nodes[i].deps)
		if t.waits == 0 {
			c.ready = append(c.ready, i)
		}
	}
	for {
		c.start()
		if c.group.Waiting() == 0 {
			return
		}
		c.take(c.group.Next().Task.(*task))
	}
}

// start starts what is ready, here if it is alone.
func (c *run) start() {
	for len(c.ready) > 0 && !c.over {
		i := c.ready[0]
		c.ready = c.ready[1:]
		t := &c.tasks[i]
		if pure := c.nodes[i].pure; pure != nil {
			c.settle(i, pure(t))
			continue
		}
		if !c.wanted(i) {
			continue
		}
		t.state = started
		if t.err = t.prepare(); t.err != nil {
			c.fail(i, i)
			continue
		}
		if c.group.Waiting() == 0 && len(c.ready) == 0 {
			c.group.Run(&t.branch)
		} else {
			c.group.Go(&t.branch)
		}
	}
}

// wanted reports whether somebody still waits for a node that is not required.
func (c *run) wanted(i int) bool {
	if c.nodes[i].required {
		return true
	}
	for _, user := range c.nodes[i].users {
		if c.tasks[user].state == waiting && c.wanted(user) {
			return true
		}
	}
	return false
}

// prepare makes the branch of a task, with a copy of the request where it calls.
func (t *task) prepare() (err error) {
	n := &t.run.nodes[t.i]
	t.branch = call.Branch[any]{Ctx: &t.run.ctx, Task: t, Bound: n.bound, HonoursContext: n.honoursContext}
	if t.run.early != nil && !n.required {
		t.branch.Ctx = t.run.early
	}
	if n.calls == 0 {
		return nil
	}
	req := t.run.req
	if t.lent = !t.run.replays; !t.lent {
		restore := call.Opening(t.branch.Ctx, t.run.opens, &req.GetBody)
		t.req, err = req.Clone()
		if restore(); err == nil {
			t.req.GetBody = req.GetBody
		}
		return err
	}
	bare := *req // the only call there is may have the body as it is
	bare.Body = nil
	if t.req, err = bare.Clone(); err != nil {
		return err
	}
	t.req.Body, t.req.Trailer = req.Body, req.Trailer
	return nil
}

// Do makes the value of the node. It refuses while too many calls of the node are abandoned and this could become one more.
func (t *task) Do(ctx context.Context) (any, error) {
	if t.req != nil && !t.lent && t.req.Body != nil {
		defer call.Discard(ctx, t.req.Body)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &t.run.nodes[t.i]
	if !n.honoursContext && n.bound.Full() {
		return nil, errFull()
	}
	return n.work(ctx, t)
}

// Arrived does nothing: the run waits.
func (t *task) Arrived() {}

// resultOf returns what came of a branch. Where it may ignore its context and that has ended, the error is the same
// whoever saw it first.
func resultOf[T any](b *call.Branch[T]) (T, error) {
	v, err := b.Result()
	if ended := b.Ctx.Err(); err != nil && !b.HonoursContext && ended != nil && call.Is(err, ended) && !call.Panicked(err) {
		err = ended
	}
	return v, err
}

// take takes what came of a task.
func (c *run) take(t *task) {
	var v any
	v, t.err = resultOf(&t.branch)
	switch {
	case c.over: // nobody needs it
	case t.err != nil:
		c.fail(t.i, t.i)
	default:
		c.settle(t.i, v)
	}
}

// settle says that the value of a node is there.
func (c *run) settle(i int, v any) {
	c.tasks[i].state, c.values[i] = there, v
	if i == len(c.nodes)-1 {
		c.end()
		return
	}
	for _, user := range c.nodes[i].users {
		t := &c.tasks[user]
		if t.waits--; t.waits == 0 && t.state == waiting {
			c.ready = append(c.ready, user)
		}
	}
}

// fail says that there will be no value of a node, because cause, perhaps the node itself, has failed.
func (c *run) fail(i, cause int) {
	c.tasks[i].state, c.tasks[i].cause = failed, cause
	if c.nodes[i].required {
		c.first = i
		c.end()
		return
	}
	for _, user := range c.nodes[i].users {
		switch {
		case c.tasks[user].state != waiting:
		case c.nodes[user].absent != nil:
			c.settle(user, c.nodes[user].absent(c.named(cause, c.tasks[cause].err)))
		default:
			c.fail(user, cause)
		}
	}
}

// end ends what still runs.
func (c *run) end() {
	c.over = true
	c.ctx.Cancel()
}

// failure is the error of the required node that failed first; where that is the end of the context, of all that failed by
// it. What was cancelled by the first is no news, but a panic among it is.
func (c *run) failure(parent context.Context) error {
	ended := parent.Err() != nil && call.Is(c.tasks[c.first].err, parent.Err())
	var errs []error
	for i := range c.tasks {
		t := &c.tasks[i]
		switch {
		case t.state == waiting:
		case t.err == nil:
			call.ReportPanic(parent, t.partial)
		case i == c.first || ended && c.nodes[i].required:
			errs = append(errs, c.named(i, t.err))
		default:
			call.ReportPanic(parent, t.err)
		}
	}
	if len(errs) == 1 {
		return fmt.Errorf("flow: %w", errs[0])
	}
	return fmt.Errorf("flow: %w", errors.Join(errs...))
}

// tell hands on what is missing, in the order of the graph.
func (c *run) tell(parent context.Context) {
	for i := range c.tasks {
		t := &c.tasks[i]
		switch {
		case t.state == failed && t.cause == i:
			if err := c.named(i, t.err); !proxy.Missing(parent, err) {
				call.ReportPanic(parent, err)
			}
		case t.state == there && t.partial != nil:
			proxy.Missing(parent, t.partial)
		case t.state == started: // it came back when it was not needed any more
			call.ReportPanic(parent, t.err)
			if t.err == nil {
				call.ReportPanic(parent, t.partial)
			}
		}
	}
}
