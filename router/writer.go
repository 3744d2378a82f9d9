package router

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A response is a ResponseWriter that knows what was answered. What the one inside can do beyond
// that, http.ResponseController finds; see [witnessed] for code that looks for itself.
type response struct {
	http.ResponseWriter
	status int   // of the final answer; 0 until it has begun
	bytes  int64 // of the body, as they were written
	taken  bool  // the connection was taken over
}

// witnessed returns a response, and the ResponseWriter to go on with. That is a Flusher or a Hijacker
// only if w reaches one: what can do neither must not look as if it could.
func witnessed(w http.ResponseWriter) (*response, http.ResponseWriter) {
	if known, ok := w.(interface{ witness() *response }); ok {
		return known.witness(), w
	}
	res := &response{ResponseWriter: w}
	switch flushes := reaches[http.Flusher](w) || reaches[flushErrorer](w); {
	case flushes && reaches[http.Hijacker](w):
		return res, hijacker{flusher{res}}
	case flushes:
		return res, flusher{res}
	}
	return res, res
}

type flushErrorer interface{ FlushError() error }

// reaches reports whether w, or a ResponseWriter that it wraps, is a T.
func reaches[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
}

func (w *response) witness() *response { return w }

// begun reports whether no other answer can follow.
func (w *response) begun() bool { return w.status != 0 || w.taken }

// begin notes that the header goes out with what follows.
func (w *response) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

func (w *response) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

func (w *response) WriteString(s string) (int, error) {
	w.begin()
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom lets net/http send a file without copying it.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the original.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A flusher is a response that can be flushed.
type flusher struct{ *response }

func (w flusher) Flush() { _ = w.FlushError() }

func (w flusher) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// A hijacker is a response whose connection can be taken over.
type hijacker struct{ flusher }

func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.taken = w.taken || err == nil
	return conn, buffered, err
}
