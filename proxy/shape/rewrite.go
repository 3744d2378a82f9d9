package shape

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// ErrRewrite is why [RewriteLocation], [RewriteCookieDomain] or [RewriteCookiePath] is refused: one
// of its texts is not an address, a domain or a path.
var ErrRewrite = errors.New("invalid rewriting")

// RewriteLocation returns a decorator that rewrites the Location and Content-Location of every
// response of next, for an upstream that knows nothing of the gateway in front of it:
//
//	shape.RewriteLocation("http://orders:8080/v1", "/orders")
//	Location: http://orders:8080/v1/7?a=1  →  /orders/7?a=1
//	Location: /v1/7                        →  /orders/7
//	Location: http://other/v1/7            stays, as does a path outside of /v1
//
// from is the address of the upstream with the path that stands for to, or only such a path. to is
// an address or a path. A path is matched by whole segments, as it is escaped. Query and fragment
// stay. A relative address without a slash in front stays, because it is right already. What
// follows from never becomes another host.
//
// The response gets a header map of its own. An error is not a response. Without this decorator
// nothing is rewritten. A text that is neither an address of http or https nor a path, or that has
// a query, is a fault in the plan that wraps [ErrRewrite].
func RewriteLocation(from, to string) proxy.Decorator {
	f, err := baseOf(from)
	_, err2 := baseOf(to)
	to = strings.TrimRight(to, "/")
	return onResponse("rewrite-location", from+" → "+to, []error{err, err2}, func(res *proxy.Response) {
		for _, name := range [...]string{"Location", "Content-Location"} {
			rewriteField(res, name, func(s string) string { return f.rewrite(s, to) })
		}
	})
}

// RewriteCookieDomain returns a decorator that replaces the Domain of every cookie that next sets
// (RFC 6265, section 4.1.2.3), if it is from, ignoring case and a dot in front. "*" is any domain.
// If to is "", the attribute is removed, and the cookie is for the host of the gateway alone.
//
//	shape.RewriteCookieDomain("orders.internal", "example.com")
//
// A cookie without a Domain stays as it is, and so does everything else of a cookie. The response
// gets a header map of its own. A text that is not a domain is a fault in the plan that wraps
// [ErrRewrite].
func RewriteCookieDomain(from, to string) proxy.Decorator {
	var errs []error
	for i, domain := range [...]string{from, to} {
		if strings.ContainsAny(domain, "; \t,/:") || !field.IsValue(domain) || i == 0 && domain == "" {
			errs = append(errs, fmt.Errorf("%w: %q is not a domain", ErrRewrite, domain))
		}
	}
	from = strings.TrimPrefix(from, ".")
	return rewriteCookies("rewrite-cookie-domain", from+" → "+to, errs, "Domain", func(domain string) (string, bool) {
		if from != "*" && !strings.EqualFold(strings.TrimPrefix(domain, "."), from) {
			return domain, true
		}
		return to, to != ""
	})
}

// RewriteCookiePath returns a decorator that replaces the beginning of the Path of every cookie
// that next sets (RFC 6265, section 4.1.2.4), if from is that beginning, by whole segments:
//
//	shape.RewriteCookiePath("/v1", "/orders") // Path=/v1/cart becomes Path=/orders/cart
//	shape.RewriteCookiePath("/", "/orders")   // Path=/ becomes Path=/orders
//
// A cookie without a Path stays as it is, and so does everything else of a cookie. The response
// gets a header map of its own. A text that is not a path with a slash in front is a fault in the
// plan that wraps [ErrRewrite].
func RewriteCookiePath(from, to string) proxy.Decorator {
	var errs []error
	for _, path := range [...]string{from, to} {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, ";") || !field.IsValue(path) {
			errs = append(errs, fmt.Errorf("%w: %q is not a path", ErrRewrite, path))
		}
	}
	detail := from + " → " + to
	from, to = strings.TrimRight(from, "/"), strings.TrimRight(to, "/")
	return rewriteCookies("rewrite-cookie-path", detail, errs, "Path", func(path string) (string, bool) {
		rest, below := below(path, from)
		switch {
		case !below:
		case rest == "/" && from == "": // the root, and /orders/ would not match /orders
			path = cmp.Or(to, "/")
		default:
			path = cmp.Or(to+rest, "/")
		}
		return path, true
	})
}

// rewriteCookies returns a decorator that replaces an attribute of cookies by what f returns, or
// removes it if f returns false.
func rewriteCookies(kind, detail string, errs []error, name string, f func(string) (string, bool)) proxy.Decorator {
	cookie := func(s string) string {
		parts := strings.Split(s, ";")
		kept := parts[:1]
		for _, part := range parts[1:] {
			key, value, found := strings.Cut(part, "=")
			if !found || !strings.EqualFold(strings.TrimSpace(key), name) {
				kept = append(kept, part)
			} else if value, keep := f(strings.TrimSpace(value)); keep {
				kept = append(kept, key+"="+value)
			}
		}
		return strings.Join(kept, ";")
	}
	return onResponse(kind, detail, errs, func(res *proxy.Response) { rewriteField(res, "Set-Cookie", cookie) })
}

// rewriteField replaces the values of a field of a response.
func rewriteField(res *proxy.Response, name string, f func(string) string) {
	old := res.Header[name]
	if len(old) == 0 {
		return
	}
	values := make([]string, len(old))
	for i, value := range old {
		values[i] = f(value)
	}
	if res.Header = maps.Clone(res.Header); res.Header == nil {
		res.Header = http.Header{}
	}
	res.Header[name] = values
}

// A base is an address whose path is a beginning. host is "" if it is only a path.
type base struct{ scheme, host, path string }

func baseOf(s string) (base, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Opaque != "", u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "",
		u.Host == "" && (u.Scheme != "" || !strings.HasPrefix(s, "/")), u.Host != "" && u.Scheme != "http" && u.Scheme != "https":
		return base{}, fmt.Errorf("%w: %q is neither an address nor a path", ErrRewrite, s)
	}
	return base{u.Scheme, hostOf(u), strings.TrimRight(u.EscapedPath(), "/")}, nil
}

// hostOf returns the host of an address in lower case, without the port that goes without saying.
func hostOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return host
}

// rewrite returns an address with to in place of b.
func (b base) rewrite(s, to string) string {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" {
		return s
	}
	if u.Host != "" || u.Scheme != "" {
		if u.Scheme == "" {
			u.Scheme = b.scheme // it is relative to that of the upstream
		}
		if b.host == "" || u.Scheme != b.scheme || hostOf(u) != b.host {
			return s
		}
	}
	path := u.EscapedPath()
	if path == "" && u.Host != "" {
		path = "/"
	}
	rest, below := below(path, b.path)
	if !below {
		return s
	}
	switch {
	case to == "" && strings.HasPrefix(rest, "//"):
		to = "/." // two slashes would begin a host
	case to == "" && rest == "":
		rest = "/"
	}
	tail := url.URL{RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	return to + rest + tail.String()
}

// below cuts a beginning from a path, if it consists of whole segments.
func below(path, beginning string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, beginning)
	return rest, ok && (rest == "" && beginning != "" || strings.HasPrefix(rest, "/"))
}
