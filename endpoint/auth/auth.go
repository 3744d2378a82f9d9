package auth

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
)

// An Authenticator verifies one kind of credential. It is safe for concurrent use.
//
// An Authenticator may have a method Plan() pipe.Step, whose step is shown inside that of [Require], and a
// method Fault() error, which says what is wrong with its wiring.
type Authenticator interface {
	// Authenticate returns the caller of a request, or nil and no error if the request has no credential of
	// this kind. It must not change the request.
	//
	// An error refuses the request, whatever other credentials it has. Its status is that of
	// proxy.StatusOf: 401 for a credential that is not valid, and 503 if that cannot be checked, as while a
	// store is down. An error without a status is 401 if it wraps [ErrInvalidCredentials] or
	// [ErrNoCredentials], 403 if it wraps [ErrDenied], and 503 otherwise.
	//
	// For a caller without Claims, the decorator [Claims] takes "sub" and "roles" from ID and Roles.
	Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error)

	// Challenge returns the WWW-Authenticate value for the client (RFC 9110, section 11.6.1), such as
	// `Bearer realm="shop"`. err is what Authenticate returned, or nil for a request without credentials.
	// "" is no challenge.
	Challenge(err error) string
}

// These are reasons for a refusal. Each has its status by itself, so that a decorator of your own can
// return one, or wrap it with what is wrong. They must not be changed.
var (
	// ErrNoCredentials is why a request without credentials is refused. It comes in a [*proxy.Error] of
	// status 401.
	ErrNoCredentials error = &proxy.Error{Status: http.StatusUnauthorized, Err: errors.New("the request has no credentials")}

	// ErrInvalidCredentials is why a request is refused if its credentials are not valid. It comes in a
	// [*proxy.Error] of status 401. An Authenticator wraps it to say in logs what is wrong: fmt.Errorf("%w:
	// unknown partner", auth.ErrInvalidCredentials).
	ErrInvalidCredentials error = &proxy.Error{Status: http.StatusUnauthorized, Err: errors.New("the credentials are not valid")}

	// ErrUnavailable is why a request is refused if its credentials cannot be checked at the moment. It
	// comes in a [*proxy.Error] of status 503.
	ErrUnavailable error = &proxy.Error{Status: http.StatusServiceUnavailable, Err: errors.New("the credentials cannot be checked now")}

	// ErrDenied is why a request is refused if its caller may not make it. It comes in a [*proxy.Error] of
	// status 403.
	ErrDenied error = &proxy.Error{Status: http.StatusForbidden, Err: errors.New("the caller may not do this")}
)
