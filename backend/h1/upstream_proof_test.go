package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An upstream writes the bytes that it is told to.
type upstream struct {
	conns atomic.Int32
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
}

// A talk is a request that an upstream got, whose body is not read yet, and the connection it came over.
type talk struct {
	net.Conn
	in    *bufio.Reader
	req   *http.Request
	first bool // whether this is the first connection
	nth   int  // of the request on its connection, from 0
}

// drain reads the body of the request.
func (k *talk) drain() {
	_, _ = io.Copy(io.Discard, k.req.Body)
}

// say writes text, and reports whether that worked.
func (k *talk) say(text string) bool {
	_, err := io.WriteString(k, text)
	return err == nil
}

// finish ends the direction of the answer, and waits until the client ends the other.
func (k *talk) finish() {
	_ = k.Conn.(interface{ CloseWrite() error }).CloseWrite()
	_, _ = io.Copy(io.Discard, k.in)
}

// A script answers a request. It returns whether the connection stays.
type script func(k *talk) (goOn bool)

// serve reads the requests of a connection.
func (p *upstream) serve(c net.Conn, n int32, s script) {
	defer c.Close()
	in := bufio.NewReader(c)
	for nth := 0; ; nth++ {
		r, err := http.ReadRequest(in)
		if err != nil || !s(&talk{Conn: c, in: in, req: r, first: n == 1, nth: nth}) {
			return
		}
	}
}

// onLoopback starts an upstream on loopback. It has ended when the test has.
func onLoopback(t testing.TB, s script) *upstream {
	return rawLoopback(t, func(p *upstream, c net.Conn, n int32) { p.serve(c, n, s) })
}

// rawLoopback starts an upstream on loopback that calls serve for each connection.
func rawLoopback(t testing.TB, serve func(p *upstream, c net.Conn, n int32)) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := new(upstream)
	p.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, ln.Addr().String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n := p.conns.Add(1)
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			all.Go(func() {
				defer stop()
				serve(p, c, n)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		all.Wait()
	})
	return p
}

// inMemory starts an upstream behind connections in memory. It has ended when the test has.
func inMemory(t testing.TB, s script) *upstream {
	p := new(upstream)
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	p.dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := newMemory()
		mu.Lock()
		open = append(open, server)
		mu.Unlock()
		n := p.conns.Add(1)
		all.Go(func() { p.serve(server, n, s) })
		return client, nil
	}
	t.Cleanup(func() {
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return p
}

// newMemory returns both ends of a connection in memory. A Read returns bytes of one Write only, so
// that a test decides in which pieces they arrive. A Write does not wait for a Read. As on a socket,
// a Read whose deadline has passed fails even if there are bytes.
func newMemory() (client, server net.Conn) {
	a, b := newFlow(), newFlow()
	return &memoryConn{in: a, out: b}, &memoryConn{in: b, out: a}
}

type memoryConn struct{ in, out *flow }

func (c *memoryConn) Read(p []byte) (int, error)        { return c.in.read(p) }
func (c *memoryConn) Write(p []byte) (int, error)       { return c.out.write(p) }
func (c *memoryConn) Quiet() bool                       { return c.in.quiet() }
func (c *memoryConn) CloseWrite() error                 { return c.out.end(io.EOF, io.ErrClosedPipe) }
func (c *memoryConn) LocalAddr() net.Addr               { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr              { return memoryAddr{} }
func (c *memoryConn) SetReadDeadline(t time.Time) error { return c.in.setDeadline(t) }
func (c *memoryConn) SetWriteDeadline(time.Time) error  { return nil } // a Write never waits
func (c *memoryConn) SetDeadline(t time.Time) error     { return c.in.setDeadline(t) }
func (c *memoryConn) Close() error {
	_ = c.out.end(io.EOF, net.ErrClosed)
	return c.in.end(net.ErrClosed, io.ErrClosedPipe)
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory:1" }

// A flow is one direction of a connection in memory.
type flow struct {
	mu       sync.Mutex // guards the rest
	pieces   [][]byte
	readErr  error // what Read returns after the last piece
	writeErr error // what Write returns
	deadline time.Time
	changed  chan struct{} // closed and replaced when something has changed
}

func newFlow() *flow { return &flow{changed: make(chan struct{})} }

// quiet reports whether there is nothing to read, nor will be an end.
func (f *flow) quiet() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pieces) == 0 && f.readErr == nil
}

// change changes the flow and tells a waiting Read.
func (f *flow) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) write(p []byte) (n int, err error) {
	f.change(func() {
		if err = f.writeErr; err == nil && len(p) > 0 {
			f.pieces = append(f.pieces, append([]byte(nil), p...))
			n = len(p)
		}
	})
	return n, err
}

func (f *flow) end(read, write error) error {
	f.change(func() {
		if f.readErr == nil || read == net.ErrClosed {
			f.readErr = read
		}
		if read == net.ErrClosed {
			f.pieces = nil
		}
		if f.writeErr == nil {
			f.writeErr = write
		}
	})
	return nil
}

func (f *flow) setDeadline(t time.Time) error {
	f.change(func() { f.deadline = t })
	return nil
}

func (f *flow) read(p []byte) (int, error) {
	for {
		n, wait, deadline, err := f.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-wait:
		case <-late:
		}
	}
}

// take takes what there is, or returns what to wait for.
func (f *flow) take(p []byte) (n int, wait <-chan struct{}, deadline time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.readErr == net.ErrClosed:
		return 0, nil, time.Time{}, net.ErrClosed
	case !f.deadline.IsZero() && !time.Now().Before(f.deadline):
		return 0, nil, time.Time{}, os.ErrDeadlineExceeded
	case len(f.pieces) > 0:
		n = copy(p, f.pieces[0])
		if f.pieces[0] = f.pieces[0][n:]; len(f.pieces[0]) == 0 {
			f.pieces = f.pieces[1:]
		}
		return n, nil, time.Time{}, nil
	case f.readErr != nil:
		return 0, nil, time.Time{}, f.readErr
	}
	return 0, f.changed, f.deadline, nil
}
