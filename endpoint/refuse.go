package endpoint

import (
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
)

// Refused reports whether err, as [Spec.Report] gets it, is a refusal and no failure: its status,
// by [proxy.StatusOf], is 401, 403 or 429, and the client was answered with it. Whoever refused
// does not matter, a guard, a limit or an upstream; the client was told that it may not, or not so
// often.
//
// It is false for nil, and for what is reported beside an answer, whatever its status is: what a
// partial answer lacks, a mirror that failed, a stream that broke.
func Refused(err error) bool {
	if !refuses(err) {
		return false
	}
	_, beside := errors.AsType[*besideError](err)
	return !beside
}

// refuses reports whether err has the status of a refusal. It calls only methods that
// [proxy.StatusOf] guards.
func refuses(err error) bool {
	switch proxy.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}

// A besideError looks like a refusal, and is reported beside an answer: the client was not answered
// with it.
type besideError struct{ error }

func (e *besideError) Unwrap() error { return e.error }

// Refuse answers a request that the router in front does not let through, as if the endpoint had
// refused it: with its request id, its RenderError, and its Report. The pipe is not called.
func (h *handler) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	x := h.newExchange(w, r)
	defer x.sendAtExit()
	defer x.end()
	canonical(w.Header())
	id, broken := h.requestID(r)
	x.ctx.id = id
	if broken != nil {
		err = broken
	}
	_ = x.refuse(err)
	x.serveEnds()
}
