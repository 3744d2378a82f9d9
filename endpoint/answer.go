package endpoint

import (
	"net/http"
	"sync"
	"time"

	"github.com/sluice-go/sluice/proxy"
)

// An answer is the way back to the client: the ResponseWriter, and how far it has been used.
type answer struct {
	w        http.ResponseWriter
	http2    bool
	patience patience // with each write

	mu    sync.Mutex // guards final, and w while an informational answer is written
	final bool       // no informational answer may follow

	begun bool // the header is out, or the connection taken over: no other answer can follow
	lost  bool // a write failed: the ResponseWriter may hold its bytes, as one of HTTP/2 does

	status int   // that was written; 0 is none
	bytes  int64 // of the body
}

// writeHeader writes the header of the final answer.
func (a *answer) writeHeader(status int) {
	a.status = status
	a.w.WriteHeader(status)
}

// What is written under one deadline at most.
const (
	writeSize    = 32 << 10  // of a stream, and of an answer to an error
	documentSize = 256 << 10 // of a Document
)

// setWriteDeadline sees to the deadline of the next write, if the ResponseWriter can have one.
func (a *answer) setWriteDeadline() {
	if deadline, set := a.patience.deadline(); set {
		if w := deadlinerOf(a.w); w != nil {
			_ = w.SetWriteDeadline(deadline)
		}
	}
}

// rest says that nothing is written for now. HTTP/2 resets a stream at its deadline even then; any
// other protocol looks at the deadline only where something is written.
func (a *answer) rest() {
	if a.http2 && a.patience.rest() {
		if w := deadlinerOf(a.w); w != nil {
			_ = w.SetWriteDeadline(time.Time{})
		}
	}
}

// write writes p under the deadline that was set. An error says that the client did not take it.
func (a *answer) write(p []byte) error {
	a.lost = true // until it succeeds: it may panic
	n, err := a.w.Write(p)
	if a.bytes += int64(n); err != nil {
		return writeError(err)
	}
	a.lost = false
	return nil
}

// writeAll writes b in pieces, each with a deadline of its own but for the first, whose deadline is
// that of the header.
func (a *answer) writeAll(b []byte) error {
	for first := true; len(b) > 0; first = false {
		if !first {
			a.setWriteDeadline()
		}
		n := min(len(b), documentSize)
		if err := a.write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// flush sends what was written. An error says that the client did not take it.
func (a *answer) flush() error {
	a.setWriteDeadline()
	if err := http.NewResponseController(a.w).Flush(); err != nil {
		a.lost = true
		return writeError(err)
	}
	return nil
}

func writeError(err error) error {
	return &proxy.Error{Status: proxy.StatusClientGone, Op: "write", Err: err}
}

// successHeader copies the headers of a response that keep accepts to dst, and adds what every
// success has. The values it returns have room for spare more; see filter.
func (x *exchange) successHeader(dst http.Header, res *proxy.Response, keep func(string, headerKind) bool, spare int) []string {
	h := x.h
	all := filter(dst, res.Header, spare, h.scope.Described(), keep)
	if h.spec.SendRequestID {
		all = set(dst, all, xRequestID, x.ctx.id)
	}
	switch {
	case res.Err != nil:
		if h.saysCompleted(res.StatusCode()) {
			all = set(dst, all, completed, "false")
		}
		all = set(dst, all, "Cache-Control", "no-store")
	case h.spec.CacheControl != "" && dst["Cache-Control"] == nil && res.StatusCode() < 400:
		all = set(dst, all, "Cache-Control", h.spec.CacheControl)
	}
	return all
}

// saysCompleted reports whether an answer says whether it is complete. A redirect has nothing that
// could be partial.
func (h *handler) saysCompleted(status int) bool {
	return !h.spec.OmitCompleted && status/100 != 3
}

// bodyAllowed reports whether an answer of the status may have a body (RFC 9110, sections 15.3.5,
// 15.3.6 and 15.4.5).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusResetContent && status != http.StatusNotModified
}
