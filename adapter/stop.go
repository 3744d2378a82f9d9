package adapter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Grace is how long [Run] waits for whatever it cancelled when the budget of a stop was over: for
// handlers to write their last bytes, for runners to return.
const Grace = time.Second

// ErrDrain is the cause, as returned by [context.Cause], with which the context of a request ends
// if the request was still in flight when the budget of the stop was over. It tells a handler that
// the server stops, and not that the client has gone: the answer is 503.
var ErrDrain = errors.New("the server is stopping and its drain budget is over")

// ErrAbandoned is why [Run] fails if code that ignores its context still runs when Run returns:
// handlers, runners, hooks, and the calls counted by [Server.Abandoned]. The error says how many of
// each.
var ErrAbandoned = errors.New("still running after the stop")

// Stop says what the stop of a group did. See [Server.OnStop].
type Stop struct {
	// Err is why the group stopped: the first error, or nil if it stopped because its context
	// ended. Unlike the error of [Run], it does not report what was abandoned.
	Err error

	// Took is how long the stop took, including DrainDelay.
	Took time.Duration

	// Cut is the number of requests, including streams and tunnels, that were still in flight when
	// the budget was over and were cancelled.
	Cut int

	// Undrained names every Drainer that failed to drain, or had not drained when the budget was
	// over. The name, as in "runner 2 (*async.Agent)", tells its place among the runners of Run,
	// the first being runner 1.
	Undrained []string

	// Abandoned is the number of calls that still run: see [ErrAbandoned].
	Abandoned int
}

// stop ends the group in the order that the package documentation describes.
func (g *group) stop() error {
	begun := time.Now()
	budget, cancel := g.budget()
	defer cancel()
	g.runHooks(budget)
	pause(budget, time.Until(begun.Add(g.first.DrainDelay)))

	undrained := g.drain(budget)
	g.endRunners(budget)
	g.shutdown(budget, func(s *server) bool { return s.Admin })

	end, cancel := context.WithTimeout(g.values, 2*Grace) // even if something below blocks
	defer cancel()
	cut := g.cut(end)
	g.closeIdle(end)
	abandoned, what := g.abandoned(end)
	st := Stop{Err: g.firstErr(), Took: time.Since(begun), Cut: cut, Undrained: undrained, Abandoned: abandoned}
	if !g.tell(end, st) {
		what = append(what, "1 of OnStop")
	}
	if len(what) > 0 {
		return errors.Join(g.firstErr(), fmt.Errorf("adapter: %w: %s", ErrAbandoned, strings.Join(what, ", ")))
	}
	return g.firstErr()
}

// share is how much of the second Grace each step of a stop may take after the first Grace is over,
// except OnStop, which has the rest.
const share = Grace / 4

// budget returns the one context of the whole stop.
func (g *group) budget() (context.Context, context.CancelFunc) {
	drain := limit(g.first.DrainTimeout, defaultDrainTimeout)
	if drain < 0 {
		return context.WithCancel(g.values)
	}
	return context.WithTimeout(g.values, max(g.first.DrainDelay, 0)+drain)
}

func (g *group) runHooks(ctx context.Context) {
	for _, s := range g.servers {
		for _, hook := range s.OnDrain {
			if hook != nil {
				await(ctx, g.begin(s.name+": OnDrain", func() error { hook(); return nil }))
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// drain lets the public servers and the Drainers finish, all at the same time. It returns the names
// of the Drainers that did not.
func (g *group) drain(ctx context.Context) (undrained []string) {
	var drainers []*member
	var tasks []*task
	for _, m := range g.runners {
		if d, ok := m.runner.(Drainer); ok && !m.task.isDone() {
			drainers = append(drainers, m)
			tasks = append(tasks, g.begin(m.name+": Drain", func() error { return m.drain(ctx, d) }))
		}
	}
	g.shutdown(ctx, func(s *server) bool { return !s.Admin })
	await(ctx, tasks...)
	for _, m := range drainers {
		if !m.drained.Load() {
			undrained = append(undrained, m.name)
		}
	}
	return undrained
}

func (m *member) drain(ctx context.Context, d Drainer) error {
	err := d.Drain(ctx)
	m.drained.Store(err == nil)
	if isEnd(ctx, err) {
		return nil
	}
	return err
}

func (g *group) endRunners(ctx context.Context) {
	for _, m := range g.runners {
		m.cancel()
	}
	for _, m := range g.runners {
		await(ctx, m.task)
	}
}

// shutdown makes the servers for which meant is true stop accepting, all at once, and waits until
// none of their requests is in flight.
func (g *group) shutdown(ctx context.Context, meant func(*server) bool) {
	for _, s := range g.servers {
		if meant(s) && s.stopping == nil {
			s.stopping = begin(s.name, func() error { return s.shutdown(g.serving) }, g.fail)
		}
	}
	for _, s := range g.servers {
		if meant(s) {
			await(ctx, s.stopping)
			s.requests.wait(ctx) // Shutdown does not wait for hijacked connections
		}
	}
}

// shutdown must be called only once, because each call makes net/http call the functions registered
// with RegisterOnShutdown. It ends with the last request or with ctx.
func (s *server) shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("close the listener: %w", err)
	}
	return nil
}

// cut cancels whatever is left, gives it the time of Grace, and closes every connection. It returns
// how many requests it cut.
func (g *group) cut(end context.Context) (requests int) {
	ctx, cancel := context.WithTimeout(end, Grace)
	defer cancel()
	for _, s := range g.servers {
		requests += s.requests.count()
		s.cancel(ErrDrain)
	}
	g.shutdown(ctx, func(*server) bool { return true }) // lets their answers out
	await(ctx, g.tasksOfRunners()...)
	g.closeAll(end)
	for _, s := range g.servers {
		s.conns.open.wait(ctx)
		await(ctx, s.serving)
	}
	return requests
}

// closeAll closes whatever the servers still have open. It has a time of its own, because none of
// that waits for user code.
func (g *group) closeAll(end context.Context) {
	ctx, cancel := context.WithTimeout(end, share)
	defer cancel()
	for _, s := range g.servers {
		await(ctx, begin(s.name, s.http.Close, nil)) // shutdown reported a failed listener
	}
	g.release()
	for _, s := range g.servers {
		await(ctx, s.stopping)
	}
}

func (g *group) tasksOfRunners() []*task {
	tasks := make([]*task, len(g.runners))
	for i, m := range g.runners {
		tasks[i] = m.task
	}
	return tasks
}

func (g *group) closeIdle(end context.Context) {
	ctx, cancel := context.WithTimeout(end, share)
	defer cancel()
	for _, s := range g.servers {
		for _, t := range s.Transports {
			if t != nil {
				await(ctx, g.begin(s.name+": Transports", func() error { t.CloseIdleConnections(); return nil }))
			}
		}
	}
}

// abandoned counts what still runs, and describes it.
func (g *group) abandoned(end context.Context) (n int, what []string) {
	ctx, cancel := context.WithTimeout(end, share)
	defer cancel()
	count := func(k int, of string) {
		if k > 0 {
			n += k
			what = append(what, fmt.Sprintf("%d %s", k, of))
		}
	}
	for _, s := range g.servers {
		count(s.requests.count(), "in flight at "+s.name)
		count(g.ask(ctx, s), "abandoned calls counted by "+s.name)
	}
	for _, t := range g.tasks {
		if !t.isDone() {
			count(1, "of "+t.name)
		}
	}
	return n, what
}

// ask calls the Abandoned function of s.
func (g *group) ask(ctx context.Context, s *server) int {
	if s.Abandoned == nil {
		return 0
	}
	n := 0
	t := g.begin(s.name+": Abandoned", func() error { n = s.Abandoned(); return nil })
	if await(ctx, t); !t.isDone() {
		return 0 // and the call of Abandoned itself counts as one that did not return
	}
	return n
}

// tell calls OnStop and reports whether it returned.
func (g *group) tell(end context.Context, st Stop) bool {
	if g.first.OnStop == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(end, Grace)
	defer cancel()
	t := g.begin("OnStop", func() error { g.first.OnStop(st); return nil })
	await(ctx, t)
	return t.isDone()
}
