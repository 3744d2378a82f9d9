package endpoint

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/ids"
	"github.com/sluice-go/sluice/internal/told"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// WriteProblem answers a request with err as a problem of RFC 9457:
//
//	{"type":"about:blank","title":"Bad Gateway","status":502,"requestId":"4f0c…"}
//
// The status is [proxy.StatusOf] and the title its text; the client is told nothing else of err but
// the Members and the Header, such as Retry-After, of the [*proxy.Error] that gave the status. The
// problem must not be cached (Cache-Control: no-store). The request id is that of the endpoint, else the
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
	body := problemBody(status, id, told.Members(err, status))
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
	if said := told.Header(err, status); said != nil {
		filter(h, said, 0, false, keepBesideDocument)
	}
	h["Cache-Control"] = []string{"no-store"}
	h[xRequestID] = []string{id}
	return id
}

// problemBody returns the JSON of a problem. Nothing in it needs escaping: the id is well-formed, the
// title is ours, and members are JSON.
func problemBody(status int, id string, members document.Document) []byte {
	title := http.StatusText(status)
	switch {
	case title != "":
	case status < 500:
		title = "Client Error"
	default:
		title = "Server Error"
	}
	b := make([]byte, 0, 160+members.Size())
	b = append(b, '{')
	if !has(members, "type") {
		b = append(b, `"type":"about:blank",`...)
	}
	if !has(members, "title") {
		b = append(b, `"title":"`...)
		b = append(b, title...)
		b = append(b, `",`...)
	}
	b = append(b, `"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	for name, value := range members.Members() {
		if name != "status" && name != "requestId" {
			b = append(b, ',')
			b = appendName(b, name)
			b = value.AppendJSON(b)
		}
	}
	b = append(b, `,"requestId":"`...)
	b = append(b, id...)
	return append(b, "\"}\n"...)
}

// has reports whether an object has a member.
func has(d document.Document, name string) bool {
	for member := range d.Members() {
		if member == name {
			return true
		}
	}
	return false
}

// appendName appends the name of a member and the colon behind it.
func appendName(b []byte, name string) []byte {
	quoted, _ := json.Marshal(name)
	return append(append(b, quoted...), ':')
}

// writeProblem answers with err, as the hook of the endpoint or of the request does, else as
// WritePassed. If the hook fails, the answer is a problem.
func (x *exchange) writeProblem(r *http.Request, err error) {
	w := &witness{ResponseWriter: x.answer.w, answer: &x.answer}
	render := renderFunc(x.h.spec.RenderError)
	if render == nil {
		render = renderOf(r.Context())
	}
	switch {
	case render == nil:
		WritePassed(w, r, err)
	case !x.h.render(render, w, r, err):
		WriteProblem(w, r, err)
	}
}

// render calls a hook and reports whether it wrote an answer.
func (h *handler) render(render renderFunc, w *witness, r *http.Request, err error) bool {
	if bug := w.renderedBy(render, r, err); bug != nil {
		h.reportBeside(r.Context(), bug)
		w.endHalf()
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
	if status >= 200 && !w.wrote {
		w.wrote, w.answer.status = true, status
	}
	w.answer.setWriteDeadline()
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(b []byte) (n int, err error) {
	if !w.wrote {
		w.wrote, w.answer.status = true, http.StatusOK
	}
	for {
		w.answer.setWriteDeadline()
		m, err := w.ResponseWriter.Write(b[n:min(len(b), n+writeSize)])
		w.answer.bytes += int64(m)
		if n += m; err != nil || n >= len(b) {
			return n, err
		}
	}
}

// Unwrap lets http.ResponseController reach the original.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
