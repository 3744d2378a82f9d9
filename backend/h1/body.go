package h1

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
)

// direct is how much a Read must ask for to bypass the buffer of the connection.
const direct = 4 << 10

// A body says where an answer ends, and how far it has been read.
type body struct {
	left    int64 // bytes left of the body, or of its current chunk
	chunked bool
	toEnd   bool // the body ends with the connection
	ended   bool // the answer has been read to its end
	data    bool // within a chunk, or before the CRLF behind it
	excess  int64
	err     error // of every further Read, in the state over
	state   atomic.Uint32
}

// The states of a body. Who takes it out of idle, or from reading to over, has the connection to
// himself, and gives it back.
const (
	idle    uint32 = iota
	reading        // a Read is under way
	leaving        // the body was closed during a Read, which gives the connection back
	over           // the connection was given back, and the body is not closed
	closed
)

// Read reads the body of the answer. At its end the connection goes back, so that the next call can
// have it even before the body is closed. Close may be called at the same time, and ends a Read.
func (x *exchange) Read(p []byte) (int, error) {
	if !x.state.CompareAndSwap(idle, reading) {
		switch x.state.Load() {
		case over:
			return 0, x.err
		case reading:
			return 0, errConcurrent
		}
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := x.readGuarded(p)
	next := idle
	if x.err = err; x.ended {
		next, x.err = over, io.EOF
	} else if err != nil {
		next = over
	}
	switch {
	case !x.state.CompareAndSwap(reading, next):
		x.finish(false)
		x.state.Store(closed)
		return 0, http.ErrBodyReadAfterClose
	case next == over:
		x.finish(x.ended)
	}
	return n, x.err
}

// Close gives up the answer. If it has not been read to its end, the connection is closed.
func (x *exchange) Close() error {
	for {
		switch state := x.state.Load(); {
		case state == leaving, state == closed:
			return nil
		case state == reading:
			if x.state.CompareAndSwap(reading, leaving) {
				_ = x.conn.Close()
				return nil
			}
		case x.state.CompareAndSwap(state, closed):
			if state == idle {
				x.finish(false)
			}
			return nil
		}
	}
}

// finish ends the call. whole says that its answer was read to the end.
func (x *exchange) finish(whole bool) {
	c := x.conn
	still := c.wire.finish()
	if !whole || !still || !x.upload.settled() || x.resp.Close || x.closes || c.buffered() > 0 {
		x.giveUp()
		x.transport.release(c.host)
		return
	}
	c.rest()
	x.transport.put(c)
}

// readGuarded is readBody. A panic of a connection of a user is an error. If that ends its goroutine
// with runtime.Goexit, the answer is given up here, because Read does not go on.
func (x *exchange) readGuarded(p []byte) (n int, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		n, err = 0, call.PanicOf(v)
		if v == nil {
			x.finish(false)
			x.state.Store(closed)
		}
	}()
	n, err = x.readBody(p)
	returned = true
	return n, err
}

// readBody reads the body. If it has read the last bytes, it sets ended.
func (x *exchange) readBody(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case x.chunked:
		return x.readChunks(p)
	}
	if !x.toEnd && int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.take(p)
	switch {
	case x.toEnd && err == io.EOF:
		x.ended, err = true, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	case !x.toEnd:
		x.left -= int64(n)
		x.ended = x.left == 0
	}
	return n, err
}

// take reads what is in the buffer of the connection, or what comes next.
func (x *exchange) take(p []byte) (int, error) {
	c := x.conn
	if c.r == c.w {
		c.r, c.w = 0, 0
		if len(p) >= direct {
			return x.read(p)
		}
		n, err := x.read(c.buf)
		c.w = n
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}
