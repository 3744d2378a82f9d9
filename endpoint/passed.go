package endpoint

import (
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/told"
)

// WritePassed answers a request with err as an endpoint without RenderError does. An upstream's
// failure of 4xx is handed on if the upstream has PassErrors in its backend.Spec. Anything else is a
// problem, by [WriteProblem]. It is meant for a RenderError of your own, for what that does not
// render itself:
//
//	RenderError: func(w http.ResponseWriter, r *http.Request, err error) {
//		if proxy.StatusOf(err) == http.StatusServiceUnavailable {
//			maintenance(w)
//			return
//		}
//		endpoint.WritePassed(w, r, err)
//	}
//
// Of a failure that is handed on the client gets the status, the body, its Content-Type and
// Content-Language, and what a problem would have of headers, such as Retry-After. The answer must
// not be cached (Cache-Control: no-store) and has the X-Request-Id.
//
// It is the upstream's failure that must give err its status. If something has changed the status on
// the way, or if another of several joined errors gives it, the answer is a problem.
func WritePassed(w http.ResponseWriter, r *http.Request, err error) {
	answer := told.Passed(err)
	if answer == nil {
		WriteProblem(w, r, err)
		return
	}
	failureHeader(w, r, err, answer.Status)
	h := w.Header()
	for _, name := range [...]string{"Content-Type", "Content-Language"} {
		if values := answer.Header[name]; len(values) > 0 {
			h[name] = values[:1:1]
		}
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = []string{"application/octet-stream"} // never guessed
	}
	h["Content-Length"] = []string{strconv.Itoa(len(answer.Body))}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	w.WriteHeader(answer.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(answer.Body)
	}
}
