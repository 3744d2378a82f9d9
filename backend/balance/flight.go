package balance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// A flight is a call in flight. It is the body of its answer, too.
type flight struct {
	member *member
	ctx    context.Context
	start  int64
	upload *upload // nil without a body

	waits      bool // it is one of those below
	prev, next *flight

	body   io.ReadCloser
	some   atomic.Bool // something of the body was read
	judged atomic.Bool
	ended  atomic.Bool
}

// began returns when the call began, or 0 if there is none.
func (f *flight) began() int64 {
	if f == nil {
		return 0
	}
	return f.start
}

// answered is called with what the transport returned.
func (f *flight) answered(resp *http.Response, err error) {
	m := f.member
	timed := m.answered(f)
	now := m.pool.now()
	took := now - f.start
	switch {
	case err != nil:
		switch {
		case f.blames(err):
			f.failed(took)
		case timed:
			m.gaveUp(now, took)
		}
		f.end()
		return
	case isFailure(resp.StatusCode):
		f.failed(took)
	case timed:
		m.observe(now, took)
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		f.succeeded()
		f.end()
		return
	}
	f.body = resp.Body
	resp.Body = f
	if rw, ok := f.body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		f.succeeded()
		resp.Body = tunnel{f, rw}
	}
}

// isFailure reports whether a status says that the host, or what is behind it, has failed.
func isFailure(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// blames reports whether the error of a call is a failure of the host.
func (f *flight) blames(err error) bool {
	if errors.Is(f.ctx.Err(), context.Canceled) || f.ended.Load() {
		return false
	}
	return f.upload == nil || !f.upload.toBlame(f.ctx)
}

// succeeded tells the host that the call has succeeded, if that is news.
func (f *flight) succeeded() {
	if f.judged.CompareAndSwap(false, true) {
		f.member.succeeded(f.start)
	}
}

// failed tells the host that the call has failed, if that is news, and how long it took to do so.
func (f *flight) failed(took int64) {
	if f.judged.CompareAndSwap(false, true) {
		f.member.failed(f.ctx, f.start, took)
	}
}

// end ends the call once.
func (f *flight) end() {
	if f.ended.CompareAndSwap(false, true) {
		f.member.answered(f)
		f.member.end()
	}
}

// Read reads the body of the answer.
func (f *flight) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	if n > 0 && !f.some.Load() {
		f.some.Store(true)
	}
	switch {
	case err == nil:
	case err == io.EOF:
		f.succeeded()
	case f.blames(err):
		f.failed(0) // how long the body took says nothing
	}
	return n, err
}

// Close closes the body of the answer. The call is no longer in flight.
func (f *flight) Close() error {
	if f.some.Load() && f.ctx.Err() == nil {
		f.succeeded()
	}
	err := f.body.Close()
	f.end()
	return err
}

// A tunnel is the connection of an upgrade.
type tunnel struct {
	*flight
	rw io.ReadWriteCloser
}

// Write writes to the host.
func (t tunnel) Write(p []byte) (int, error) { return t.rw.Write(p) }

// CloseWrite lets the host read to the end.
func (t tunnel) CloseWrite() error {
	if w, ok := t.rw.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return http.ErrNotSupported
}
