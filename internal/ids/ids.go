// Package ids knows which request ids are well-formed, and makes new ones. Whoever reads an id asks this
// package, so that a middleware and an endpoint agree on the id of a request.
package ids

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Header is the canonical name of the field that carries a request id.
const Header = "X-Request-Id"

// Of returns the id that a request header gives, or a new one if it gives none, several, or one that
// is not well-formed.
func Of(h http.Header) string {
	if lines := h[Header]; len(lines) == 1 && Valid(lines[0]) {
		return lines[0]
	}
	return New()
}

// Valid reports whether an id is well-formed: 1 to 128 letters, digits and "-._~+/=:@". So it needs
// no escaping in a header, a URL, JSON or a log.
func Valid(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/=:@", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// New returns 128 random bits in hex. They tell requests apart and are no secret.
func New() string {
	var bits [16]byte
	binary.BigEndian.PutUint64(bits[:8], rand.Uint64())
	binary.BigEndian.PutUint64(bits[8:], rand.Uint64())
	var text [2 * len(bits)]byte
	hex.Encode(text[:], bits[:])
	return string(text[:])
}
