package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// serve makes a response of what is kept. It belongs to the caller.
func (x *exchange) serve(e *Entry, status string) *proxy.Response {
	a := &e.answer
	h := cloneFor(a.header, 2)
	h["Age"] = []string{strconv.FormatInt(int64(a.ageAt(x.now)/time.Second), 10)}
	res := &proxy.Response{Status: a.status, Header: h, Document: a.document}
	x.cache.setStatus(res, status)
	if !a.stream {
		if a.origin != nil {
			res.Origin = cloneFor(a.origin, 0)
		}
		return res
	}
	if a.trailer != nil {
		trailer := a.trailer.Clone()
		res.Trailer = func() http.Header { return trailer }
	}
	body := a.body
	if a.status == http.StatusOK {
		body = x.selected(a, res)
	}
	res.Body = http.NoBody
	if x.req.Method != http.MethodHead && len(body) > 0 {
		res.Body = call.InMemory(body)
	}
	return res
}

// cloneFor copies a header and its values, with room for a few more fields. The values of all fields
// share one allocation. The copy is not nil.
func cloneFor(h http.Header, more int) http.Header {
	c := make(http.Header, len(h)+more)
	n := 0
	for _, values := range h {
		n += len(values)
	}
	all := make([]string, 0, n)
	for name, values := range h {
		from := len(all)
		all = append(all, values...)
		c[name] = all[from:len(all):len(all)]
	}
	return c
}

// selected returns the part of the payload of a stream that the client has asked for, and makes the
// response a 304, a 206 or a 416 where it has (RFC 9110, section 13.2.2).
func (x *exchange) selected(a *answer, res *proxy.Response) []byte {
	q, h := x.req.Header, res.Header
	if notModified(q, a.header) {
		for name := range h {
			if strings.HasPrefix(name, "Content-") && name != "Content-Location" {
				delete(h, name)
			}
		}
		res.Status, res.Trailer = http.StatusNotModified, nil
		return nil
	}
	ranges := q["Range"]
	if len(ranges) != 1 || x.req.Method != http.MethodGet || !ifRange(q["If-Range"], a.header) {
		return a.body
	}
	from, to, ok := parseRange(ranges[0], int64(len(a.body)))
	if !ok {
		return a.body
	}
	res.Trailer = nil
	size := strconv.Itoa(len(a.body))
	if from >= to {
		res.Status = http.StatusRequestedRangeNotSatisfiable
		h["Content-Range"], h["Content-Length"] = []string{"bytes */" + size}, []string{"0"}
		return nil
	}
	res.Status = http.StatusPartialContent
	h["Content-Range"] = []string{"bytes " + strconv.FormatInt(from, 10) + "-" + strconv.FormatInt(to-1, 10) + "/" + size}
	h["Content-Length"] = []string{strconv.FormatInt(to-from, 10)}
	return a.body[from:to]
}

// notModified reports whether the client has what is kept (RFC 9111, section 4.3.2).
func notModified(q, h http.Header) bool {
	if lines, has := q["If-None-Match"]; has {
		return field.HasETag(lines, h.Get("Etag"))
	}
	since, ok := date(q["If-Modified-Since"])
	if !ok {
		return false
	}
	modified, ok := date(h["Last-Modified"])
	if !ok {
		modified, ok = date(h["Date"])
	}
	return ok && !modified.After(since)
}

// ifRange reports whether a part may be given in place of the whole: what the client has the other
// part of is what is kept (RFC 9110, section 13.1.5). The comparison is the strong one.
func ifRange(lines []string, h http.Header) bool {
	switch {
	case len(lines) == 0:
		return true
	case len(lines) > 1:
		return false
	case strings.HasPrefix(lines[0], `"`):
		return lines[0] == h.Get("Etag")
	}
	at, ok := date(lines)
	modified, has := date(h["Last-Modified"])
	return ok && has && at.Equal(modified)
}

// parseRange reads a Range of one part, as the indexes of a payload of this size. A part that is not
// in it is empty. It reports false for what is to be ignored: another unit, several parts, no range.
func parseRange(s string, size int64) (from, to int64, ok bool) {
	unit, set, _ := strings.Cut(s, "=")
	if !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return 0, 0, false
	}
	first, last, found := strings.Cut(strings.Trim(set, " \t"), "-")
	if !found {
		return 0, 0, false
	}
	if first == "" {
		n, ok := digits(last)
		return max(size-n, 0), size, ok
	}
	from, ok = digits(first)
	if !ok {
		return 0, 0, false
	}
	to = size
	if last != "" {
		n, ok := digits(last)
		if !ok || n < from {
			return 0, 0, false
		}
		to = min(n, size-1) + 1
	}
	return min(from, size), to, true
}

// digits reads a number. One that is too large is the largest.
func digits(s string) (int64, bool) {
	const most = 1 << 59 // ten of it are still a number
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), most)
	}
	return n, s != ""
}
