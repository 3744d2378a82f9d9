package endpoint

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/proxy"
)

// WritePassed is [WriteProblem] for upstreams whose failures are written for clients: those with
// PassErrors in their backend.Spec. It is meant for Spec.RenderError:
//
//	endpoint.New(endpoint.Spec{Proxy: page, RenderError: endpoint.WritePassed})
//
// If err is the failure of such an upstream, of status 4xx, the client gets its status, its body,
// its Content-Type and Content-Language, and what a problem would have of headers, such as
// Retry-After. The answer must not be cached (Cache-Control: no-store) and has the X-Request-Id.
// Any other error, and one whose status something has changed on the way, is a problem.
func WritePassed(w http.ResponseWriter, r *http.Request, err error) {
	status := proxy.StatusOf(err)
	answer := passedIn(err)
	if answer == nil || answer.Status != status || status < 400 || status > 499 || status == proxy.StatusClientGone {
		WriteProblem(w, r, err)
		return
	}
	failureHeader(w, r, err, status)
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
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(answer.Body)
	}
}

// passedIn returns the answer in err that an upstream has written for clients, or nil.
func passedIn(err error) *proxy.UpstreamAnswer {
	var passed interface {
		error
		PassedAnswer() *proxy.UpstreamAnswer
	}
	if errors.As(err, &passed) {
		return passed.PassedAnswer()
	}
	return nil
}
