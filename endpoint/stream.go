package endpoint

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

var (
	errSilent = errors.New("the stream was silent for too long")
	errShort  = errors.New("the stream is shorter than its Content-Length")
)

// stream answers with the Body of the response, as it comes.
func (x *exchange) stream() {
	if err := x.streamable(); err != nil {
		x.fail(err)
		return
	}
	if err := x.h.crowded(); err != nil {
		x.fail(err)
		return
	}
	status := x.res.StatusCode()
	if bodyAllowed(status) && x.in.Method != http.MethodHead {
		x.copy(status)
		return
	}
	length := announced(x.res.Header)
	if status == http.StatusResetContent {
		length = -1 // it has none (RFC 9110, section 15.3.6); of the others net/http takes care
	}
	x.streamHeader(length)
	x.patience()
	x.begin()
	x.w.WriteHeader(status)
}

// streamHeader prepares the header of an answer with a length, or -1 for one without.
func (x *exchange) streamHeader(length int64) {
	x.header(keepAny, 0)
	h := x.w.Header()
	if length < 0 {
		delete(h, "Content-Length")
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // or net/http guesses one
	}
}

// announced returns the length that a header gives, or -1 if it gives none that counts.
func announced(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, err := strconv.ParseUint(lines[0], 10, 63); err == nil {
			return int64(n)
		}
	}
	return -1
}

// copy passes the body on. Before the header is out a failure is a problem, afterwards it ends the connection. Where there
// is a length there is no hurry: the clock runs until the first bytes are there, and they decide.
func (x *exchange) copy(status int) {
	src := x.source()
	defer src.end()
	length := announced(x.res.Header)
	flush := x.flushes(length)
	var n int
	var err error
	if !flush {
		if n, err = src.first(); err != nil && err != io.EOF {
			x.fail(x.broken(err))
			return
		}
	}
	if err := x.stopClock(); err != nil {
		x.fail(err)
		return
	}
	x.streamHeader(length)
	x.begin()
	x.w.WriteHeader(status)
	if flush {
		x.flush()
		n, err = src.read()
	}
	written := int64(0)
	for {
		if length >= 0 {
			n = int(min(int64(n), length-written)) // a surplus is dropped
		}
		if n > 0 {
			x.patience()
			src.lent = true
			if _, err := x.w.Write(src.buf[:n]); err != nil {
				x.lost(err)
			}
			src.lent = false
			written += int64(n)
		}
		if err != nil || written == length {
			break
		}
		if flush && n > 0 {
			x.flush()
		}
		n, err = src.read()
	}
	if (err == nil || err == io.EOF) && written < length {
		err = errShort
	}
	if err == nil && x.res.Trailer != nil && x.in.ProtoMajor > 1 { // HTTP/1 has none behind a length (RFC 9112, section 7.1)
		if flush {
			x.flush()
		}
		err = src.rest()
	}
	if err != nil && err != io.EOF {
		x.h.report(x, x.judge(x.broken(err)))
		panic(http.ErrAbortHandler)
	}
	if err == io.EOF {
		x.trailers()
	}
}

// broken tells a stream that was silent from one that broke.
func (x *exchange) broken(err error) error {
	if x.silent.Load() {
		return &proxy.Error{Status: http.StatusGatewayTimeout, Op: "stream", Err: errors.Join(errSilent, err)}
	}
	return &proxy.Error{Op: "stream", Err: err}
}

// flushes reports whether the bytes must not wait: server-sent events, and what has no length.
func (x *exchange) flushes(length int64) bool { return length < 0 || isEvents(x.res.Header) }

func isEvents(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) == 0 {
		return false
	}
	media, _, _ := strings.Cut(types[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

func (x *exchange) flush() {
	x.patience()
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		x.lost(err)
	}
}

// trailers sends the trailers of a response whose body is at its end, whether they were announced or not.
func (x *exchange) trailers() {
	if x.res.Trailer == nil {
		return
	}
	trailer := http.Header{}
	filter(trailer, x.res.Trailer(), 0, false, keepAny)
	h := x.w.Header()
	for name, values := range trailer {
		h[http.TrailerPrefix+name] = values
	}
}

// streamable returns why the ResponseWriter cannot carry the stream.
func (x *exchange) streamable() error {
	if x.h.spec.Stream {
		return x.able()
	}
	if x.flushes(announced(x.res.Header)) && !flushable(x.w) {
		return unable("flush", http.ErrNotSupported)
	}
	return nil
}

// able returns why the ResponseWriter is not good enough for a Stream endpoint.
func (x *exchange) able() error {
	if !flushable(x.w) {
		return unable("flush", http.ErrNotSupported)
	}
	if deadlinerOf(x.w) == nil {
		return unable("set deadlines", http.ErrNotSupported)
	}
	return nil
}

func unable(what string, err error) error {
	return &proxy.Error{Status: http.StatusInternalServerError, Op: "endpoint",
		Err: fmt.Errorf("the ResponseWriter cannot %s: %w", what, err)}
}

// flushable reports whether http.ResponseController can flush w, without doing it.
func flushable(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// A source reads the body of a response within the idle limit. A body that user code had its hands on may block for good,
// so it is read on a goroutine of its own, which is left alone when the context ends; and it may keep what it was given to
// read into, so that is not pooled.
type source struct {
	x      *exchange
	body   io.Reader
	buf    []byte
	pooled *[writeSize]byte // that buf is, or nil
	idle   *time.Timer

	asked  chan struct{} // nil for a body of ours
	got    chan chunk
	gaveUp bool
	lent   bool // buf is, to the ResponseWriter; where the write fails, for good: HTTP/2 may be sending from it
}

type chunk struct {
	n   int
	err error
}

func (x *exchange) source() *source {
	s := &x.src
	s.x, s.body = x, x.res.Body
	if x.h.direct {
		if s.pooled, _ = x.h.chunks.Get().(*[writeSize]byte); s.pooled == nil {
			s.pooled = new([writeSize]byte)
		}
		s.buf = s.pooled[:]
		return s
	}
	size := int64(writeSize)
	if length := announced(x.res.Header); length >= 0 {
		size = min(size, length+1)
	}
	s.buf = make([]byte, size)
	s.asked, s.got = make(chan struct{}, 1), make(chan chunk, 1)
	go s.run()
	return s
}

// silence ends a stream in which nothing moves.
func (x *exchange) silence() {
	x.silent.Store(true)
	x.endCall()
	x.closeResponse()
}

// read reads into buf, within the idle limit.
func (s *source) read() (int, error) {
	if d := s.x.h.spec.IdleTimeout; d > 0 {
		if s.idle == nil {
			s.idle = time.AfterFunc(d, s.x.silence)
		} else {
			s.idle.Reset(d)
		}
		defer s.idle.Stop() // the client's time to take it is not the upstream's
	}
	return s.fill()
}

// first reads into buf for the first time. The timeout of the endpoint bounds it, if there is one, and saves a timer for
// what comes in one piece.
func (s *source) first() (int, error) {
	if s.x.expiry == nil {
		return s.read()
	}
	return s.fill()
}

// rest reads on to the end, behind which trailers are, and drops what it reads. Of more than a buffer that nobody announced
// it does not look for the end: then it returns nil.
func (s *source) rest() (err error) {
	for dropped, n := 0, 0; err == nil && dropped <= writeSize; dropped += n {
		n, err = s.read()
	}
	return err
}

func (s *source) fill() (int, error) {
	if s.asked == nil {
		return readOnce(s.body, s.buf)
	}
	s.asked <- struct{}{}
	select {
	case c := <-s.got:
		return c.n, c.err
	case <-s.x.ctx.Done():
		s.gaveUp = true
		s.x.h.stuck.Add(1)
		return 0, s.x.ctx.Err()
	}
}

// readOnce never returns neither bytes nor an error for ever.
func readOnce(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (s *source) run() {
	for range s.asked {
		s.got <- s.attempt()
	}
}

func (s *source) attempt() (c chunk) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if c = (chunk{err: call.PanicOf(v)}); v == nil {
			s.got <- c // the goroutine ends here
		}
	}()
	c.n, c.err = readOnce(s.body, s.buf)
	returned = true
	return c
}

// end lets the goroutine go, or leaves it alone where it does not return.
func (s *source) end() {
	if s.idle != nil {
		s.idle.Stop()
	}
	switch {
	case s.asked == nil:
		if !s.lent {
			s.x.h.chunks.Put(s.pooled)
		}
	case !s.gaveUp:
		close(s.asked)
	default:
		go func() {
			defer s.x.h.stuck.Add(-1)
			<-s.got
			close(s.asked)
		}()
	}
}
