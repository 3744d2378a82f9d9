package h1

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// A section is the head of an answer, or its trailers, without the empty line at the end. Every line
// has been checked, ends with CRLF, and has its name in canonical form.
type section struct {
	text  string
	lines int
}

// section reads a section. status says that its first line is a status line. It takes no more than
// *left bytes, and subtracts what it has taken.
func (x *exchange) section(status bool, left *int) (section, error) {
	c := x.conn
	lines, line, seen := 0, 0, 0 // the current line begins at line, and seen has been looked at; both from c.r
	for {
		i := bytes.IndexByte(c.buf[c.r+seen:c.w], '\n')
		if i < 0 {
			if seen = c.buffered(); seen >= *left {
				return section{}, &Error{What: "head or trailers", Err: ErrTooLarge}
			}
			if err := x.fill(); err != nil {
				return section{}, err
			}
			continue
		}
		end := seen + i // of the LF
		if end >= *left {
			return section{}, &Error{What: "head or trailers", Err: ErrTooLarge}
		}
		text := c.buf[c.r+line : c.r+end]
		if len(text) == 0 || text[len(text)-1] != '\r' {
			return section{}, malformed("bare LF", nil)
		}
		text = text[:len(text)-1]
		var err error
		switch {
		case status && lines == 0:
			err = checkStatus(text)
		case len(text) == 0:
			s := section{string(c.buf[c.r : c.r+line]), lines}
			c.r += end + 1
			*left -= end + 1
			return s, nil
		default:
			err = checkField(text)
		}
		if err != nil {
			return section{}, err
		}
		lines++
		line, seen = end+1, end+1
	}
}

// checkStatus returns what is wrong with a status line: HTTP/1.1 or HTTP/1.0, three digits, and a
// reason or none.
func checkStatus(line []byte) error {
	const version = "HTTP/1.1 200"
	switch {
	case len(line) < len("HTTP/1.") || string(line[:len("HTTP/1.")]) != "HTTP/1.":
		return malformed("no version of HTTP/1", line)
	case len(line) < len(version) || line[7] != '0' && line[7] != '1' || line[8] != ' ':
		return malformed("status line", line)
	case len(line) > len(version) && line[len(version)] != ' ':
		return malformed("status is not three digits", line)
	case !field.IsValue(string(line)): // the compiler makes no copy
		return malformed("control byte in the status line", line)
	}
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return malformed("status is not three digits", line)
		}
	}
	if line[9] == '0' {
		return malformed("status below 100", line)
	}
	return nil
}

// checkField returns what is wrong with a line of a section, and makes its name canonical.
func checkField(line []byte) error {
	if line[0] == ' ' || line[0] == '\t' {
		return malformed("folded field", nil)
	}
	upper := true // at the start of a word
	i := 0
	for ; i < len(line) && line[i] != ':'; i++ {
		c := line[i]
		if !field.IsTokenByte(c) {
			return malformed("name of a field", line[:nameEnd(line)])
		}
		if upper && 'a' <= c && c <= 'z' {
			line[i] = c - ('a' - 'A')
		} else if !upper && 'A' <= c && c <= 'Z' {
			line[i] = c + ('a' - 'A')
		}
		upper = c == '-'
	}
	switch {
	case i == len(line):
		return malformed("field without a colon", nil)
	case i == 0:
		return malformed("field without a name", nil)
	case !field.IsValue(string(line[i+1:])): // the compiler makes no copy
		return malformed("control byte in the value of a field", line[:i])
	}
	return nil
}

// nameEnd returns where the name ends in a line whose name is wrong, so that no value is shown.
func nameEnd(line []byte) int {
	return max(bytes.IndexByte(line, ':'), 0)
}

// What a head has that tells where the answer ends.
const (
	hasLength = 1 << iota
	hasEncoding
	hasConnection
	hasTrailer
	hasPragma
)

// fields returns the lines of a section as a header, and which of them matter here.
func fields(text string, lines int) (h http.Header, has uint) {
	h = make(http.Header, min(lines, 64)) // one name may have them all
	values := make([]string, 0, lines)
	for text != "" {
		end := strings.IndexByte(text, '\r')
		colon := strings.IndexByte(text, ':')
		name, value := text[:colon], strings.Trim(text[colon+1:end], " \t")
		text = text[end+2:]
		if there := h[name]; there != nil {
			h[name] = append(there, value)
			continue
		}
		switch name {
		case "Content-Length":
			has |= hasLength
		case "Transfer-Encoding":
			has |= hasEncoding
		case "Connection":
			has |= hasConnection
		case "Trailer":
			has |= hasTrailer
		case "Pragma":
			has |= hasPragma
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h, has
}

// answer fills in the response from the head of an answer, and says how its body ends.
func (x *exchange) answer(s section) error {
	line, rest, _ := strings.Cut(s.text, "\r\n")
	resp := &x.resp
	*resp = http.Response{
		Status: line[9:], Proto: line[:8], ProtoMajor: 1, ProtoMinor: int(line[7] - '0'),
		StatusCode: int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0'),
		TLS:        x.conn.state, Request: x.asked, Body: http.NoBody,
	}
	h, has := fields(rest, s.lines-1)
	resp.Header = h
	if has&hasPragma != 0 && h["Pragma"][0] == "no-cache" && h["Cache-Control"] == nil { // as in net/http; RFC 9111, section 5.4
		h["Cache-Control"] = []string{"no-cache"}
	}
	if has&hasConnection != 0 {
		resp.Close = field.HasToken(h["Connection"], "close")
		if resp.Close && resp.ProtoMinor > 0 {
			delete(h, "Connection")
		}
	}
	if resp.ProtoMinor == 0 {
		resp.Close = resp.Close || !field.HasToken(h["Connection"], "keep-alive")
	}
	length := int64(-1)
	if has&hasLength != 0 {
		var err error
		if length, err = contentLength(h); err != nil {
			return err
		}
	}
	chunked := has&hasEncoding != 0
	if chunked {
		if err := x.checkEncoding(length >= 0); err != nil {
			return err
		}
		delete(h, "Transfer-Encoding")
		x.encoding[0] = "chunked"
		resp.TransferEncoding = x.encoding[:]
	}
	if chunked && has&hasTrailer != 0 {
		if err := announced(resp); err != nil {
			return err
		}
	}
	switch code := resp.StatusCode; {
	case x.asked.Method == http.MethodHead:
		resp.ContentLength, x.ended = length, true
	case code < 200:
	case code == http.StatusNoContent, code == http.StatusNotModified:
		x.ended = true
	case chunked:
		resp.ContentLength, x.chunked = -1, true
	case length >= 0:
		resp.ContentLength, x.left, x.ended = length, length, length == 0
	default:
		resp.ContentLength, resp.Close, x.toEnd = -1, true, true
	}
	return nil
}

// contentLength returns the value of Content-Length. Equal values become one.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, malformed("two different lengths", nil)
		}
	}
	if len(values) > 1 {
		h["Content-Length"] = values[:1:1]
	}
	v := values[0]
	for i := 0; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, malformed("Content-Length", []byte(v))
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, malformed("Content-Length", []byte(v))
	}
	return n, nil
}

// checkEncoding returns what is wrong with an answer that has a Transfer-Encoding (RFC 9112, section 6.1).
func (x *exchange) checkEncoding(length bool) error {
	resp := &x.resp
	values := resp.Header["Transfer-Encoding"]
	switch code := resp.StatusCode; {
	case length:
		return malformed("Content-Length beside Transfer-Encoding", nil)
	case resp.ProtoMinor == 0:
		return malformed("Transfer-Encoding in HTTP/1.0", nil)
	case code < 200, code == http.StatusNoContent:
		return malformed("Transfer-Encoding in an answer that has no body", nil)
	case len(values) != 1 || !field.EqualToken(values[0], "chunked"):
		return malformed("Transfer-Encoding", []byte(values[0]))
	}
	return nil
}

// announced sets the names of trailers that are announced.
func announced(resp *http.Response) error {
	trailer := http.Header{}
	for _, line := range resp.Header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t")
			if name == "" {
				continue
			}
			name = http.CanonicalHeaderKey(name)
			if reserved(name) {
				return malformed("trailer", []byte(name))
			}
			trailer[name] = nil
		}
	}
	delete(resp.Header, "Trailer")
	if len(trailer) > 0 {
		resp.Trailer = trailer
	}
	return nil
}
