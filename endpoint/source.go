package endpoint

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/proxy"
)

var errSilent = errors.New("the stream was silent for too long")

// A source reads the body of a response within the idle limit.
//
// A body that user code has made may block for good, so it is read on a goroutine of its own, which
// is abandoned if it is still reading when the context ends. It may also keep the buffer that it is
// given to read into, so that buffer is not pooled.
type source struct {
	h      *handler
	call   *pipeCall
	body   io.Reader
	buf    []byte
	pooled *[writeSize]byte // the array of buf, or nil

	idle   *time.Timer // nil until the idle limit is needed
	silent atomic.Bool // the idle limit has ended the stream

	asked     chan struct{} // asks the goroutine to read; nil without one
	got       chan chunk    // what it has read
	abandoned bool          // the goroutine is
}

// A chunk is the result of a read.
type chunk struct {
	n   int
	err error
}

// open makes of the zero source one for the response of a call.
func (s *source) open(h *handler, c *pipeCall, length int64) {
	s.h, s.call, s.body = h, c, c.res.Body
	_, echo := s.body.(*upload) // it waits for the client, and not only until the context ends
	if h.direct || call.GuardsItself(s.body) && !echo {
		if s.pooled, _ = h.chunks.Get().(*[writeSize]byte); s.pooled == nil {
			s.pooled = new([writeSize]byte)
		}
		s.buf = s.pooled[:]
		return
	}
	size := int64(writeSize)
	if length >= 0 {
		size = min(size, length+1)
	}
	s.buf = make([]byte, size)
	s.asked, s.got = make(chan struct{}, 1), make(chan chunk, 1)
	go s.run()
}

// read reads into buf, within the idle limit.
func (s *source) read() (int, error) {
	s.startIdle()
	defer s.stopIdle()
	return s.fill()
}

// first reads into buf for the first time. The timeout of the endpoint bounds it, if there is one,
// which saves the idle timer for a body that comes in one piece.
func (s *source) first() (int, error) {
	if !s.call.timed {
		return s.read()
	}
	return s.fill()
}

// trailers calls trailer, which user code may have made, within the idle limit.
func (s *source) trailers(trailer func() http.Header) (http.Header, error) {
	if s.h.direct {
		return trailer(), nil
	}
	s.startIdle()
	defer s.stopIdle()
	return call.Guard(s.call.ctx, nil, nil, func() (http.Header, error) { return trailer(), nil })
}

// startIdle starts the idle limit, if there is one.
func (s *source) startIdle() {
	switch d := s.h.spec.IdleTimeout; {
	case d <= 0:
	case s.idle == nil:
		s.idle = time.AfterFunc(d, s.silence)
	default:
		s.idle.Reset(d)
	}
}

// stopIdle stops the idle limit: the time that the client takes is not the upstream's.
func (s *source) stopIdle() {
	if s.idle != nil {
		s.idle.Stop()
	}
}

// fill reads into buf until the context ends.
func (s *source) fill() (int, error) {
	if s.asked == nil {
		return readOnce(s.body, s.buf)
	}
	s.asked <- struct{}{}
	select {
	case c := <-s.got:
		return c.n, c.err
	case <-s.call.ctx.Done():
		s.abandoned = true
		s.h.abandoned.Add(1)
		return 0, s.call.ctx.Err()
	}
}

// readOnce reads at least a byte or fails: a Reader that keeps returning neither is an error.
func readOnce(r io.Reader, p []byte) (int, error) {
	for range 100 {
		if n, err := r.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// silence ends a stream in which nothing moves.
func (s *source) silence() {
	s.silent.Store(true)
	s.call.end()
	s.call.closeResponse()
}

// wrap says of a failure of the stream whether it was silent or broke.
func (s *source) wrap(err error) error {
	if s.silent.Load() {
		return &proxy.Error{Status: http.StatusGatewayTimeout, Op: "stream", Err: errors.Join(errSilent, err)}
	}
	return &proxy.Error{Op: "stream", Err: err}
}

// run reads each time it is asked, on the goroutine of its own.
func (s *source) run() {
	for range s.asked {
		s.got <- s.attempt()
	}
}

// attempt reads once and survives a panic.
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

// close ends the goroutine, once it has returned from its read. reuse says whether nobody holds buf
// any more.
func (s *source) close(reuse bool) {
	s.stopIdle()
	switch {
	case s.asked == nil:
		if reuse {
			lend.Spoil(s.pooled[:])
			s.h.chunks.Put(s.pooled)
		}
	case !s.abandoned:
		close(s.asked)
	default:
		go func() {
			defer s.h.abandoned.Add(-1)
			<-s.got
			close(s.asked)
		}()
	}
}
