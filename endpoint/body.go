package endpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

var (
	errTooLarge = errors.New("the request body is larger than MaxBody")
	errOver     = errors.New("the request is over")
)

// receive takes the request body over: into memory, or as it comes for a Stream endpoint.
func (x *exchange) receive() error {
	r, limit := x.in, x.h.spec.MaxBody
	x.req.ContentLength = r.ContentLength
	if x.h.spec.Stream {
		x.openUp()
	}
	if !hasBody(r) {
		x.req.ContentLength = 0
		return nil
	}
	if limit > 0 && r.ContentLength > limit {
		x.hangUp()
		return tooLarge()
	}
	if x.h.spec.Stream {
		return x.pass()
	}
	x.req.Header.Del("Expect") // met here: the body is read before the pipe is called
	body, err := x.readAll()
	if err != nil {
		x.hangUp()
		return err
	}
	x.req.ContentLength = int64(len(body))
	if len(body) > 0 {
		held := heldBody(body)
		x.req.GetBody = held.open
		x.req.Body, _ = held.open()
	}
	return nil
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

func tooLarge() error {
	return &proxy.Error{Status: http.StatusRequestEntityTooLarge, Op: "body", Err: errTooLarge}
}

// readAll reads the body within its time and size. The memory grows with what arrives, not with what was announced.
func (x *exchange) readAll() ([]byte, error) {
	src := io.Reader(x.in.Body)
	limit := x.h.spec.MaxBody
	if limit > 0 {
		// Beyond the limit it makes net/http close the connection gently, so that the client gets to read the answer.
		src = http.MaxBytesReader(x.w, x.in.Body, limit)
	}
	var until time.Time
	if d := x.h.spec.ReadTimeout; d > 0 {
		until = time.Now().Add(d)
		_ = http.NewResponseController(x.w).SetReadDeadline(until) // net/http ends it at the end of the body
	}
	size := int64(firstRead)
	if announced := x.in.ContentLength; announced >= 0 {
		size = min(size, announced)
	}
	b := make([]byte, 0, size+1) // one more, so that the end is seen without growing
	for {
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return nil, bodyError(err, "did not arrive within ReadTimeout", x.h.spec.ReadTimeout)
		case !until.IsZero() && time.Now().After(until):
			return nil, bodyError(os.ErrDeadlineExceeded, "did not arrive within ReadTimeout", x.h.spec.ReadTimeout)
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

const firstRead = 16 << 10

// bodyError gives a failure of reading the client's body its status. If it is that of a deadline, which was ours if limit is
// not 0, it says what the body did.
func bodyError(err error, slow string, limit time.Duration) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge()
	}
	status := http.StatusBadRequest
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		status = http.StatusGatewayTimeout
		if limit > 0 {
			err = fmt.Errorf("the request body %s (%v): %w", slow, limit, err)
		}
	}
	return &proxy.Error{Status: status, Op: "body", Err: err}
}

// A heldBody is a body in memory.
type heldBody []byte

func (b heldBody) open() (io.ReadCloser, error) {
	r := new(heldReader)
	r.Reset(b)
	return r, nil
}

// A heldReader saves what io.NopCloser would add.
type heldReader struct{ bytes.Reader }

func (*heldReader) Close() error { return nil }

// hangUp ends the connection with the answer: what follows on it is not another request.
func (x *exchange) hangUp() {
	if x.in.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
	// What is left is drained by net/http, which must not wait for it long.
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(drainTime))
}

// drainTime is how long the rest of a request body may take that nobody wants.
const drainTime = 500 * time.Millisecond

// openUp offers the pipe what only a Stream endpoint has.
func (x *exchange) openUp() {
	r, h := x.in, x.req.Header
	if field.HasToken(r.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	x.req.Upgrade = protocolOf(r)
	if r.ProtoAtLeast(1, 1) && len(r.Header["Expect"]) == 0 {
		x.req.Inform = x.inform // with Expect, net/http's own 100 may be on its way
	}
}

// pass hands the body on as it comes.
func (x *exchange) pass() error {
	rc := http.NewResponseController(x.w)
	x.upload = &upload{body: x.in.Body, rc: rc, idle: x.h.spec.IdleTimeout, limit: x.h.spec.MaxBody, in: x.in}
	if err := x.able(); err != nil {
		return err
	}
	if x.in.ProtoMajor == 1 {
		if err := rc.EnableFullDuplex(); err != nil {
			return unable("read and write at a time", err)
		}
	}
	x.req.Body = x.upload
	x.req.Trailer = x.upload.trailer
	return nil
}

// An upload is a request body that is handed on. Nobody reads from the client through it once the handler has returned.
type upload struct {
	body  io.ReadCloser
	rc    *http.ResponseController
	idle  time.Duration
	limit int64
	in    *http.Request

	reading sync.Mutex // held while the body is read; guards read
	read    int64

	mu     sync.Mutex // guards what follows, and is never held for long
	err    error      // of the last read
	closed bool
}

// Read reads from the client, which must not be silent for longer than the endpoint bears.
func (u *upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	if err := u.state(); err != nil {
		return 0, err
	}
	if u.idle > 0 {
		_ = u.rc.SetReadDeadline(time.Now().Add(u.idle))
	}
	n, err := u.body.Read(p)
	u.read += int64(n)
	switch {
	case u.limit > 0 && u.read > u.limit:
		n, err = 0, tooLarge()
	case err != nil && err != io.EOF && u.state() != nil: // the handler has returned, and broke the read
		err = bodyError(err, "", 0)
	case err != nil && err != io.EOF:
		err = bodyError(err, "was silent for IdleTimeout", u.idle)
	}
	u.mu.Lock()
	u.err = err
	u.mu.Unlock()
	return n, err
}

// Close makes further reads fail. It waits for nothing: closing net/http's body would read the rest of it.
func (u *upload) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	return nil
}

// state returns why nothing more can be read, or nil.
func (u *upload) state() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errOver
	}
	return u.err
}

// complete reports whether the body was read to its end.
func (u *upload) complete() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err == io.EOF
}

// failure returns why reading from the client failed, or nil.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == io.EOF {
		return nil
	}
	return u.err
}

// trailer returns the client's trailers once the body is at its end.
func (u *upload) trailer() http.Header {
	if !u.complete() {
		return nil
	}
	h := http.Header{}
	filter(h, u.in.Trailer, 0, false, keepEndToEnd)
	return h
}

// withCause joins an error with its cause, unless it says it already.
func withCause(err, cause error) error {
	if errors.Is(err, cause) {
		return err
	}
	return errors.Join(cause, err)
}

// end takes the body away from whoever still reads it.
func (u *upload) end() {
	_ = u.Close()
	if !u.reading.TryLock() {
		_ = u.rc.SetReadDeadline(time.Unix(1, 0)) // a read waits for the client
		u.reading.Lock()
	}
	defer u.reading.Unlock()
	if u.complete() {
		_ = u.rc.SetReadDeadline(time.Time{}) // if the end came at the same moment
		return
	}
	_ = u.rc.SetReadDeadline(time.Now().Add(drainTime)) // of what net/http reads of the rest
}
