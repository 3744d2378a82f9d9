package proxytest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes may be on their way in one direction, as between two sockets. A writer
// of more waits for a reader.
const window = 64 << 10

// A conn is one end of a connection in memory.
type conn struct {
	in, out       *flow
	local, remote net.Addr
	onClose       func()

	mu     sync.Mutex // guards what follows
	reset  bool       // Close resets the connection
	closed bool
}

// connect returns the two ends of a connection.
func connect(client, server net.Addr) (atClient, atServer *conn) {
	up, down := newFlow(), newFlow()
	return &conn{in: down, out: up, local: client, remote: server}, &conn{in: up, out: down, local: server, remote: client}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.failed("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.failed("write", err)
}

// failed returns err as package net would.
func (c *conn) failed(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close closes both directions. The other end reads what was sent and then the end of the stream
// or, if some of what it sent was not read, a connection reset. It can send nothing more.
func (c *conn) Close() error {
	c.mu.Lock()
	again, reset := c.closed, c.reset
	c.closed = true
	c.mu.Unlock()
	if again {
		return c.failed("close", net.ErrClosed)
	}
	unread := c.in.closeRead()
	c.out.closeWrite(reset || unread)
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

// CloseWrite ends the sending direction. The answer can still be read.
func (c *conn) CloseWrite() error {
	c.out.endWrite()
	return nil
}

// SetLinger makes Close reset the connection if sec is 0, like that of a [net.TCPConn].
func (c *conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset = sec == 0
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.failed("set", c.in.setDeadline(&c.in.reader, t))
}
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.failed("set", c.out.setDeadline(&c.out.writer, t))
}

// A flow is one direction of a connection. Readers and writers wait on its condition, which a
// bubble regards as durably blocked.
type flow struct {
	mu      sync.Mutex // guards what follows
	changed sync.Cond  // any of the fields below
	buf     []byte
	ended   bool // nothing more will be written
	reset   bool // it ended with a connection reset
	writing bool // a Write is under way; another one must not mix with it

	reader, writer side
}

// A side is one end of a flow.
type side struct {
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newFlow() *flow {
	f := new(flow)
	f.changed.L = &f.mu
	return f
}

func (s *side) late() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.reader.closed:
			return 0, net.ErrClosed
		case f.reader.late():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(f.buf) > 0:
			n := copy(p, f.buf)
			f.buf = f.buf[n:]
			f.changed.Broadcast()
			return n, nil
		case f.reset:
			return 0, syscall.ECONNRESET
		case f.ended:
			return 0, io.EOF
		}
		f.changed.Wait()
	}
}

func (f *flow) write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.writing { // not a mutex: in a bubble, waiting for one is not durably blocked
		f.changed.Wait()
	}
	f.writing = true
	defer func() { f.writing = false; f.changed.Broadcast() }()
	for {
		switch {
		case f.writer.closed:
			return n, net.ErrClosed
		case f.writer.late():
			return n, os.ErrDeadlineExceeded
		case f.ended, f.reader.closed:
			return n, syscall.EPIPE
		}
		if room := min(window-len(f.buf), len(p)); room > 0 {
			f.buf = append(f.buf, p[:room]...)
			p, n = p[room:], n+room
			f.changed.Broadcast()
		}
		if len(p) == 0 {
			return n, nil
		}
		f.changed.Wait()
	}
}

// closeRead closes the reader and reports whether some data was not read.
func (f *flow) closeRead() (unread bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	unread = len(f.buf) > 0
	f.reader.close()
	f.buf = nil
	f.changed.Broadcast()
	return unread
}

// closeWrite closes the writer.
func (f *flow) closeWrite(reset bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writer.close()
	f.ended, f.reset = true, f.reset || reset
	f.changed.Broadcast()
}

func (f *flow) endWrite() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.changed.Broadcast()
}

func (s *side) close() {
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (f *flow) setDeadline(s *side, t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.deadline = t
	if d := time.Until(t); !t.IsZero() && d > 0 {
		s.timer = time.AfterFunc(d, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed.Broadcast()
		})
	}
	f.changed.Broadcast()
	return nil
}
