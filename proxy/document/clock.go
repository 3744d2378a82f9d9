package document

import "context"

// ticks is how many members or elements pass between two looks at the context.
const ticks = 1 << 10

// A clock counts the members and elements that an operation reads, and looks at a context now and
// then. The operations are loops in loops, and few of them have an error to return. So a clock
// whose context has ended panics, and end recovers. The zero clock never ends, and costs a
// decrement for each tick.
type clock struct {
	ctx  context.Context // nil never ends
	left int             // how many ticks until the next look
}

// An ended is the panic of a clock.
type ended struct{ err error }

// begin returns the error of a context that has ended already.
func (c *clock) begin() error {
	c.left = ticks
	if c.ctx == nil {
		return nil
	}
	return c.ctx.Err()
}

// tick counts one member or element.
func (c *clock) tick() {
	if c.left--; c.left < 0 {
		c.look()
	}
}

//go:noinline
func (c *clock) look() {
	if err := c.begin(); err != nil {
		panic(ended{err})
	}
}

// end is deferred by whoever has made a clock with a context.
func (c *clock) end(d *Document, err *error) {
	switch v := recover().(type) {
	case nil:
	case ended:
		*d, *err = Document{}, v.err
	default:
		panic(v)
	}
}
