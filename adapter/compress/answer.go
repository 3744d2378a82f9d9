package compress

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
)

// sniffed is how many bytes of a body net/http looks at to guess its type.
const sniffed = 512

type state int

const (
	undecided state = iota // the header is not sent
	plain
	coded
	over // it was compressed, and the encoder may be that of another answer
)

// An answer is the ResponseWriter of the handler. It sends the header once it is clear whether the
// body is compressed.
type answer struct {
	http.ResponseWriter
	compressor *compressor
	coding     *coding  // what the client prefers; nil for the plain bytes
	must       bool     // the client refuses the plain bytes
	known      []string // the tags whose compressed form the client has

	state   state
	status  int    // given to WriteHeader; 0 before
	length  int64  // announced by the handler; -1 if it has not
	written int64  // by the handler, of a body that is compressed or held
	held    []byte // while undecided
	encoder encoder
	sent    bool // compressed bytes
}

// WriteHeader decides at once if the type and the length say enough, or something speaks against
// compression. Otherwise the first bytes have to come.
func (a *answer) WriteHeader(status int) {
	if a.state != undecided || status < 200 && status != http.StatusSwitchingProtocols {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	if a.status != 0 {
		return // net/http too takes only the first
	}
	h := a.Header()
	a.status, a.length = status, announced(h)
	_, typed := h["Content-Type"]
	switch {
	case !a.mayBeCoded():
		a.beginPlain()
	case typed && (a.length >= 0 || !a.suits()):
		a.decide()
	}
}

func announced(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, err := strconv.ParseUint(lines[0], 10, 63); err == nil {
			return int64(n)
		}
	}
	return -1
}

// mayBeCoded reports whether nothing but the type and the size can speak against it.
func (a *answer) mayBeCoded() bool {
	switch a.status {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	h := a.Header()
	if a.coding == nil || says(h, "no-transform") {
		return false
	}
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Transfer-Encoding", "Content-Digest", "Repr-Digest", "Digest",
		"Content-Md5"} {
		if len(h[name]) > 0 {
			return false
		}
	}
	return true
}

// suits reports whether the type is one to be compressed, or any may be.
func (a *answer) suits() bool {
	media := mediaType(a.Header())
	return media != "text/event-stream" && (a.must || a.compressor.hasType(media))
}

// decide sends the header and what is held, compressed or not.
func (a *answer) decide() error {
	a.guessType()
	size := max(a.length, int64(len(a.held)))
	if !a.mayBeCoded() || !a.suits() || size == 0 || size < int64(a.compressor.minSize) && !a.must {
		return a.beginPlain()
	}
	h := a.Header()
	vary(h)
	setTag(h, a.coding)
	h["Content-Encoding"] = []string{a.coding.name}
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges") // they are of the plain bytes
	a.state = coded
	a.ResponseWriter.WriteHeader(a.status)
	a.encoder = a.coding.encoder((*sink)(a))
	return a.release(a.encoder)
}

// guessType guesses the type as net/http would from the plain bytes.
func (a *answer) guessType() {
	h := a.Header()
	if _, typed := h["Content-Type"]; !typed && len(a.held) > 0 && len(h["Content-Encoding"]) == 0 {
		h["Content-Type"] = []string{http.DetectContentType(a.held)}
	}
}

func (a *answer) beginPlain() error {
	h := a.Header()
	vary(h)
	if tags := h["Etag"]; a.status == http.StatusNotModified && len(tags) == 1 && slices.Contains(a.known, tags[0]) {
		setTag(h, a.coding) // of what the client has
	}
	a.state = plain
	a.ResponseWriter.WriteHeader(a.status)
	return a.release(a.ResponseWriter)
}

// release writes what is held.
func (a *answer) release(w io.Writer) error {
	held := a.held
	a.held = nil
	if len(held) == 0 {
		return nil
	}
	_, err := w.Write(held)
	return err
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.state == plain:
		return a.ResponseWriter.Write(b)
	case a.state == over:
		return 0, errOver
	case a.length >= 0 && a.written+int64(len(b)) > a.length:
		return 0, http.ErrContentLength
	case a.state == coded:
		n, err := a.encoder.Write(b)
		a.written += int64(n)
		return n, err
	}
	limit := max(a.compressor.minSize, sniffed)
	n := min(len(b), limit-len(a.held))
	a.held = append(a.held, b[:n]...)
	a.written += int64(n)
	if len(a.held) < limit {
		return n, nil
	}
	if err := a.decide(); err != nil || n == len(b) {
		return n, err
	}
	m, err := a.Write(b[n:])
	return n + m, err
}

var errOver = errors.New("compress: the handler has returned")

// ReadFrom lets the connection send a file without copying it, where it is not compressed.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	if a.state == plain {
		return io.Copy(a.ResponseWriter, src)
	}
	return io.Copy(struct{ io.Writer }{a}, src)
}

// Flush implements [http.Flusher] for handlers that ask for it.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is what http.ResponseController calls. Whoever flushes before there is enough to
// compress is in a hurry: that is a stream.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.state == undecided {
		a.guessType()
		if err := a.beginPlain(); err != nil {
			return err
		}
	}
	switch a.state {
	case over:
		return errOver
	case coded:
		if err := a.encoder.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker] for handlers that ask for it.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the original.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// finish ends the answer of a handler that has returned.
func (a *answer) finish() {
	switch {
	case a.status == 0:
		vary(a.Header()) // net/http writes the header, or the handler has taken over the connection
	case a.state == undecided:
		_ = a.decide() // an error is sticky, or of a connection that is gone
	}
	if a.state != coded {
		return
	}
	if a.length >= 0 && a.written < a.length || a.encoder.Close() != nil {
		panic(http.ErrAbortHandler) // and serve abandons it
	}
	a.end()
}

// abandon leaves a compressed answer without its end. If something outside goes on as if nothing had
// happened, its beginning at least tells that there should be more: no bytes would be an empty body.
func (a *answer) abandon() {
	if a.state != coded {
		return
	}
	if !a.sent {
		_, _ = a.ResponseWriter.Write([]byte(a.coding.magic))
	}
	a.end()
}

// end gives the encoder back.
func (a *answer) end() {
	a.state = over
	a.coding.keep(a.encoder)
	a.encoder = nil
}

// A sink takes the compressed bytes.
type sink answer

func (s *sink) Write(b []byte) (int, error) {
	s.sent = true
	return s.ResponseWriter.Write(b)
}
