package endpoint

import (
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// WriteProblem answers a request with err as a problem of RFC 9457:
//
//	{"type":"about:blank","title":"Bad Gateway","status":502,"requestId":"4f0c…"}
//
// The status is [proxy.StatusOf] and the title its text; nothing else of err is told. Headers of the [*proxy.Error] that
// gave the status are sent, as Retry-After. It is never to be kept (Cache-Control: no-store). The request id is that of the
// endpoint, else the client's X-Request-Id if it is well-formed, else a new one; it is in the header X-Request-Id too.
//
// For a client that is gone (499) it writes the status alone.
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
	id := RequestID(r.Context())
	if id == "" {
		id = requestIDOf(r)
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Accept-Ranges", completed} {
		h.Del(name) // of an answer that a middleware thought would come
	}
	for name, values := range problemHeader(err, status) {
		h[name] = values
	}
	body := problemBody(status, id)
	h["Content-Type"] = []string{"application/problem+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	h[xRequestID] = []string{id}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// problemBody returns the members. None needs escaping: the id is well-formed and the title is ours.
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

// problemHeader returns the headers that go with err: those of the outermost error with the status that has any.
func problemHeader(err error, status int) http.Header {
	e := headed(err, status)
	if e == nil {
		return nil
	}
	h := http.Header{}
	filter(h, e.Header, 0, false, keepBesideDocument)
	return h
}

// headed searches err as errors.As does, for an error of the status with headers.
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

// problem answers with err: as RenderError does, else as WriteProblem.
func (x *exchange) problem(err error) {
	x.begin()
	r := x.in.WithContext(x)
	if x.h.spec.RenderError != nil && x.render(r, err) {
		return
	}
	WriteProblem(x.w, r, err)
}

// render calls RenderError and reports whether that was an answer.
func (x *exchange) render(r *http.Request, err error) (answered bool) {
	w := &witness{ResponseWriter: x.w}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		x.h.report(x, &proxy.Error{Op: "render", Err: pipe.NewPanicError(v)})
		if answered = w.wrote; answered {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	x.h.spec.RenderError(w, r, err)
	return w.wrote
}

// A witness knows whether something was written.
type witness struct {
	http.ResponseWriter
	wrote bool
}

func (w *witness) WriteHeader(status int) {
	w.wrote = w.wrote || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the original.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
