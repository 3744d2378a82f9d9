package auth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// ErrAuthorization is why a request is refused if its Authorization can be read in more than one way: there
// are two lines, or the line does not begin with a scheme. It comes in a [*proxy.Error] of status 400.
var ErrAuthorization = errors.New("the Authorization of the request is ambiguous or malformed")

// Authorization returns the scheme in the client's Authorization, in lower case as in "bearer", and the
// credentials after it (RFC 9110, section 11.6.2). Both are "" if there is no such field. The error is
// [ErrAuthorization].
//
// An [Authenticator] that reads the field should use this function, so that all of them read the same line.
// [Require] refuses a request with two lines. The credentials are the client's bytes, without blanks at
// either end.
func Authorization(req *proxy.Request) (scheme, credentials string, err error) {
	lines := req.Header["Authorization"]
	if len(lines) == 0 {
		return "", "", nil
	}
	scheme, credentials, _ = strings.Cut(lines[0], " ")
	if len(lines) > 1 || !field.IsToken(scheme) {
		return "", "", &proxy.Error{Status: http.StatusBadRequest, Op: "auth", Err: ErrAuthorization}
	}
	switch scheme { // without an allocation as they are nearly always written
	case "Bearer":
		scheme = "bearer"
	case "Basic":
		scheme = "basic"
	default:
		scheme = strings.ToLower(scheme)
	}
	return scheme, strings.Trim(credentials, " \t"), nil
}
