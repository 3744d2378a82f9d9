package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Caller is the verified caller of a request. An authenticator of package endpoint/auth verifies it, or a
// decorator of your own. It is in [Request.Caller], where nil means that there is no caller.
//
// A Caller is never changed once it is in a request: clones share it, and several goroutines may read it.
// Its texts come from the credential, so they are the client's bytes.
type Caller struct {
	// Issuer vouches for ID: it is the issuer of a token. It is "" for credentials that this process checks
	// itself, such as API keys.
	Issuer string

	// ID names the caller: the subject of a token, the name of an API key, the user of a password. Two
	// callers are the same if their Scheme, Issuer and ID are; see [Caller.Key]. "" names nobody, as for a
	// token without a subject; such callers are the same only if their Claims are the same too.
	ID string

	// Scheme is the kind of credential: "jwt", "api-key", "basic", "certificate".
	Scheme string

	Roles  []string // what the caller is; nil is none
	Scopes []string // what the credential may be used for; nil is none

	// Claims is all that the credential says, as an object. It is absent for a credential that says
	// nothing.
	Claims document.Document

	// Expires is when the credential ends; the zero Time is never.
	Expires time.Time
}

// HasRole reports whether the caller has a role. A nil Caller has none.
func (c *Caller) HasRole(role string) bool { return c != nil && slices.Contains(c.Roles, role) }

// HasScope reports whether the credential has a scope. A nil Caller has none.
func (c *Caller) HasScope(scope string) bool { return c != nil && slices.Contains(c.Scopes, scope) }

// Key returns a text that is the same for the same caller, and differs for two different ones: Scheme,
// Issuer and ID, the first two with their lengths before them. If the ID is "", a NUL and the SHA-256 of
// the Claims take its place. For a nil Caller it is "", which is the key of no other Caller.
func (c *Caller) Key() string {
	if c == nil {
		return ""
	}
	return string(c.AppendKey(make([]byte, 0, 8+len(c.Scheme)+len(c.Issuer)+len(c.ID))))
}

// AppendKey appends [Caller.Key] to b.
func (c *Caller) AppendKey(b []byte) []byte {
	if c == nil {
		return b
	}
	b = strconv.AppendInt(b, int64(len(c.Scheme)), 10)
	b = append(b, ':')
	b = append(b, c.Scheme...)
	b = strconv.AppendInt(b, int64(len(c.Issuer)), 10)
	b = append(b, ':')
	b = append(b, c.Issuer...)
	switch {
	case c.ID == "":
		sum := sha256.Sum256(c.Claims.AppendJSON(nil))
		return hex.AppendEncode(append(b, 0), sum[:])
	case c.ID[0] == 0: // it must not look like one without an ID
		b = append(b, 0)
	}
	return append(b, c.ID...)
}
