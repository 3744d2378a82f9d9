package h1

import (
	"crypto/tls"
	"io"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A buffer is what a call writes a head from, and reads into. A connection has one only while a call
// uses it.
type buffer [32 << 10]byte

// A conn is a connection that carries one call at a time.
type conn struct {
	wire
	transport *Transport
	host      *host
	rw        io.ReadWriter // the wire, or TLS on it
	tls       *tls.Conn     // nil without TLS
	state     *tls.ConnectionState

	room *buffer // nil while the connection is idle
	buf  []byte  // of room, or larger for a long head
	r, w int     // buf[r:w] has arrived and is not read yet

	reused    bool
	dies      time.Time // when it is to be used no longer; zero is never
	idleUntil time.Time // the same, if it is idle
}

// expired reports whether an idle connection is too old to be used.
func (c *conn) expired(now time.Time) bool {
	return !c.idleUntil.IsZero() && !now.Before(c.idleUntil)
}

// usable reports whether an idle connection is fit for a call that begins now: it is open, and
// nothing has come on it. One that panics is not.
func (c *conn) usable(now time.Time) (fit bool) {
	defer func() {
		if recover() != nil {
			fit = false
		}
	}()
	if c.expired(now) || !c.quiet() {
		return false
	}
	if c.tls == nil {
		return true
	}
	var one [1]byte
	c.blind = true
	n, err := c.tls.Read(one[:]) // what it has decrypted already
	c.blind = false
	return n == 0 && err == errBlind
}

// open gives the connection a buffer.
func (c *conn) open() {
	c.room = c.transport.buffer()
	c.buf, c.r, c.w = c.room[:], 0, 0
}

// rest takes the buffer away.
func (c *conn) rest() {
	c.wire.rest()
	c.drop()
}

// drop gives the buffer back.
func (c *conn) drop() {
	if c.room != nil {
		c.transport.buffers.Put(c.room)
	}
	c.room, c.buf, c.r, c.w = nil, nil, 0, 0
}

// buffered returns how many bytes have arrived that nobody has read.
func (c *conn) buffered() int { return c.w - c.r }

// more makes room for at least one more byte behind buf[:w], and returns it.
func (c *conn) more() []byte {
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			bigger := make([]byte, 2*len(c.buf))
			copy(bigger, c.buf)
			c.buf = bigger
		}
	}
	return c.buf[c.w:]
}

// shut closes an idle connection politely.
func (c *conn) shut() {
	if c.tls != nil {
		_ = call.Close(c.tls) // nothing waits in the socket's buffer, so the alert goes at once
	} else {
		_ = c.Close()
	}
	c.transport.release(c.host)
}

// kill closes a connection on which something may be under way.
func (c *conn) kill() {
	_ = c.Close()
	c.transport.release(c.host)
}

func (t *Transport) buffer() *buffer {
	if b, ok := t.buffers.Get().(*buffer); ok {
		return b
	}
	return new(buffer)
}
