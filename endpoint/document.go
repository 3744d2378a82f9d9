package endpoint

import (
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/proxy/document"
)

// maxPooled is the largest buffer that is kept: one huge answer must not stay in memory.
const maxPooled = 1 << 20

// document answers with the Document of the response, or with nothing if it has none.
func (x *exchange) document() error {
	res := x.call.res
	doc, status := res.Document, res.StatusCode()
	payload := bodyAllowed(status)
	var buf *[]byte // what is written; JSON is made only after the header, unless it has an ETag
	contentType, length := "application/json", doc.Size()
	if payload && x.format != nil && !doc.IsZero() {
		var err error
		if buf, err = x.h.encode(x.call.ctx, x.format, doc); err != nil {
			return err
		}
		contentType, length = x.format.contentType, len(*buf)
	}
	h := x.answer.w.Header()
	keep, etag := keepBesideDocument, ""
	if x.h.spec.ETag && payload && !doc.IsZero() {
		keep = keepBesideETag
		delete(h, "Etag")
		if x.tagged() {
			if buf == nil {
				buf = x.h.json(doc)
			}
			if etag = etagOf(contentType, *buf); field.HasETag(x.in.Header["If-None-Match"], etag) {
				status, payload, keep = http.StatusNotModified, false, keepBesideNothing
				x.notModified = true
			}
		}
	}
	all := x.successHeader(h, res, keep, 7)
	if res.Err == nil && x.h.saysCompleted(status) {
		all = set(h, all, completed, "true")
	}
	if etag != "" {
		all = set(h, all, "Etag", etag)
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
	if payload && !doc.IsZero() && x.in.Method != http.MethodHead {
		if buf == nil {
			buf = x.h.json(doc)
		}
		if err := x.answer.writeAll(*buf); err != nil {
			return err
		}
	}
	// Not deferred: a failed or panicking write may still read from the buffer, and so may a user's
	// encoder.
	if buf != nil && cap(*buf) <= maxPooled && (x.format == nil || x.format.ours) {
		lend.Spoil((*buf)[:cap(*buf)])
		x.h.documents.Put(buf)
	}
	x.given = res.Err == nil // an error of code, which is reported, may have a part of a document
	return nil
}

// json returns a buffer with the document as JSON.
func (h *handler) json(doc document.Document) *[]byte {
	buf := h.documentBuffer()
	*buf = doc.AppendJSON((*buf)[:0])
	return buf
}

// documentBuffer returns a buffer for an answer, whose content is to be overwritten.
func (h *handler) documentBuffer() *[]byte {
	if buf, _ := h.documents.Get().(*[]byte); buf != nil {
		return buf
	}
	return new([]byte)
}
