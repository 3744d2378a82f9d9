package h1

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// Why a request is not sent.
var (
	errNoURL     = errors.New("nil Request.URL")
	errNoHeader  = errors.New("nil Request.Header")
	errNoHost    = errors.New("no Host in request URL")
	errHost      = errors.New("invalid host")
	errTarget    = errors.New("invalid URL of a request")
	errConnect   = errors.New("CONNECT makes a tunnel, which this transport does not")
	errEncoding  = errors.New("Request.TransferEncoding is neither chunked nor identity")
	errNilLength = errors.New("Request.ContentLength is set, and Body is nil")
)

// userAgent is what net/http says who it is.
const userAgent = "Go-http-client/1.1"

// address returns the host with its port.
func (k key) address() string {
	switch {
	case hasPort(k.host):
		return k.host
	case k.https:
		return k.host + ":443"
	}
	return k.host + ":80"
}

// name returns the host without port and brackets.
func (k key) name() string {
	u := url.URL{Host: k.host}
	return u.Hostname()
}

// hasPort reports whether a host, of which an IPv6 address has brackets, has a port.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

// keyOf returns the key of the host that a URL names.
func keyOf(u *url.URL) key {
	k := key{https: u.Scheme == "https", host: u.Host}
	byDefault := ":80"
	if k.https {
		byDefault = ":443"
	}
	if host, ok := strings.CutSuffix(k.host, byDefault); ok && hasPort(k.host) {
		k.host = host
	}
	k.host = strings.TrimSuffix(k.host, ":")
	for i := 0; i < len(k.host); i++ {
		if c := k.host[i]; 'A' <= c && c <= 'Z' {
			k.host = strings.ToLower(k.host)
			break
		}
	}
	return k
}

// check returns why a request cannot be sent, as net/http judges it, and a little more strictly.
func check(req *http.Request) error {
	switch {
	case req.URL.Host == "":
		return errNoHost
	case !isHost(req.URL.Host), !isHost(req.Host):
		return errHost
	case !isTarget(req.URL):
		return errTarget
	case req.Method == http.MethodConnect:
		return errConnect
	case req.Method != "" && !field.IsToken(req.Method):
		return fmt.Errorf("invalid method %.64q", req.Method)
	case req.ContentLength != 0 && req.Body == nil:
		return errNilLength
	case len(req.TransferEncoding) > 1, len(req.TransferEncoding) == 1 && req.TransferEncoding[0] != "chunked" && req.TransferEncoding[0] != "identity":
		return errEncoding
	}
	if err := checkFields(req.Header); err != nil {
		return fmt.Errorf("invalid header %w", err)
	}
	return checkTrailer(req.Trailer)
}

// checkTrailer returns why the trailers of a request cannot be sent.
func checkTrailer(h http.Header) error {
	if err := checkFields(h); err != nil {
		return fmt.Errorf("invalid trailer %w", err)
	}
	for name := range h {
		if reserved(name) {
			return fmt.Errorf("invalid trailer %.64q", name)
		}
	}
	return nil
}

// checkFields returns which name or value of h cannot be sent. It does not show a value.
func checkFields(h http.Header) error {
	for name, values := range h {
		if !field.IsToken(name) {
			return fmt.Errorf("field name %.64q", name)
		}
		for _, v := range values {
			if !field.IsValue(v) {
				return fmt.Errorf("field value for %.64q", name)
			}
		}
	}
	return nil
}

// isHost reports whether s may be the value of Host (RFC 3986, section 3.2.2). A name that is not
// ASCII has to be encoded before.
func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		if !field.IsHostByte(s[i]) {
			return false
		}
	}
	return true
}

// reserved reports whether a field is the transport's own: it writes these itself, and they are in no
// trailer.
func reserved(name string) bool {
	switch len(name) {
	case len("Host"):
		return field.EqualToken(name, "Host")
	case len("Trailer"):
		return field.EqualToken(name, "Trailer")
	case len("Content-Length"):
		return field.EqualToken(name, "Content-Length")
	case len("Transfer-Encoding"):
		return field.EqualToken(name, "Transfer-Encoding")
	}
	return false
}

// appendTarget appends what stands between the method and the version.
func appendTarget(b []byte, u *url.URL) []byte {
	if u.Opaque != "" {
		return append(b, u.RequestURI()...)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	b = append(b, path...)
	if u.ForceQuery || u.RawQuery != "" {
		b = append(b, '?')
		b = append(b, u.RawQuery...)
	}
	return b
}

// isTarget reports whether a server takes the target of u for one: it begins with a slash, or is "*",
// or is a whole URL.
func isTarget(u *url.URL) bool {
	var room [512]byte
	target := appendTarget(room[:0], u)
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return target[0] == '/' || string(target) == "*" || strings.HasPrefix(string(target), u.Scheme+"://")
}

// appendHead appends the head of the request. length is that of the body; a negative one has it sent
// in chunks.
func appendHead(b []byte, req *http.Request, length int64) []byte {
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	b = append(b, method...)
	b = append(b, ' ')
	b = appendTarget(b, req.URL)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	b = appendWithoutZone(b, host)
	b = append(b, '\r', '\n')
	switch agent, there := req.Header["User-Agent"]; {
	case !there:
		b = append(b, "User-Agent: "+userAgent+"\r\n"...)
	case len(agent) > 0 && agent[0] != "":
		b = appendField(b, "User-Agent", agent[0])
	}
	if req.Close && !field.HasToken(req.Header["Connection"], "close") {
		b = append(b, "Connection: close\r\n"...)
	}
	switch {
	case length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if len(req.Trailer) > 0 {
			b = append(b, "Trailer: "...)
			for i, name := range slices.Sorted(maps.Keys(req.Trailer)) {
				if i > 0 {
					b = append(b, ',')
				}
				b = append(b, textproto.CanonicalMIMEHeaderKey(name)...)
			}
			b = append(b, '\r', '\n')
		}
	case length > 0, method == http.MethodPost, method == http.MethodPut, method == http.MethodPatch:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, '\r', '\n')
	}
	for name, values := range req.Header {
		if name == "User-Agent" || reserved(name) {
			continue
		}
		for _, v := range values {
			b = appendField(b, name, v)
		}
	}
	return append(b, '\r', '\n')
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':', ' ')
	b = append(b, strings.Trim(value, " \t")...)
	return append(b, '\r', '\n')
}

// appendWithoutZone appends a host without the zone of an IPv6 address (RFC 6874, section 4).
func appendWithoutZone(b []byte, host string) []byte {
	if zone := strings.IndexByte(host, '%'); zone >= 0 && strings.HasPrefix(host, "[") {
		if end := strings.LastIndexByte(host, ']'); end > zone {
			b = append(b, host[:zone]...)
			return append(b, host[end:]...)
		}
	}
	return append(b, host...)
}

// bodyLength returns the length of the body of a request. It is negative if it is not known.
func bodyLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked", req.ContentLength == 0:
		return -1
	}
	return req.ContentLength
}

// mayBeEmpty reports whether requests of this method have a body so rarely that one of unknown length
// is likely to be empty. Servers are confused by one in chunks.
func mayBeEmpty(method string) bool {
	switch method {
	case "", "GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "SEARCH":
		return true
	}
	return false
}

// replayable reports whether a request may be sent a second time, as net/http decides it.
func replayable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return key || xkey
}
