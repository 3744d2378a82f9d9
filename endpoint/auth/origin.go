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
//
// Pages of the others may act for their visitors too, as where the pages of an API have a host of their
// own. They are compared byte for byte with what a browser sends, as in "https://shop.example.com";
// [CheckOrigin] tells whether a text can be that. "null" is never admitted. Whoever controls such an
// origin acts for whoever visits it.
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

// CheckOrigin returns what keeps a text from being an origin as browsers write it (RFC 6454, section
// 6.2), or nil: http or https, the host in lower case, and a port if it is not that of the scheme.
// "null" is none: pages of any site can have it.
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
