package endpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// tagged reports whether the answer, which has a Document, gets an ETag: a complete one that a client
// may keep and ask for again.
func (x *exchange) tagged() bool {
	read := x.in.Method == http.MethodGet || x.in.Method == http.MethodHead
	return read && x.call.res.StatusCode() == http.StatusOK && x.call.res.Err == nil
}

// got returns what the client got of a response, for those who watch.
func (x *exchange) got() *proxy.Response {
	if x.notModified {
		return &proxy.Response{Status: http.StatusNotModified, Header: x.call.res.Header}
	}
	return x.call.res
}

// etagOf returns the weak entity tag of a payload: 128 bits of SHA-256, so that all processes have
// the same one and nobody finds two payloads with it. The type is part of it, because a number is
// the same bytes in two formats.
func etagOf(contentType string, payload []byte) string {
	hash := sha256.Sum256(payload)
	var room [128]byte // on the stack
	hash = sha256.Sum256(append(append(room[:0], hash[:]...), contentType...))
	tag := base64.RawURLEncoding.AppendEncode(append(room[:0], `W/"`...), hash[:16])
	return string(append(tag, '"'))
}

// keepBesideETag is keepBesideDocument where the endpoint makes the ETag: one of the response is
// that of other bytes.
func keepBesideETag(twin string, kind headerKind) bool {
	return twin != "Etag" && keepBesideDocument(twin, kind)
}

// keepBesideNothing leaves out what describes a payload, where a 304 takes its place (RFC 9110,
// section 15.4.5).
func keepBesideNothing(twin string, kind headerKind) bool {
	if strings.HasPrefix(twin, "Content-") && twin != "Content-Location" || twin == "Last-Modified" {
		return false
	}
	return keepBesideETag(twin, kind)
}
