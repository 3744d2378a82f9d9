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
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// tunnel changes the protocol (RFC 9110, section 15.2.2) and then carries bytes both ways until both ends have closed,
// nothing moves for the idle time, or the context ends. A side that closes its half is told to the other side if that can
// be told (CloseWrite); otherwise it is the end.
func (x *exchange) tunnel() {
	if err := x.h.crowded(); err != nil {
		x.fail(err)
		return
	}
	if err := x.stopClock(); err != nil {
		x.fail(err)
		return
	}
	header := http.Header{}
	filter(header, x.w.Header(), 0, false, keepAny)
	filter(header, x.res.Header, 0, false, keepAny)
	delete(header, "Content-Length")
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{x.req.Upgrade}

	x.hush()
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.fail(unable("be taken over for another protocol", err))
		return
	}
	x.wrote = true
	defer conn.Close()
	client := &patientConn{Conn: conn, r: buffered.Reader, timeout: x.h.spec.WriteTimeout}
	if err := writeSwitch(client, header); err != nil {
		x.h.report(x, &proxy.Error{Status: proxy.StatusClientGone, Op: "tunnel", Err: err})
		return
	}
	x.carry(client, x.res.Upgrade)
}

func writeSwitch(w io.Writer, header http.Header) error {
	b := bufio.NewWriter(w)
	_, _ = b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(b)
	_, _ = b.WriteString("\r\n")
	return b.Flush()
}

// A patientConn is the client's connection: what is buffered comes first, and a write must not take for ever.
type patientConn struct {
	net.Conn
	r       *bufio.Reader
	timeout time.Duration
}

// Read does not go through net/http once the buffer is empty: there the end of the input would end the context.
func (c *patientConn) Read(p []byte) (int, error) {
	if c.r.Buffered() > 0 {
		return c.r.Read(p)
	}
	return c.Conn.Read(p)
}

func (c *patientConn) Write(p []byte) (int, error) {
	if c.timeout > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout))
	}
	return c.Conn.Write(p)
}

func (c *patientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// carry copies both ways and returns when both copies have ended. A copy that user code may hold for good is not waited for
// once the tunnel has ended.
func (x *exchange) carry(client *patientConn, upstream io.ReadWriteCloser) {
	var once sync.Once
	var cause error
	ended := make(chan struct{})
	end := func(err error) {
		once.Do(func() {
			defer close(ended)
			cause = err
			_ = client.Close()
			x.closeResponse() // and upstream with it
		})
	}
	stop := context.AfterFunc(x.ctx, func() { end(x.ctx.Err()) })
	defer stop()
	alive := func() {}
	if d := x.h.spec.IdleTimeout; d > 0 {
		idle := time.AfterFunc(d, func() { end(errSilent) })
		defer idle.Stop()
		alive = func() { idle.Reset(d) }
	}
	copies := make(chan struct{}, 2)
	run := func(dst io.Writer, src io.Reader) {
		defer func() { copies <- struct{}{} }()
		oneWay(dst, src, alive, end)
	}
	go run(upstream, client)
	if x.h.direct {
		run(client, upstream)
		x.await(copies, nil)
	} else {
		go run(client, upstream)
		x.await(copies, ended)
	}
	end(nil)
	if cause != nil {
		x.h.report(x, x.judge(&proxy.Error{Op: "tunnel", Err: cause}))
	}
}

// await waits for both copies, but no longer than until the tunnel has ended, unless ended is nil. What runs on then is
// counted.
func (x *exchange) await(copies, ended <-chan struct{}) {
	for running := 2; running > 0; running-- {
		select {
		case <-copies:
		case <-ended:
			x.h.stuck.Add(1)
			go func() {
				defer x.h.stuck.Add(-1)
				for range running {
					<-copies
				}
			}()
			return
		}
	}
}

// oneWay copies from src to dst until src ends, then closes that half of dst. It ends the tunnel if that cannot be done.
func oneWay(dst io.Writer, src io.Reader, alive func(), end func(error)) {
	returned := false
	defer func() {
		if !returned {
			end(call.PanicOf(recover()))
		}
	}()
	buf := make([]byte, writeSize)
	for {
		n, err := readOnce(src, buf)
		if n > 0 {
			alive()
			if _, err := dst.Write(buf[:n]); err != nil {
				end(err)
				break
			}
			alive()
		}
		if err == io.EOF {
			if half, ok := dst.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				end(nil)
			}
			break
		}
		if err != nil {
			end(err)
			break
		}
	}
	returned = true
}

// protocolOf returns the one protocol that the client asks to change to, or "". h2c is refused: what follows would be
// requests that nobody has looked at.
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

// sameProtocol reports whether an answer names the protocol that was asked for, or, where its hop-by-hop headers are gone
// already, none.
func sameProtocol(lines []string, asked string) bool {
	return len(lines) == 0 || len(lines) == 1 && field.EqualToken(lines[0], asked)
}
