package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// ErrOrigin is why a request is refused that has a credential which a browser adds by itself, and
// does not come from the own origin. It comes in a [*proxy.Error] of status 403.
var ErrOrigin = errors.New("the request does not come from the own origin")

// OwnOrigin returns an error that wraps [ErrOrigin] unless a browser that made the request was on a
// page of the same origin. An [Authenticator] asks it where its credential is a cookie, or another
// one that browsers add to requests of foreign pages too: else such a page could act for its visitor,
// or open a WebSocket in his name.
//
// A request with a safe method (RFC 9110, section 9.2.1) passes, unless it asks for another protocol.
// Any other must have exactly one Origin (RFC 6454), with the scheme and the host that the client
// asked for, which are those of req. Ports that the scheme has by default may be left out. A client
// that is no browser must send Origin too.
func OwnOrigin(ctx context.Context, req *proxy.Request) error {
	if isSafe(req.Method) && !upgrades(ctx, req) {
		return nil
	}
	if lines := req.Header["Origin"]; len(lines) == 1 {
		scheme, host, found := strings.Cut(lines[0], "://")
		if found && scheme != "" && scheme == req.Scheme && host != "" &&
			field.EqualToken(withoutPort(scheme, host), withoutPort(scheme, req.Host)) {
			return nil
		}
	}
	return &proxy.Error{Status: http.StatusForbidden, Op: "auth", Err: ErrOrigin}
}

func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// upgrades reports whether a client asks for another protocol. A copy of its request does not say so.
func upgrades(ctx context.Context, req *proxy.Request) bool {
	r := endpoint.HTTPRequest(ctx)
	return req.Upgrade != "" || r != nil && r.Header["Upgrade"] != nil
}

// withoutPort returns a host without the port that its scheme has by default.
func withoutPort(scheme, host string) string {
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}
