package endpoint

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// changeProtocol answers with 101 (RFC 9110, section 15.2.2), and then carries bytes both ways. It
// returns an error only if that has not begun.
func (x *exchange) changeProtocol() error {
	if err := x.h.admit(); err != nil {
		return err
	}
	if err := x.call.stopClock(); err != nil {
		return err
	}
	header := http.Header{}
	filter(header, x.answer.w.Header(), 0, false, keepAny)
	filter(header, x.call.res.Header, 0, false, keepInTunnel)
	delete(header, "Content-Length")
	if x.h.spec.SendRequestID {
		header[xRequestID] = []string{x.ctx.id}
	}
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{x.asked}

	conn, buffered, err := http.NewResponseController(x.answer.w).Hijack()
	if err != nil {
		return unable("be taken over for another protocol", err)
	}
	x.answer.begun = true
	client := &clientConn{conn: conn, buffered: buffered.Reader, patience: patience{limit: x.h.spec.WriteTimeout}}
	defer client.close()
	if err := writeSwitch(client, header); err != nil {
		x.breaks(&proxy.Error{Status: proxy.StatusClientGone, Op: "tunnel", Err: err})
		return nil
	}
	x.answer.status = http.StatusSwitchingProtocols
	client.written.Store(0)
	defer func() { x.answer.bytes = client.written.Load() }()
	t := &tunnel{client: client, upstream: x.call.res.Upgrade, call: &x.call, idleTimeout: x.h.spec.IdleTimeout,
		ended: make(chan struct{})}
	if err := t.carry(x.h); err != nil {
		x.breaks(x.classify(&proxy.Error{Op: "tunnel", Err: err}))
	}
	return nil
}

// breaks notes and reports why a tunnel has ended before both sides had closed it.
func (x *exchange) breaks(err error) {
	x.failed = err
	x.ctx.reportBeside(err)
}

// keepInTunnel leaves out the upstream's word about CORS. A middleware cannot take it out of a header
// that goes to the connection itself, and no browser asks for it there.
func keepInTunnel(twin string, _ headerKind) bool { return !strings.HasPrefix(twin, "Access-Control-") }

func writeSwitch(w io.Writer, header http.Header) error {
	b := bufio.NewWriter(w)
	_, _ = b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(b)
	_, _ = b.WriteString("\r\n")
	return b.Flush()
}

// A clientConn is the connection that net/http gave up. It reads what was buffered first, and
// bounds each write.
type clientConn struct {
	conn     net.Conn
	buffered *bufio.Reader
	patience patience     // with each write
	written  atomic.Int64 // bytes
}

// Read goes around net/http once the buffer is empty: there the end of the input would end the
// context.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.buffered.Buffered() > 0 {
		return c.buffered.Read(p)
	}
	return c.conn.Read(p)
}

func (c *clientConn) Write(p []byte) (int, error) {
	if deadline, set := c.patience.deadline(); set {
		_ = c.conn.SetWriteDeadline(deadline)
	}
	n, err := c.conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// CloseWrite tells the client that nothing more will come, if the connection can.
func (c *clientConn) CloseWrite() error {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// close survives a connection of a user: it may be closed by a timer, and more is to be closed.
func (c *clientConn) close() { _ = call.Apart(c.conn.Close) }

// A tunnel carries bytes both ways until both ends have closed, nothing moves for the idle time, or
// the context of the call ends. If one side closes its half, the other side is told (CloseWrite);
// if it cannot be told, the tunnel ends.
type tunnel struct {
	client      *clientConn
	upstream    io.ReadWriteCloser
	call        *pipeCall // which closes upstream with its response
	idleTimeout time.Duration
	idle        *time.Timer // nil without a limit

	once  sync.Once // guards cause
	cause error     // why the tunnel ended; nil if both sides closed
	ended chan struct{}
}

// carry copies both ways, and returns why the tunnel ended once both copies have. If user code may
// hold a copy for good, carry does not wait for it after the tunnel has ended.
func (t *tunnel) carry(h *handler) error {
	stop := context.AfterFunc(t.call.ctx, func() { t.end(t.call.ctx.Err()) })
	defer stop()
	if t.idleTimeout > 0 {
		t.idle = time.AfterFunc(t.idleTimeout, func() { t.end(errSilent) })
		defer t.idle.Stop()
	}
	copies := make(chan struct{}, 2)
	run := func(dst io.Writer, src io.Reader) {
		defer func() { copies <- struct{}{} }()
		t.copy(dst, src)
	}
	go run(t.upstream, t.client)
	if h.direct {
		run(t.client, t.upstream)
		<-copies
		<-copies
	} else {
		go run(t.client, t.upstream)
		t.await(copies, h)
	}
	t.end(nil)
	return t.cause
}

// end ends the tunnel. Only the first call has an effect.
func (t *tunnel) end(cause error) {
	t.once.Do(func() {
		defer close(t.ended)
		t.cause = cause
		t.client.close()
		t.call.closeResponse()
	})
}

// await waits for both copies, but no longer than until the tunnel has ended. If a copy is still
// running then, it is abandoned and counted.
func (t *tunnel) await(copies <-chan struct{}, h *handler) {
	for running := 2; running > 0; running-- {
		select {
		case <-copies:
		case <-t.ended:
			h.abandoned.Add(1)
			go func() {
				defer h.abandoned.Add(-1)
				for range running {
					<-copies
				}
			}()
			return
		}
	}
}

// copy copies from src to dst until src ends, then closes that half of dst. It ends the tunnel if
// that cannot be done.
func (t *tunnel) copy(dst io.Writer, src io.Reader) {
	returned := false
	defer func() {
		if !returned {
			t.end(call.PanicOf(recover()))
		}
	}()
	buf := make([]byte, writeSize)
	for {
		n, err := readOnce(src, buf)
		if n > 0 {
			t.moved()
			if _, err := dst.Write(buf[:n]); err != nil {
				t.end(err)
				break
			}
			t.moved()
		}
		if err == io.EOF {
			if half, ok := dst.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				t.end(nil)
			}
			break
		}
		if err != nil {
			t.end(err)
			break
		}
	}
	returned = true
}

// moved starts the idle time anew.
func (t *tunnel) moved() {
	if t.idle != nil {
		t.idle.Reset(t.idleTimeout)
	}
}

// protocolOf returns the one protocol that the client asks to change to, or "". It refuses h2c,
// after which requests would follow that nobody has checked.
func protocolOf(r *http.Request) string {
	lines := r.Header["Upgrade"]
	if len(lines) != 1 || r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.ContentLength != 0 || !field.HasToken(r.Header["Connection"], "upgrade") {
		return ""
	}
	name, version, ok := strings.Cut(lines[0], "/")
	if !field.IsToken(name) || ok && !field.IsToken(version) || field.EqualToken(name, "h2c") {
		return ""
	}
	return lines[0]
}

// sameProtocol reports whether an answer names the protocol that was asked for, or none, because
// its hop-by-hop headers are already gone.
func sameProtocol(lines []string, asked string) bool {
	return len(lines) == 0 || len(lines) == 1 && field.EqualToken(lines[0], asked)
}
