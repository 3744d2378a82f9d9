// Package field knows which names and values an HTTP header field may have, which names stand for
// the same field, and which fields stay between two neighbours. Every stage asks this package, so
// that all of them decide alike.
//
// The canonical name of a field is its name as net/http spells it. Two names are twins if they are
// equal, ignoring the case of ASCII letters, once every byte but letters and digits is "-": X_User,
// X.User and x~user are twins of X-User. Some servers take one for the other, as CGI does, so a
// stage that manages a field manages all its twins too.
package field

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// What a byte is in a name. It is looked up in a table, because it is asked for every byte of every
// header.
const (
	token uint8 = 1 << iota // may stand in a token (RFC 9110, section 5.6.2)
	plain                   // a letter, digit or hyphen
	lower
	upper
)

var bytes = func() (table [256]uint8) {
	for c := range table {
		switch c := byte(c); {
		case 'a' <= c && c <= 'z':
			table[c] = token | plain | lower
		case 'A' <= c && c <= 'Z':
			table[c] = token | plain | upper
		case '0' <= c && c <= '9', c == '-':
			table[c] = token | plain
		case strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0:
			table[c] = token
		}
	}
	return table
}()

// IsTokenByte reports whether c may stand in a token.
func IsTokenByte(c byte) bool { return bytes[c]&token != 0 }

// IsToken reports whether s is a token (RFC 9110, section 5.6.2). The name of a field is a token.
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if bytes[s[i]]&token == 0 {
			return false
		}
	}
	return s != ""
}

// EqualToken reports whether two tokens are equal, ignoring the case of ASCII letters.
// strings.EqualFold would fold other characters onto them: the Kelvin sign onto k, and ſ onto s.
func EqualToken(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lowered(a[i]) != lowered(b[i]) {
			return false
		}
	}
	return true
}

// HasToken reports whether the token is an element of a field whose lines are lists, as "trailers"
// may be of TE. An element with parameters is not the token.
func HasToken(lines []string, token string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if EqualToken(strings.Trim(element, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// Parse returns the canonical form of a name in key. In twin it returns the canonical name of
// letters, digits and hyphens that the name is a twin of or equal to. If name is not a token, ok is
// false and key is name. If name already has both forms, as nearly always, Parse allocates nothing.
func Parse(name string) (key, twin string, ok bool) {
	if isPlain(name) {
		return name, name, true
	}
	if !IsToken(name) {
		return name, Twin(name), false
	}
	key = textproto.CanonicalMIMEHeaderKey(name)
	return key, Twin(key), true
}

// Twin returns the canonical name of letters, digits and hyphens that name is a twin of, or name
// itself if it has that form. It returns the same for all twins.
func Twin(name string) string {
	if isPlain(name) {
		return name
	}
	return string(appendTwin(make([]byte, 0, len(name)), name))
}

// isPlain reports whether a name is canonical and consists of letters, digits and hyphens, as
// nearly every name does. Branches are faster here than the table.
func isPlain(name string) bool {
	start := true // at the start of a word
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '-':
			start = true
			continue
		case 'a' <= c && c <= 'z':
			if start {
				return false
			}
		case 'A' <= c && c <= 'Z':
			if !start {
				return false
			}
		case c < '0' || c > '9':
			return false
		}
		start = false
	}
	return name != ""
}

func appendTwin(b []byte, name string) []byte {
	start := true // at the start of a word
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch class := bytes[c]; {
		case class&plain == 0:
			c = '-'
		case start && class&lower != 0:
			c -= 'a' - 'A'
		case !start && class&upper != 0:
			c += 'a' - 'A'
		}
		b = append(b, c)
		start = c == '-'
	}
	return b
}

// AreTwins reports whether two names are twins or equal.
func AreTwins(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && folded(a[i]) != folded(b[i]) {
			return false
		}
	}
	return true
}

// Delete deletes from h the field of that name and all twins of it.
func Delete(h http.Header, name string) {
	for other := range h {
		if AreTwins(other, name) {
			delete(h, other)
		}
	}
}

func folded(c byte) byte {
	if bytes[c]&plain == 0 {
		return '-'
	}
	return lowered(c)
}

func lowered(c byte) byte {
	if bytes[c]&upper != 0 {
		c += 'a' - 'A'
	}
	return c
}

// HopByHop reports whether a field, given by its canonical name, belongs to one connection and
// never goes further. These are the fields of RFC 9110, section 7.6.1, some that are treated like
// them, and Alt-Svc, by which an upstream could lead clients around the gateway.
func HopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc":
		return true
	}
	return false
}

// Managed reports whether only the backend makes a request header whose name has this twin.
func Managed(twin string) bool {
	return twin == "Host" || twin == "Content-Length" || HopByHop(twin)
}

// Describing are the fields, by their canonical names, that describe a body.
var Describing = [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Content-Md5", "Content-Digest",
	"Content-Range", "Content-Length", "Digest", "Repr-Digest"}

// Conditions are the fields, by their canonical names, by which a client asks for an answer only if it
// has another one, or for a part of it (RFC 9110, sections 13.1 and 14.2).
var Conditions = [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"}

// CheckSet returns why code that sets one field of a request for upstreams cannot set that of this
// name, or nil.
func CheckSet(name string) error {
	twin := Twin(name)
	switch {
	case !IsToken(name):
		return errors.New("it is not the name of a header")
	case Managed(twin):
		return fmt.Errorf("only the backend sets %s", twin)
	case slices.Contains(Describing[:], twin):
		return fmt.Errorf("%s belongs to a body, and is set with it", twin)
	}
	return nil
}

// OfBody reports whether a field, given by its canonical name, says how to read the bytes of the
// body. A stage sets such a field together with the body.
func OfBody(name string) bool {
	return name == "Content-Length" || name == "Content-Type" || name == "Content-Encoding"
}

// AreLabels reports whether s is one or more labels of a host name, with a dot between them. An underscore
// may stand in a label, as names of services have it.
func AreLabels(s string) bool {
	start := true // of a label
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			start = false
		case c == '.' && !start:
			start = true
		default:
			return false
		}
	}
	return !start
}
