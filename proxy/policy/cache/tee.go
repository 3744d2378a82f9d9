package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
)

// tee has the body of a stream copied while it is read, and kept once it has come to its end. Where
// others wait for it, and it is known to be small enough, it is read at once, so that they wait for
// the upstream and not for the client of this call.
func (x *exchange) tee(ctx context.Context, f *flight, k *keeping, res *proxy.Response) error {
	length := field.Length(res.Header)
	if length == 0 || isEmpty(res.StatusCode()) || res.Body == http.NoBody { // nobody may read it
		x.store(ctx, f, k)
		return nil
	}
	t := &tee{x: x, ctx: ctx, flight: f, keeping: k, res: res, body: res.Body, length: length, most: x.cache.spec.MaxObject}
	if length > 0 {
		t.copy = make([]byte, 0, min(length, 64<<10))
	}
	res.Body = t
	if length >= 0 && f.awaited() {
		return t.readAll()
	}
	f.reads()
	res.OnClose(func() { t.end(true) })
	return nil
}

// isEmpty reports whether an answer of this status has no payload.
func isEmpty(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent
}

// A tee is the body of a stream that is copied.
type tee struct {
	x       *exchange
	ctx     context.Context
	flight  *flight
	keeping *keeping
	res     *proxy.Response
	body    io.ReadCloser
	length  int64 // as announced, or -1
	most    int   // of bytes that are kept; negative is no limit
	copy    []byte
	ended   bool // nothing is copied any more
}

// Read reads from the body.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.body.Read(p)
	if t.ended || n < 0 || n > len(p) {
		return n, err
	}
	t.copy = append(t.copy, p[:n]...)
	size := int64(len(t.copy))
	switch {
	case t.most >= 0 && size > int64(t.most), t.length >= 0 && size > t.length:
		t.end(false)
	case err == io.EOF && (t.length < 0 || size == t.length):
		t.complete(true)
	case err != nil:
		t.end(t.ctx.Err() != nil)
	case size == t.length && t.res.Trailer == nil: // nobody may read on
		t.complete(false)
	}
	return n, err
}

// complete keeps what was copied. atEnd says that the trailers are known.
func (t *tee) complete(atEnd bool) {
	t.ended = true
	e := t.keeping.entry
	e.answer.body = bytes.Clone(t.copy) // without room to spare
	t.copy = nil
	if trailer := t.res.Trailer; atEnd && trailer != nil {
		h, err := call.Guard(t.ctx, t.x.cache.bound, nil, func() (http.Header, error) { return trailer(), nil })
		if err != nil {
			t.flight.land(outcome{})
			return
		}
		e.answer.trailer = field.Kept(h)
		if !t.x.cache.spec.StoreCookies {
			delete(e.answer.trailer, "Set-Cookie")
		}
	}
	t.x.store(t.ctx, t.flight, t.keeping)
}

// end ends the copying. A body of which all was read that was announced is complete. left says that
// the client has left, so that another one may read it all.
func (t *tee) end(left bool) {
	if t.ended {
		return
	}
	if t.length >= 0 && int64(len(t.copy)) == t.length {
		t.complete(false)
		return
	}
	t.ended, t.copy = true, nil
	t.flight.land(outcome{again: left})
}

// readAll reads the body to its end, and puts what was read in its place.
func (t *tee) readAll() error {
	body := call.NewBody(t.ctx, t.x.cache.bound, t)
	var b bytes.Buffer
	_, err := b.ReadFrom(io.LimitReader(body, t.length+1))
	t.end(t.ctx.Err() != nil)
	if err != nil {
		call.Discard(t.ctx, t.res)
		return &proxy.Error{Op: "cache", Err: err}
	}
	t.res.Body = &whole{Reader: *bytes.NewReader(b.Bytes()), body: t.body}
	return nil
}

// Close closes the body.
func (t *tee) Close() error { return t.body.Close() }

// Mark says that no code of a user runs in it, if that is so for the body.
func (t *tee) Mark() mark.Type {
	if !call.GuardsItself(t.body) {
		return mark.Type{}
	}
	return mark.TypeOf[*tee]()
}

// A whole is a body that was read before, and that is still to be closed.
type whole struct {
	bytes.Reader
	body io.ReadCloser
}

// Close closes the body that was read.
func (w *whole) Close() error { return w.body.Close() }

// Mark says that no code of a user runs in it, if that is so for the body.
func (w *whole) Mark() mark.Type {
	if !call.GuardsItself(w.body) {
		return mark.Type{}
	}
	return mark.TypeOf[*whole]()
}

// drain reads a body to its end, so that it is kept.
func drain(ctx context.Context, bound *call.Bound, body io.ReadCloser) error {
	_, err := io.Copy(io.Discard, call.NewBody(ctx, bound, body))
	return err
}
