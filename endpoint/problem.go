package endpoint

import (
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/ids"
	"github.com/sluice-go/sluice/proxy"
)

// WriteProblem answers a request with err as a problem of RFC 9457:
//
//	{"type":"about:blank","title":"Bad Gateway","status":502,"requestId":"4f0c…"}
//
// The status is [proxy.StatusOf] and the title its text; the client is told nothing else of err.
// The headers of the [*proxy.Error] that gave the status are sent, such as Retry-After. The problem
// must not be cached (Cache-Control: no-store). The request id is that of the endpoint, else the
// client's X-Request-Id if it is well-formed, else a new one; it is also sent as the header
// X-Request-Id.
//
// For a client that is gone (499) it writes only the status.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	status := proxy.StatusOf(err)
	if status == proxy.StatusClientGone {
		if r.Context().Err() != nil {
			w.WriteHeader(status)
			return
		}
		status = http.StatusBadGateway // the client is still there
	}
	if err == nil {
		status = http.StatusInternalServerError
	}
	id := failureHeader(w, r, err, status)
	body := problemBody(status, id)
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// failureHeader prepares the header of an answer to err, whatever its body is, and returns the
// request id.
func failureHeader(w http.ResponseWriter, r *http.Request, err error, status int) (id string) {
	if id = RequestID(r.Context()); id == "" {
		id = ids.Of(r.Header)
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Accept-Ranges", completed} {
		h.Del(name) // a middleware may have set it for another answer
	}
	if e := headed(err, status); e != nil {
		filter(h, e.Header, 0, false, keepBesideDocument)
	}
	h["Cache-Control"] = []string{"no-store"}
	h[xRequestID] = []string{id}
	return id
}

// problemBody returns the JSON of a problem. Nothing in it needs escaping: the id is well-formed,
// and the title is ours.
func problemBody(status int, id string) []byte {
	title := http.StatusText(status)
	switch {
	case title != "":
	case status < 500:
		title = "Client Error"
	default:
		title = "Server Error"
	}
	b := make([]byte, 0, 160)
	b = append(b, `{"type":"about:blank","title":"`...)
	b = append(b, title...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"requestId":"`...)
	b = append(b, id...)
	return append(b, "\"}\n"...)
}

// headed searches err, as errors.As does, for an error that has this status and headers. The
// headers of the outermost are sent.
func headed(err error, status int) *proxy.Error {
	for err != nil {
		if e, ok := err.(*proxy.Error); ok && e.Status == status && len(e.Header) > 0 {
			return e
		}
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				if found := headed(err, status); found != nil {
					return found
				}
			}
			return nil
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return nil
		}
	}
	return nil
}

// writeProblem answers with err, as RenderError does, else as WritePassed. If RenderError fails, the
// answer is a problem.
func (x *exchange) writeProblem(r *http.Request, err error) {
	w := &witness{ResponseWriter: x.answer.w, answer: &x.answer}
	switch {
	case x.h.spec.RenderError == nil:
		WritePassed(w, r, err)
	case !x.h.render(w, r, err):
		WriteProblem(w, r, err)
	}
}

// render calls RenderError and reports whether it wrote an answer.
func (h *handler) render(w *witness, r *http.Request, err error) bool {
	if bug := apart(func() { h.spec.RenderError(w, r, err) }); bug != nil {
		h.reportBeside(r.Context(), &proxy.Error{Op: "render", Err: bug})
		if w.wrote {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}
	return w.wrote
}

// A witness is a ResponseWriter that knows whether an answer was written to it. It writes in pieces,
// each with a deadline of its own, as an exchange does: the answer to an error may be large too.
type witness struct {
	http.ResponseWriter
	answer *answer
	wrote  bool
}

func (w *witness) WriteHeader(status int) {
	w.wrote = w.wrote || status >= 200
	w.answer.setWriteDeadline()
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(b []byte) (n int, err error) {
	w.wrote = true
	for {
		w.answer.setWriteDeadline()
		m, err := w.ResponseWriter.Write(b[n:min(len(b), n+writeSize)])
		if n += m; err != nil || n >= len(b) {
			return n, err
		}
	}
}

// Unwrap lets http.ResponseController reach the original.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
