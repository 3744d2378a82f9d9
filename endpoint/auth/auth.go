package auth

import (
	"context"
	"errors"

	"github.com/sluice-go/sluice/proxy"
)

// An Authenticator verifies one kind of credential. It is safe for concurrent use.
//
// An Authenticator that describes itself has a method Plan() pipe.Step, whose step is shown inside
// that of [Require], and one that is wired wrongly has a method Fault() error.
type Authenticator interface {
	// Authenticate returns who makes the request. It returns nil and no error if the request has no
	// credential of this kind. It must not change the request.
	//
	// An error refuses the request, whatever other credentials it has. Its status is that of
	// proxy.StatusOf: 401 for a credential that is not good, and 503 where that cannot be told, as
	// while a store is down. An error that says nothing of a status is 401 if it wraps
	// [ErrInvalidCredentials] or [ErrNoCredentials], 403 if it wraps [ErrDenied], and else 503.
	//
	// Who has no Claims is known to [Claims] by ID and Roles.
	Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error)

	// Challenge returns what WWW-Authenticate says to a client (RFC 9110, section 11.6.1), such as
	// `Bearer realm="shop"`. err is what Authenticate returned, or nil for a request without
	// credentials. "" is no challenge.
	Challenge(err error) string
}

var (
	// ErrNoCredentials is why a request is refused that has no credentials. It comes in a
	// [*proxy.Error] of status 401.
	ErrNoCredentials = errors.New("the request has no credentials")

	// ErrInvalidCredentials is why a request is refused whose credentials are not good. It comes in a
	// [*proxy.Error] of status 401. An Authenticator wraps it with what is wrong, for logs:
	// fmt.Errorf("%w: unknown partner", auth.ErrInvalidCredentials).
	ErrInvalidCredentials = errors.New("the credentials are not valid")

	// ErrUnavailable is why a request is refused whose credentials cannot be checked at the moment.
	// It comes in a [*proxy.Error] of status 503.
	ErrUnavailable = errors.New("the credentials cannot be checked now")

	// ErrDenied is why a request is refused whose caller may not make it. It comes in a
	// [*proxy.Error] of status 403. A decorator of your own says so too:
	// &proxy.Error{Status: http.StatusForbidden, Err: auth.ErrDenied}. The bare error is a 502.
	ErrDenied = errors.New("the caller may not do this")
)
