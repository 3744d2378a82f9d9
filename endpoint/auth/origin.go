package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// ErrOrigin is why a request is refused if a browser may have added its credential by itself, and it does
// not come from the server's own origin. It comes in a [*proxy.Error] of status 403.
var ErrOrigin = errors.New("the request does not come from the own origin")

// OwnOrigin returns nil if a request comes from a page of its own origin, or cannot change anything;
// otherwise the error wraps [ErrOrigin]. An [Authenticator] calls it if its credential is a cookie, or
// another one that browsers also add to requests from pages of other sites. Otherwise such a page could act
// for its visitor (CSRF), or open a WebSocket in the visitor's name.
//
// A request with a safe method (RFC 9110, section 9.2.1) passes, unless it asks for another protocol. Any
// other must have exactly one Origin (RFC 6454), with the scheme and the host of req, which are those that
// the client asked for. The default port of the scheme may be left out. A client that is no browser must
// send Origin too.
//
// others are further origins whose pages may act for their visitors, as when the pages of an API are on
// another host. They are compared byte for byte with what a browser sends, such as
// "https://shop.example.com"; [CheckOrigin] checks the form. "null" is never admitted. Whoever controls
// such an origin acts for everyone who visits it.
func OwnOrigin(ctx context.Context, req *proxy.Request, others ...string) error {
	if isSafe(req.Method) && !upgrades(ctx, req) {
		return nil
	}
	if lines := req.Header["Origin"]; len(lines) == 1 {
		if lines[0] != "null" && slices.Contains(others, lines[0]) {
			return nil
		}
		scheme, host, found := strings.Cut(lines[0], "://")
		if found && scheme != "" && scheme == req.Scheme && host != "" &&
			field.EqualToken(withoutPort(scheme, host), withoutPort(scheme, req.Host)) {
			return nil
		}
	}
	return &proxy.Error{Status: http.StatusForbidden, Op: "auth", Err: ErrOrigin}
}

// CheckOrigin returns an error unless origin is written as browsers write it (RFC 6454, section 6.2): http
// or https, the host in lower case, and a port only if it is not the default of the scheme. "null" is
// refused, because pages of any site can have it.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != origin || u.Hostname() == "":
		return errors.New("want scheme://host or scheme://host:port")
	case strings.ContainsAny(origin, "*@") || origin != strings.ToLower(origin) || strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("it is not as a browser writes it: in lower case and ASCII")
	case withoutPort(u.Scheme, u.Host) != u.Host || strings.HasSuffix(u.Host, ":"):
		return errors.New("a browser leaves the usual port out")
	}
	return nil
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
