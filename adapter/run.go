package adapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A Runner lives as long as the process and works beside the servers: an agent, a pool that probes
// its hosts, a background refresh.
//
// Run works until ctx ends and then returns nil or the error of ctx. Any other error stops the
// whole group. A nil that is returned early does not. The context carries the values of the one
// given to [Run], but outlives it: it is cancelled once the servers have drained, because their
// last requests may still need the runner.
type Runner interface {
	Run(ctx context.Context) error
}

// RunnerFunc makes a function a [Runner].
type RunnerFunc func(ctx context.Context) error

// Run calls f(ctx).
func (f RunnerFunc) Run(ctx context.Context) error { return f(ctx) }

// A Drainer is a [Runner] that has work of its own in flight, such as an agent with messages. When
// the group stops, Drain is called once, while Run is still running and before the context of Run
// is cancelled. Drain takes no new work, finishes the work it has, and returns. Its context ends
// with the budget. An error that only reports that end is not a failure: [Stop.Undrained] names the
// Drainer.
type Drainer interface {
	Drain(ctx context.Context) error
}

// Run serves s, and runs the runners beside it, until ctx ends or something fails. Then it stops
// everything in the order that the package documentation describes, and returns when all of it has
// ended. A [Server] among the runners is one more server of the same group, for example with Admin
// set. A nil runner is skipped.
//
// All servers listen before the first runner starts. If one cannot listen, Run returns an error and
// starts nothing. Run takes over the listeners it is given and closes them on every path.
//
// Run returns nil after a clean stop. The end of ctx is the ordinary way to stop and not an error.
// Nor is it an error if work was cut when the budget was over and then ended as it was told;
// [Server.OnStop] reports how much that was. Otherwise Run returns the first error: of a server, of
// a runner, or a [*PanicError] of any function it was given. If something could not be ended, Run
// joins an error that wraps [ErrAbandoned] to it.
//
// Run returns at most DrainDelay + DrainTimeout + [Grace] after the stop began, as long as
// Transports, Abandoned and OnStop do not block. Together these get a second [Grace] at most: a
// quarter for the Transports of all servers, a quarter for the Abandoned of all servers, and the
// rest for OnStop. An OnDrain that blocks uses up the budget.
func Run(ctx context.Context, s Server, runners ...Runner) error {
	g := &group{outer: ctx, values: context.WithoutCancel(ctx), failed: make(chan struct{})}
	g.serving, g.release = context.WithCancel(g.values)
	defer g.release()
	g.first = g.addServer(s)
	for i, r := range runners {
		g.add(i, r)
	}
	if err := g.listen(); err != nil {
		return err
	}
	g.start()
	select {
	case <-ctx.Done():
	case <-g.failed:
	}
	return g.stop()
}

// group is everything that one Run runs. Its methods are called on the goroutine of Run, except
// fail.
type group struct {
	outer   context.Context // the caller's
	values  context.Context // outer's values; never ends
	serving context.Context // ends when every connection is closed
	release context.CancelFunc
	first   *server   // whose DrainDelay, DrainTimeout and OnStop count
	servers []*server // first and those among the runners, in the order given
	runners []*member
	tasks   []*task // calls into user code, to know which have returned

	mu     sync.Mutex // guards err
	err    error
	failed chan struct{} // closed with the first error
}

// member is a runner of the group.
type member struct {
	name    string
	runner  Runner
	cancel  context.CancelFunc
	task    *task
	drained atomic.Bool
}

func (g *group) addServer(s Server) *server {
	srv := newServer(g.values, s)
	g.servers = append(g.servers, srv)
	return srv
}

func (g *group) add(i int, r Runner) {
	switch r := r.(type) {
	case nil:
	case Server:
		g.addServer(r)
	case *Server:
		if r != nil {
			g.addServer(*r)
		}
	default:
		g.runners = append(g.runners, &member{name: fmt.Sprintf("runner %d (%T)", i+1, r), runner: r})
	}
}

// listen prepares every server and makes it listen. If any of them fails, it joins the errors of
// all servers and leaves no listener open.
func (g *group) listen() error {
	var errs []error
	for _, s := range g.servers {
		t := begin(s.name, s.configure, nil)
		<-t.done
		if t.err != nil {
			errs = append(errs, t.err)
			continue
		}
		if err := s.listen(g.values); err != nil {
			errs = append(errs, fmt.Errorf("adapter: %s: %w", s.name, err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	for _, s := range g.servers {
		if s.listener != nil {
			_ = s.listener.Close() // nothing was served; the errors above are those to report
		}
	}
	return errors.Join(errs...)
}

func (g *group) start() {
	for _, s := range g.servers {
		s.serving = g.begin(s.name, s.serve)
	}
	for _, m := range g.runners {
		ctx, cancel := context.WithCancel(g.values)
		m.cancel = cancel
		m.task = g.begin(m.name, func() error {
			err := m.runner.Run(ctx)
			if isEnd(ctx, err) || isEnd(g.outer, err) { // it may watch the caller's context
				return nil
			}
			return err
		})
	}
}

// isEnd reports whether err only says that ctx has ended.
func isEnd(ctx context.Context, err error) bool { return ctx.Err() != nil && errors.Is(err, ctx.Err()) }

// fail keeps the first error and stops the group. It may be called from any goroutine.
func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
		close(g.failed)
	}
}

// begin starts f, which is user code or calls it, and remembers the task. An error of f stops the
// group.
func (g *group) begin(name string, f func() error) *task {
	t := begin(name, f, g.fail)
	g.tasks = append(g.tasks, t)
	return t
}

func (g *group) firstErr() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
