package jwt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-go/sluice/proxy/document"
)

// maxToken is how many bytes a token may have.
const maxToken = 8 << 10

// A header is what the header of a token says that counts.
type header struct {
	alg     string
	keyID   string
	noKeyID bool
	typ     string
	jwk     document.Document // only a DPoP proof may bring its key
}

var (
	errLong    = fmt.Errorf("the token has more than %d bytes", maxToken)
	errForm    = errors.New("the token is not a JWS in compact form and strict base64url")
	errHeader  = errors.New("the header of the token is not an object with an alg")
	errCrit    = errors.New("the header of the token has crit or b64")
	errAlg     = errors.New("the alg of the token is not allowed")
	errSign    = errors.New("the signature does not verify with the key of the token")
	errRepeats = errors.New("an object repeats a name")
)

var strict = base64.RawURLEncoding.Strict()

// parseHeader returns the header of a token in compact form (RFC 7515, section 7.1), if its algorithm
// is one of allowed. It checks the form of the whole token.
func parseHeader(token string, allowed []string) (header, error) {
	if len(token) > maxToken {
		return header{}, errLong
	}
	first, rest, _ := strings.Cut(token, ".")
	second, third, two := strings.Cut(rest, ".")
	if !two || first == "" || third == "" || !isBase64(first) || !isBase64(second) || !isBase64(third) {
		return header{}, errForm
	}
	text, err := strict.DecodeString(first)
	if err != nil {
		return header{}, errForm
	}
	doc, err := document.Parse(text)
	if err != nil || doc.Kind() != document.Object {
		return header{}, errHeader
	}
	if err := repeats(doc); err != nil {
		return header{}, err
	}
	h := header{noKeyID: true}
	for name, value := range doc.Members() {
		text, _ := value.Text()
		isText := value.Kind() == document.String
		switch name {
		case "alg":
			h.alg = text
		case "kid":
			h.keyID, h.noKeyID = text, false
		case "typ":
			h.typ = text
		case "jwk":
			h.jwk, isText = value, true
		case "crit", "b64":
			return header{}, errCrit
		default:
			isText = true
		}
		if !isText {
			return header{}, errHeader
		}
	}
	switch {
	case h.alg == "":
		return header{}, errHeader
	case !slices.Contains(allowed, h.alg):
		return header{}, errAlg
	}
	return h, nil
}

// isBase64 reports whether all characters are those of base64url, and the last one has no bits that
// do not count. Otherwise one token could be spelled in several ways. (encoding/base64 skips line
// breaks.)
func isBase64(s string) bool {
	for i := range len(s) {
		if sixBits(s[i]) < 0 {
			return false
		}
	}
	switch len(s) % 4 {
	case 1:
		return false
	case 2:
		return sixBits(s[len(s)-1])&0b1111 == 0
	case 3:
		return sixBits(s[len(s)-1])&0b11 == 0
	}
	return true
}

func sixBits(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '-':
		return 62
	case c == '_':
		return 63
	}
	return -1
}

// payloadOf returns the payload of a token that the key has signed. Its header is that of
// parseHeader.
func payloadOf(token string, h header, k *key) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.alg)})
	if err != nil {
		return nil, errForm
	}
	payload, err := parsed.Verify(k.verifiers[h.alg])
	if err != nil {
		return nil, errSign
	}
	return payload, nil
}

// repeats returns an error if an object in doc, at any depth, has two members of the same name: one
// reader would take the first and another the last.
func repeats(doc document.Document) error {
	if doc.Repeats() {
		return errRepeats
	}
	return nil
}
