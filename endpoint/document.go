package endpoint

import (
	"net/http"
	"strconv"
)

// maxPooled is the largest buffer that is kept: one huge answer must not stay in memory.
const maxPooled = 1 << 20

// document answers with the Document of the response, or with nothing if it has none.
func (x *exchange) document() error {
	res := x.call.res
	doc, status := res.Document, res.StatusCode()
	payload := bodyAllowed(status)
	var buf *[]byte // what is written; JSON is made only after the header
	contentType, length := "application/json", doc.Size()
	if payload && x.format != nil && !doc.IsZero() {
		var err error
		if buf, err = x.h.encode(x.call.ctx, x.format, doc); err != nil {
			return err
		}
		contentType, length = x.format.contentType, len(*buf)
	}
	h := x.answer.w.Header()
	all := x.successHeader(h, res, keepBesideDocument, 6)
	if res.Err == nil && x.h.saysCompleted(res) {
		all = set(h, all, completed, "true")
	}
	if payload {
		if !doc.IsZero() {
			all = set(h, all, "Content-Type", contentType)
		}
		set(h, all, "Content-Length", strconv.Itoa(length))
	}
	x.answer.setWriteDeadline()
	x.begin()
	x.answer.writeHeader(status)
	if !payload || doc.IsZero() || x.in.Method == http.MethodHead {
		return nil
	}
	if buf == nil {
		buf = x.h.documentBuffer()
		*buf = doc.AppendJSON((*buf)[:0])
	}
	if err := x.answer.writeAll(*buf); err != nil {
		return err
	}
	// Not deferred: a failed or panicking write may still read from the buffer, and so may a user's
	// encoder.
	if cap(*buf) <= maxPooled && (x.format == nil || x.format.ours) {
		x.h.documents.Put(buf)
	}
	return nil
}

// documentBuffer returns a buffer for an answer, whose content is to be overwritten.
func (h *handler) documentBuffer() *[]byte {
	if buf, _ := h.documents.Get().(*[]byte); buf != nil {
		return buf
	}
	return new([]byte)
}
