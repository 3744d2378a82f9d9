package endpoint

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

var errShort = errors.New("the stream is shorter than its Content-Length")

// stream answers with the Body of the response, as it comes.
func (x *exchange) stream() error {
	res := x.call.res
	length := announced(res.Header)
	if err := x.h.checkStream(x.answer.w, res.Header, length); err != nil {
		return err
	}
	if err := x.h.admit(); err != nil {
		return err
	}
	status := res.StatusCode()
	if bodyAllowed(status) && x.in.Method != http.MethodHead {
		return x.passOn(length)
	}
	if status == http.StatusResetContent {
		length = -1 // it has none (RFC 9110, section 15.3.6); of the others net/http takes care
	}
	x.streamHeader(x.answer.w.Header(), res, length)
	x.answer.setWriteDeadline()
	x.begin()
	x.answer.writeHeader(status)
	return nil
}

// passOn passes the body on. Where the length is known there is no hurry, unless the request body
// is held: the clock runs until the first bytes are there, which decide whether the answer is a
// problem.
func (x *exchange) passOn(length int64) error {
	res := x.call.res
	s := stream{answer: &x.answer, source: &x.source, length: length, flush: mustFlush(res.Header, length),
		trailer: res.Trailer, http1: x.in.ProtoMajor <= 1}
	s.source.open(x.h, &x.call, length)
	defer s.close()
	var n int
	var err error
	// A body may come from the request, whose reads wait for the header while hold lasts.
	headerFirst := s.flush || x.upload != nil && x.upload.holds()
	if !headerFirst {
		if n, err = s.source.first(); err != nil && err != io.EOF {
			return s.source.wrap(err)
		}
	}
	if err := x.call.stopClock(); err != nil {
		return err
	}
	x.streamHeader(x.answer.w.Header(), res, length)
	x.begin()
	x.answer.writeHeader(res.StatusCode())
	if x.upload != nil {
		x.upload.letGo()
	}
	if headerFirst {
		if err := x.answer.flush(); err != nil {
			return err
		}
		n, err = s.read()
	}
	if err := s.pass(n, err); err != nil {
		return err
	}
	x.answer.setWriteDeadline() // of the end, which net/http writes
	return nil
}

// streamHeader prepares the header of an answer with a length, or -1 for one without.
func (x *exchange) streamHeader(dst http.Header, res *proxy.Response, length int64) {
	delete(dst, "Content-Length") // of a middleware, which does not know it
	x.successHeader(dst, res, keepAny, 0)
	if length < 0 {
		delete(dst, "Content-Length")
	}
	if dst["Content-Type"] == nil {
		dst["Content-Type"] = nil // or net/http guesses one
	}
}

// A stream is a body on its way to the client, behind the header.
type stream struct {
	answer  *answer
	source  *source
	length  int64 // as announced; -1 without
	flush   bool  // what was read is sent at once
	written int64
	trailer func() http.Header // of the response; nil if it has none
	http1   bool
}

// pass writes the body to its end or length, and its trailers. n and err are from the first read.
func (s *stream) pass(n int, err error) error {
	err = s.copy(n, err)
	// HTTP/1 has no trailers behind a length (RFC 9112, section 7.1).
	if err == nil && s.trailer != nil && !s.http1 {
		err = s.readOn()
	}
	switch {
	case err == nil || s.answer.lost:
		return err
	case err != io.EOF:
		return s.source.wrap(err)
	case s.written < s.length:
		return s.source.wrap(errShort)
	}
	return s.sendTrailers()
}

// copy writes what was read and reads on. It returns nil once it has written the whole length,
// io.EOF at the end of the body, and otherwise what failed. A surplus is dropped.
func (s *stream) copy(n int, err error) error {
	for {
		if s.length >= 0 {
			n = int(min(int64(n), s.length-s.written))
		}
		if n > 0 {
			s.answer.setWriteDeadline()
			if err := s.answer.write(s.source.buf[:n]); err != nil {
				return err
			}
			s.written += int64(n)
		}
		if err != nil || s.written == s.length {
			return err
		}
		if s.flush && n > 0 {
			if err := s.answer.flush(); err != nil {
				return err
			}
		}
		n, err = s.read()
	}
}

// read reads on, which may take longer than a write.
func (s *stream) read() (int, error) {
	s.answer.rest()
	return s.source.read()
}

// readOn reads to the end of the body, after which its trailers are known, and drops what it reads.
// It returns io.EOF there, and nil if the end is not within a buffer of surplus.
func (s *stream) readOn() (err error) {
	if s.flush {
		if err := s.answer.flush(); err != nil {
			return err
		}
	}
	for dropped, n := 0, 0; err == nil && dropped <= writeSize; dropped += n {
		n, err = s.read()
	}
	return err
}

// sendTrailers sends the trailers of a body that is at its end, whether they were announced or not.
func (s *stream) sendTrailers() error {
	if s.trailer == nil {
		return nil
	}
	s.answer.rest()
	got, err := s.source.trailers(s.trailer)
	if err != nil {
		return s.source.wrap(err)
	}
	trailer := http.Header{}
	filter(trailer, got, 0, false, keepAny)
	h := s.answer.w.Header()
	for name, values := range trailer {
		h[http.TrailerPrefix+name] = values
	}
	return nil
}

func (s *stream) close() { s.source.close(!s.answer.lost) }

// announced returns the length that a header gives, or -1 if it gives none that counts.
func announced(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, err := strconv.ParseUint(lines[0], 10, 63); err == nil {
			return int64(n)
		}
	}
	return -1
}

// mustFlush reports whether the bytes must not wait: those of server-sent events, and of a body
// without a length.
func mustFlush(h http.Header, length int64) bool { return length < 0 || isEvents(h) }

func isEvents(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) == 0 {
		return false
	}
	media, _, _ := strings.Cut(types[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// checkStream returns why w cannot carry a stream, or nil.
func (h *handler) checkStream(w http.ResponseWriter, header http.Header, length int64) error {
	if h.spec.Stream {
		return checkStreamWriter(w)
	}
	if mustFlush(header, length) && !flushable(w) {
		return unable("flush", http.ErrNotSupported)
	}
	return nil
}
