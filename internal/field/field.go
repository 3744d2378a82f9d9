// Package field knows what may be the name or the value of an HTTP header field, which names are
// one, and which stay between two neighbours. Every stage asks it, so that all of them answer the
// same.
//
// The canonical name of a field is its name as net/http spells it. Two names are twins where they
// are equal, without regard to the case of ASCII letters, once every byte but letters and digits is
// "-": X_User, X.User and x~user are twins of X-User. Servers exist that take one for the other, as
// CGI does, so what a stage manages it manages under every twin.
package field

import (
	"net/textproto"
	"strings"
)

// What a byte is in a name. A table, for every byte of every header is asked.
const (
	token uint8 = 1 << iota // may stand in a token (RFC 9110, section 5.6.2)
	plain                   // letter, digit or hyphen
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

// IsToken reports whether s is a token (RFC 9110, section 5.6.2), as the name of a field is.
func IsToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if bytes[s[i]]&token == 0 {
			return false
		}
	}
	return s != ""
}

// EqualToken compares two tokens without regard to the case of ASCII letters. strings.EqualFold
// would fold others onto them: the Kelvin sign is k, and ſ is s.
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

// HasToken reports whether a field whose lines are lists has the token among their elements, as TE
// has "trailers". An element with parameters is not the token.
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

// Parse returns the canonical form of a name, and the name it is a twin of, or is itself: letters,
// digits and hyphens, in canonical form too. It is not ok if name is no token; then key is name.
// Where name is both already, as nearly always, it allocates nothing.
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

// Twin returns the one name of letters, digits and hyphens, in canonical form, that name is a twin
// of, or name itself. Twins have the same.
func Twin(name string) string {
	if isPlain(name) {
		return name
	}
	return string(appendTwin(make([]byte, 0, len(name)), name))
}

// isPlain reports whether a name is canonical and all of letters, digits and hyphens, as nearly
// every one is. Branches are faster here than the table.
func isPlain(name string) bool {
	start := true // of a word
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
	start := true // of a word
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

// AreTwins reports whether two names are twins, or one.
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

// HopByHop reports whether a field, given by its canonical name, is of one connection and never
// goes on: those of RFC 9110, section 7.6.1, what is treated like them, and Alt-Svc, with which an
// upstream would have clients go around the gateway.
func HopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc":
		return true
	}
	return false
}

// OfBody reports whether a field, given by its canonical name, says how the bytes of the body are
// to be read. A stage sets it together with the body.
func OfBody(name string) bool {
	return name == "Content-Length" || name == "Content-Type" || name == "Content-Encoding"
}
