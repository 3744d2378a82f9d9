package endpoint

import (
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/proxy"
)

// maxPooled is the largest buffer that is kept: one huge answer must not stay in memory.
const maxPooled = 1 << 20

// writeSize is how much is written under one deadline.
const writeSize = 32 << 10

// document answers with the Document of the response, or with nothing if it has none.
func (x *exchange) document() {
	doc, status := x.res.Document, x.res.StatusCode()
	payload := bodyAllowed(status)
	var buf *[]byte // what is written; JSON is not made before
	contentType, length := "application/json", doc.Size()
	if payload && x.format != nil && !doc.IsZero() {
		var err error
		if buf, err = x.encode(doc); err != nil {
			x.fail(err)
			return
		}
		contentType, length = x.format.contentType, len(*buf)
	}
	all := x.header(keepBesideDocument, 5)
	h := x.w.Header()
	if x.res.Err == nil {
		all = set(h, all, completed, "true")
	}
	if payload {
		if !doc.IsZero() {
			all = set(h, all, "Content-Type", contentType)
		}
		set(h, all, "Content-Length", strconv.Itoa(length))
	}
	x.patience()
	x.begin()
	x.w.WriteHeader(status)
	if !payload || doc.IsZero() || x.in.Method == http.MethodHead {
		return
	}
	if buf == nil {
		if buf, _ = x.h.documents.Get().(*[]byte); buf == nil {
			buf = new([]byte)
		}
		*buf = doc.AppendJSON((*buf)[:0])
	}
	for b := *buf; len(b) > 0; {
		n := min(len(b), writeSize)
		if len(b) < len(*buf) {
			x.patience()
		}
		if _, err := x.w.Write(b[:n]); err != nil {
			x.lost(err)
		}
		b = b[n:]
	}
	if cap(*buf) <= maxPooled && (x.format == nil || x.format.ours) { // not deferred: after a failed write it may be read from
		x.h.documents.Put(buf)
	}
}

// header copies the headers of the response that keep accepts, and adds what every success has. The array has room for
// spare more values.
func (x *exchange) header(keep func(string, headerKind) bool, spare int) []string {
	h := x.w.Header()
	all := filter(h, x.res.Header, spare, x.h.scope.Described(), keep)
	switch {
	case x.res.Err != nil:
		all = set(h, all, completed, "false")
		all = set(h, all, "Cache-Control", "no-store")
	case x.h.spec.CacheControl != "" && h["Cache-Control"] == nil && x.res.StatusCode() < 400:
		all = set(h, all, "Cache-Control", x.h.spec.CacheControl)
	}
	return all
}

// bodyAllowed reports whether an answer of the status may have a body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusResetContent && status != http.StatusNotModified
}

// begin is called before the header is written: from now on there is nothing but this answer. If the request body was not
// read to its end, what follows on the connection is not another request.
func (x *exchange) begin() {
	x.hush()
	if x.upload != nil && x.in.ProtoMajor == 1 && !x.upload.complete() {
		x.w.Header().Set("Connection", "close")
	}
	x.wrote = true
}

// lost ends an answer that the client did not take.
func (x *exchange) lost(err error) {
	x.h.report(x, &proxy.Error{Status: proxy.StatusClientGone, Op: "write", Err: err})
	panic(http.ErrAbortHandler)
}
