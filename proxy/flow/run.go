package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A run is one call of a graph. It belongs to the goroutine of the caller. Every other goroutine
// has one task.
type run struct {
	graph    *graph
	req      *proxy.Request
	collects bool // the caller collects what is missing
	ctx      call.Clock
	early    *call.Clock // the context of what is not required; nil if it is ctx
	tasks    []task
	values   []any           // of the nodes that are done; a started task may read those of its dependencies
	ready    []int           // nodes whose dependencies are done
	group    call.Group[any] // of the tasks that run
	over     bool            // the root is done, or a required node has failed
	first    int             // the required node that failed first, or -1
}

// A task is a node in a run.
type task struct {
	branch call.Branch[any]
	run    *run
	i      int
	state  state
	waits  int   // how many dependencies it still waits for
	cause  int   // if it failed: the node whose failure this follows from, perhaps itself
	err    error // if it failed by itself

	req     *proxy.Request // its own copy; nil if it makes no calls
	lent    bool           // req has the body of the caller's request
	partial error          // what its calls reported as missing; valid only if err is nil
}

type state uint8

const (
	waiting state = iota
	started
	done
	failed
)

func (g *graph) call(ctx context.Context, req *proxy.Request) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "flow", Err: err}
	}
	if err := g.refuse(ctx); err != nil {
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
	if c.graph.optional {
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

// drive runs each node when its dependencies are done, until the run is over and all tasks have
// arrived or were left.
func (c *run) drive() {
	for i := range c.tasks {
		t := &c.tasks[i]
		t.run, t.i, t.waits = c, i, len(c.graph.nodes[i].deps)
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

// start starts the nodes that are ready. A node that runs alone runs on the caller's goroutine.
func (c *run) start() {
	for len(c.ready) > 0 && !c.over {
		i := c.ready[0]
		c.ready = c.ready[1:]
		t := &c.tasks[i]
		if pure := c.graph.nodes[i].node.pure; pure != nil {
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

// wanted reports whether a node is required or another node still waits for it.
func (c *run) wanted(i int) bool {
	if c.graph.nodes[i].required {
		return true
	}
	for _, user := range c.graph.nodes[i].users {
		if c.tasks[user].state == waiting && c.wanted(user) {
			return true
		}
	}
	return false
}

// prepare makes the branch of a task, and its copy of the request if the task makes calls.
func (t *task) prepare() (err error) {
	n := &t.run.graph.nodes[t.i]
	t.branch = call.Branch[any]{Ctx: t.run.context(n.required), Task: t, Bound: n.bound, HonoursContext: n.node.honoursContext}
	if n.node.calls == 0 {
		return nil
	}
	req := t.run.req
	if t.lent = !t.run.graph.replays; !t.lent {
		t.req, err = t.run.graph.clone(t.branch.Ctx, req)
		if n.node.some {
			t.branch.Ctx = t.run.context(true) // its calls end early, and then it has a value
		}
		return err
	}
	bare := *req // this is the only call of the graph, so it may have the body itself
	bare.Body = nil
	if t.req, err = bare.Clone(); err != nil {
		return err
	}
	t.req.Body, t.req.Trailer = req.Body, req.Trailer
	return nil
}

// context returns the context of what is required, or of what is not.
func (c *run) context(required bool) context.Context {
	if c.early != nil && !required {
		return c.early
	}
	return &c.ctx
}

// clone clones a request. It waits for the body of the clone no longer than ctx.
func (g *graph) clone(ctx context.Context, req *proxy.Request) (*proxy.Request, error) {
	restore := call.Opening(ctx, g.opens, &req.GetBody)
	c, err := req.Clone()
	if restore(); err == nil {
		c.GetBody = req.GetBody
	}
	return c, err
}

// Do makes the value of the node. It refuses to if too many calls of the node are abandoned and
// this one could become another.
func (t *task) Do(ctx context.Context) (any, error) {
	if t.req != nil && !t.lent && t.req.Body != nil {
		defer call.Discard(ctx, t.req.Body)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &t.run.graph.nodes[t.i]
	if !n.node.honoursContext && n.bound.Full(ctx) {
		return nil, errFull()
	}
	return n.work(ctx, t)
}

// Arrived does nothing, because the run waits for its tasks.
func (t *task) Arrived() {}

// resultOf returns the result of a branch. If the branch may ignore its context and failed because
// that ended, the error is that of the context, whether the branch or the group noticed it first.
func resultOf[T any](b *call.Branch[T]) (T, error) {
	v, err := b.Result()
	if ended := b.Ctx.Err(); err != nil && !b.HonoursContext && ended != nil && call.Is(err, ended) && !call.Panicked(err) {
		err = ended
	}
	return v, err
}

// take takes the result of a task.
func (c *run) take(t *task) {
	var v any
	v, t.err = resultOf(&t.branch)
	switch {
	case c.over: // the result is no longer needed
	case t.err != nil:
		c.fail(t.i, t.i)
	default:
		c.settle(t.i, v)
	}
}

// settle gives a node its value.
func (c *run) settle(i int, v any) {
	c.tasks[i].state, c.values[i] = done, v
	if i == len(c.graph.nodes)-1 {
		c.end()
		return
	}
	for _, user := range c.graph.nodes[i].users {
		t := &c.tasks[user]
		if t.waits--; t.waits == 0 && t.state == waiting {
			c.ready = append(c.ready, user)
		}
	}
}

// fail marks a node as failed because the node cause, perhaps the node itself, has failed.
func (c *run) fail(i, cause int) {
	c.tasks[i].state, c.tasks[i].cause = failed, cause
	if c.graph.nodes[i].required {
		c.first = i
		c.end()
		return
	}
	for _, user := range c.graph.nodes[i].users {
		switch {
		case c.tasks[user].state != waiting:
		case c.graph.nodes[user].node.absent != nil:
			c.settle(user, c.graph.nodes[user].node.absent(c.graph.named(cause, c.tasks[cause].err)))
		default:
			if watch.Of(&c.ctx) != nil {
				pipe.Note(&c.ctx, "skipped", c.graph.nodes[user].node.step.Name)
			}
			c.fail(user, cause)
		}
	}
}

// end cancels the tasks that are still running.
func (c *run) end() {
	c.over = true
	c.ctx.Cancel()
}

// failure returns the error of the required node that failed first. If that failed because the
// context of the caller ended, the error names all required nodes that failed with it. The errors
// of nodes that were merely cancelled are dropped, except for panics, which are reported.
func (c *run) failure(parent context.Context) error {
	ended := parent.Err() != nil && call.Is(c.tasks[c.first].err, parent.Err())
	var errs []error
	for i := range c.tasks {
		t := &c.tasks[i]
		switch {
		case t.state == waiting:
		case t.err == nil:
			call.ReportPanic(parent, t.partial)
		case i == c.first || ended && c.graph.nodes[i].required:
			errs = append(errs, c.graph.named(i, t.err))
		default:
			call.ReportPanic(parent, t.err)
		}
	}
	if len(errs) == 1 {
		return fmt.Errorf("flow: %w", errs[0])
	}
	return fmt.Errorf("flow: %w", errors.Join(errs...))
}

// tell reports what is missing from the answer, in the order of the graph.
func (c *run) tell(parent context.Context) {
	for i := range c.tasks {
		t := &c.tasks[i]
		switch {
		case t.state == failed && t.cause == i:
			if err := c.graph.named(i, t.err); !proxy.Missing(parent, err) {
				call.ReportPanic(parent, err)
			}
		case t.state == done && t.partial != nil:
			if !proxy.Missing(parent, t.partial) {
				call.ReportPanic(parent, t.partial)
			}
		case t.state == started: // it returned after the run was over
			call.ReportPanic(parent, t.err)
			if t.err == nil {
				call.ReportPanic(parent, t.partial)
			}
		}
	}
}
