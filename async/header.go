package async

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// managed reports whether a message cannot bring along the header of this canonical name: one of a connection, or one that
// would say how the message came to us, or speak of another body or host than the request has.
func managed(name string) bool {
	switch name {
	case "Content-Length", "Expect", "Forwarded", "Host", "X-Real-Ip":
		return true
	}
	return proxy.HopByHop(name) || strings.HasPrefix(name, "X-Forwarded-")
}

// clean returns the headers of a message as a pipe may see them, the names in canonical form. A broker's names come in
// any case: the values of names that differ in case alone are put together in the order of the names.
func clean(h http.Header) http.Header {
	named := connectionTokens(h)
	out := make(http.Header, len(h))
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !isToken(name) {
			continue
		}
		if twin := canonical(name); managed(twin) || named[twin] {
			continue
		}
		name, values := textproto.CanonicalMIMEHeaderKey(name), h[name]
		for _, value := range values {
			if isValue(value) {
				out[name] = append(out[name], value)
			}
		}
	}
	return out
}

// canonical returns the name that some servers take name for, because they do not tell _ from -.
func canonical(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// connectionTokens returns the names that any Connection line declares to be of one hop, in canonical form.
func connectionTokens(h http.Header) map[string]bool {
	var named map[string]bool
	for name, lines := range h {
		if canonical(name) != "Connection" {
			continue
		}
		for token := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			if token = textproto.TrimString(token); token == "" {
				continue
			}
			if named == nil {
				named = map[string]bool{}
			}
			named[canonical(token)] = true
		}
	}
	return named
}

// isToken reports whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s can be the value of a header (RFC 9110, section 5.5): no CR, LF, NUL or other control.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
