package endpoint

import (
	"maps"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
)

// inform is what the pipe informs the client with. A transport calls it on a goroutine of its own,
// where a ResponseWriter of a middleware that panics would end the process, and one that ends the
// goroutine the connection.
func (x *exchange) inform(status int, header http.Header) {
	if err := apart(func() { x.answer.inform(status, header) }); err != nil {
		x.ctx.reportBeside(&proxy.Error{Op: "inform", Err: err})
	}
}

// inform sends an informational answer (RFC 9110, section 15.2). The pipe may call it on any
// goroutine and at any time, so it holds the lock under which the answer begins. It sends neither
// 100, which is for net/http to send, nor 101, which is a final answer.
func (a *answer) inform(status int, header http.Header) {
	if status <= http.StatusSwitchingProtocols || status > 199 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.final {
		return
	}
	h := a.w.Header()
	kept := maps.Clone(h)
	defer func() {
		clear(h) // nothing of it is left in the next header
		maps.Copy(h, kept)
	}()
	clear(h)
	filter(h, header, 0, false, keepAny)
	// The writer of HTTP/2 may still read the header when WriteHeader has returned, because the
	// client has reset the stream. net/http gives it the map itself, but a copy where there is a
	// length, which it never sends with a 1xx. Without a value there is nothing to send either.
	h["Content-Length"] = nil
	a.setWriteDeadline()
	a.w.WriteHeader(status)
	a.rest()
}

// endInforming makes later informational answers do nothing, and waits for one that is written.
func (a *answer) endInforming() {
	a.mu.Lock()
	a.final = true
	a.mu.Unlock()
}
