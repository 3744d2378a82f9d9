package backend

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
)

// maxDrain is how many bytes of an unwanted body are read so that its connection can be used again.
const maxDrain = 64 << 10

// maxWait is how long an unwanted body may take to arrive.
const maxWait = 50 * time.Millisecond

// discard reads the rest of a body, up to a bound. If more is left, closing the body closes the
// connection.
func discard(body io.Reader) {
	_, _ = io.CopyN(io.Discard, body, maxDrain+1)
}

// hurry calls read with the body of an answer. If read takes longer than maxWait, hurry closes the
// body, which ends the read: the status is known, and must not wait for a body that may never
// arrive. hurry replaces a body that it has closed, so that nobody closes it again.
func hurry(ctx context.Context, resp *http.Response, read func(io.Reader)) {
	body := resp.Body
	if body == http.NoBody {
		return
	}
	closed := make(chan struct{})
	timer := time.AfterFunc(maxWait, func() {
		defer close(closed)
		call.Discard(ctx, body)
	})
	defer func() {
		if !timer.Stop() {
			<-closed
			resp.Body = http.NoBody
		}
	}()
	read(&untilError{r: body})
}

// An untilError does not call its reader again after an error: a body that hurry has closed must
// not be read on, even if it still answers.
type untilError struct {
	r   io.Reader
	err error
}

func (u *untilError) Read(p []byte) (n int, err error) {
	if u.err == nil {
		n, u.err = u.r.Read(p)
	}
	return n, u.err
}

// trusted is how much memory readBody allocates for an announced length before the first byte has
// arrived.
const trusted = 128 << 10

// readBody returns the whole body. length is the announced length; it is unknown if it is not
// positive. readBody fails if the body is shorter than announced or longer than max. It drops bytes
// beyond the announced length. The result is in memory of the arena.
func readBody(r io.Reader, length, max int64, arena *lend.Arena) ([]byte, error) {
	switch {
	case r == http.NoBody:
		return nil, nil
	case length > max:
		return nil, ErrTooLarge
	case length <= 0:
		return readUnknown(r, max, arena)
	}
	b := arena.Bytes(int(min(length, trusted) + 1)) // one more, to see the end of the body
	for idle := 0; ; {
		if len(b) == cap(b) {
			b = arena.Grow(b, int(min(2*int64(cap(b)), length+1)))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > length:
			return b[:length], nil
		case err == io.EOF && int64(len(b)) < length:
			return nil, io.ErrUnexpectedEOF
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle == 100 {
			return nil, io.ErrNoProgress
		}
	}
}

// readUnknown reads a body of unknown length into pieces, each twice as large as the one before up
// to 1 MiB, and joins them at the end. This allocates less than one growing buffer, and little for
// a body that turns out to be too large. Memory that is lent grows instead, as long as the arena lends
// it.
func readUnknown(r io.Reader, max int64, arena *lend.Arena) ([]byte, error) {
	const first, largest = 4 << 10, 1 << 20
	var room [12][]byte
	pieces, joined := room[:0], int64(0)
	b := arena.Bytes(first)
	for idle := 0; ; {
		switch {
		case len(b) < cap(b):
		case arena != nil && 2*cap(b) <= lend.Most:
			b = arena.Grow(b, 2*cap(b))
		default:
			pieces, joined = append(pieces, b), joined+int64(len(b))
			b = make([]byte, 0, min(2*cap(b), largest))
		}
		free := b[len(b):cap(b)]
		if left := max - joined - int64(len(b)); left < int64(len(free)) {
			free = free[:left+1] // one more, to see that there is more
		}
		n, err := r.Read(free)
		b = b[:len(b)+n]
		switch {
		case joined+int64(len(b)) > max:
			return nil, ErrTooLarge
		case err == io.EOF && len(pieces) == 0:
			return b, nil
		case err == io.EOF:
			return slices.Concat(append(pieces, b)...), nil
		case err != nil:
			return nil, err
		}
		if idle++; n > 0 {
			idle = 0
		} else if idle == 100 {
			return nil, io.ErrNoProgress
		}
	}
}

// An upload is the request body on its way to the upstream, however often it is sent. The transport
// may read it on its own goroutine, even after RoundTrip has returned, so everything of a user in
// it is guarded. The body of the request still belongs to the caller that made it.
type upload struct {
	ctx   context.Context       // of the call
	bound *call.Bound           // of what outlives ctx
	ended atomic.Bool           // the call is over, so read no more
	cause atomic.Pointer[error] // why reading the body failed, if it did
}

// failure returns why reading the body failed, or nil.
func (u *upload) failure() error {
	if u == nil {
		return nil
	}
	if cause := u.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// again returns a function that opens the body for another attempt of the transport.
func (u *upload) again(open func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		rc, err := call.Open(u.ctx, u.bound, open)
		if err == nil && rc == nil {
			err = errNoBody
		}
		if err != nil {
			return nil, err
		}
		return &uploadBody{upload: u, rc: call.NewBody(u.ctx, u.bound, rc), own: true}, nil
	}
}

var errNoBody = errors.New("GetBody returned no body")

// An uploadBody reads an upload once.
type uploadBody struct {
	upload *upload
	rc     io.ReadCloser
	own    bool         // opened by again, so closed by Close
	closed atomic.Bool  // reads fail from now on
	atEOF  func() error // fills in the trailers; may be nil
}

// Mark says that it guards what it reads.
func (*uploadBody) Mark() mark.Type { return mark.TypeOf[*uploadBody]() }

// InMemory reports whether reading it cannot block.
func (b *uploadBody) InMemory() bool { return call.IsInMemory(b.rc) }

func (b *uploadBody) Read(p []byte) (int, error) {
	if b.upload.ended.Load() || b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.rc.Read(p)
	if err == io.EOF && b.atEOF != nil {
		if failed := b.atEOF(); failed != nil {
			err = failed
		}
	}
	if err != nil && err != io.EOF {
		cause := err
		b.upload.cause.Store(&cause)
	}
	return n, err
}

// Close closes only a body that again has opened. It never waits for a client that is still
// sending: the caller that made the request body closes it.
func (b *uploadBody) Close() error {
	if b.closed.Swap(true) || !b.own {
		return nil
	}
	return b.rc.Close()
}

// announce has the client's trailers sent after the body, if the rule lets them go and code sends
// no header of that name. Trailers whose names are not known before the body go too, except over
// HTTP/2, where the transport leaves them out.
func (b *uploadBody) announce(out *http.Request, req *proxy.Request, rule *HeaderRule) error {
	out.Trailer = http.Header{}
	sent, trailer := out.Trailer, req.Trailer
	code := maps.Clone(req.Upstream) // the body may be read after the call
	fill := func() error {
		h, err := call.Guard(b.upload.ctx, b.upload.bound, nil, func() (http.Header, error) { return trailer(), nil })
		for name, values := range h {
			name, twin, _ := field.Parse(name)
			if rule.lets(name, twin) && isTrailer(name) && !hasName(code, name) {
				sent[name] = field.Values(values)
			}
		}
		return err
	}
	b.atEOF = fill
	return fill() // the names
}
