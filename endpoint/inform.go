package endpoint

import (
	"maps"
	"net/http"
)

// inform sends an informational answer (RFC 9110, section 15.2). The pipe may call it on any goroutine and at any time, so
// it holds the lock under which the answer begins. 100 is net/http's to send, and 101 is no information.
func (x *exchange) inform(status int, header http.Header) {
	if status <= http.StatusSwitchingProtocols || status > 199 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	h := x.w.Header()
	kept := maps.Clone(h)
	clear(h)
	filter(h, header, 0, false, keepAny)
	x.patience()
	x.w.WriteHeader(status)
	clear(h) // nothing of it is left in the next header
	maps.Copy(h, kept)
}

// hush ends informational answers.
func (x *exchange) hush() {
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
}
