package call

import "context"

// A Group waits for branches that run at the same time. It belongs to one goroutine, which starts
// the branches with Go or Run and takes each of them with Next, until Waiting is 0.
type Group[T any] struct {
	ends     [2]context.Context // nil once seen
	arrivals chan *Branch[T]
	loose    []*Branch[T] // those still awaited that may ignore their context
	waiting  int
}

// Begin begins a group of at most n branches. The contexts of all branches derive from end. Some
// may derive from early, which ends sooner; early may be nil.
func (g *Group[T]) Begin(n int, end, early context.Context) {
	g.ends = [2]context.Context{end, early}
	g.arrivals = make(chan *Branch[T], n)
}

// Waiting returns how many branches were started and not yet taken with Next.
func (g *Group[T]) Waiting() int { return g.waiting }

// Go runs a branch on a goroutine of its own.
func (g *Group[T]) Go(b *Branch[T]) {
	g.waiting++
	if !b.HonoursContext {
		g.loose = append(g.loose, b)
	}
	b.start(g.arrivals)
}

// Run runs the last of several branches on the calling goroutine if it is sure to return in time.
// Otherwise it does what Go does.
func (g *Group[T]) Run(b *Branch[T]) {
	if !b.HonoursContext {
		g.Go(b)
		return
	}
	g.waiting++
	b.run(g.arrivals)
}

// Next waits for a branch and returns it. The branch has arrived, or Next has left it because its
// context has ended and it may ignore that. Waiting must not be 0.
func (g *Group[T]) Next() *Branch[T] {
	g.waiting--
	select {
	case b := <-g.arrivals:
		return b
	default:
	}
	if len(g.loose) == 0 {
		return <-g.arrivals
	}
	for {
		if b := g.overdue(); b != nil {
			return b
		}
		select {
		case b := <-g.arrivals:
			return b
		case <-done(g.ends[0]):
			g.ends[0] = nil
		case <-done(g.ends[1]):
			g.ends[1] = nil
		}
	}
}

// Wait takes all branches with Next. Defer it where Run may run a branch: if the branch calls
// runtime.Goexit, only deferred functions can still take the others.
func (g *Group[T]) Wait() {
	for g.Waiting() > 0 {
		g.Next()
	}
}

// overdue leaves one branch whose context has ended, and returns it, or nil if there is none. It
// forgets the branches that have arrived.
func (g *Group[T]) overdue() *Branch[T] {
	rest := g.loose[:0]
	var found *Branch[T]
	for _, b := range g.loose {
		switch {
		case b.HasArrived():
		case found == nil && b.Ctx.Err() != nil && b.leave():
			found = b
		default:
			rest = append(rest, b)
		}
	}
	clear(g.loose[len(rest):])
	g.loose = rest
	return found
}

func done(ctx context.Context) <-chan struct{} {
	if ctx == nil {
		return nil
	}
	return ctx.Done()
}
