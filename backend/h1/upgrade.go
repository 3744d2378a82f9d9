package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// errLate is why a connection is not handed over: the context has just ended.
var errLate = errors.New("the context ended with the answer")

// upgrade hands the connection over to the caller, after 101 Switching Protocols.
func (x *exchange) upgrade() error {
	c := x.conn
	if !x.upload.settled() || x.waiting {
		return malformed("101 before the request was sent", nil)
	}
	if !c.finish() {
		return errLate
	}
	u := &upgraded{conn: c, early: slices.Clone(c.buf[c.r:c.w])}
	c.drop()
	c.ctx, c.stop = context.Background(), always // nothing ends it but Close
	_ = c.SetDeadline(time.Time{})
	x.transport.release(c.host)
	x.resp.Body = u
	return nil
}

// An upgraded connection belongs to the caller.
type upgraded struct {
	conn  *conn
	early []byte // came with the answer
}

func (u *upgraded) Read(p []byte) (int, error) {
	if len(u.early) > 0 {
		n := copy(p, u.early)
		u.early = u.early[n:]
		return n, nil
	}
	return u.conn.rw.Read(p)
}

func (u *upgraded) Write(p []byte) (int, error) { return u.conn.rw.Write(p) }

func (u *upgraded) Close() error {
	if u.conn.tls != nil {
		return u.conn.tls.Close()
	}
	return u.conn.Close()
}

// CloseWrite lets the peer read to the end.
func (u *upgraded) CloseWrite() error {
	var w any = u.conn.Conn
	if u.conn.tls != nil {
		w = u.conn.tls
	}
	if w, ok := w.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}

var _ io.ReadWriteCloser = (*upgraded)(nil)
