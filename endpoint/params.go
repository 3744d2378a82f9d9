package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

type paramsKey struct{}

// WithParams returns a request that carries the params of its route, for a router that is not
// net/http's. Each param must have been decoded exactly once, and p must not be changed afterwards.
// The endpoint answers 400 if one is empty, is a dot segment, or has a NUL or line break; segments
// of Rest may be empty.
//
// Without WithParams an endpoint takes the params from the request's Pattern and PathValue, as
// ServeMux sets them. The Rest is what {name...} matched, or a pattern that ends in a slash.
// Without a pattern the Rest is the whole path.
func WithParams(r *http.Request, p proxy.Params) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), paramsKey{}, &p))
}

var errParam = errors.New("a param of the path is not allowed")

// paramsOf returns the params of a request whose escaped path is path. The segments of a Rest go to
// room, which they keep.
func paramsOf(r *http.Request, path string, room []string) (proxy.Params, error) {
	given, ok := r.Context().Value(paramsKey{}).(*proxy.Params)
	if ok {
		return *given, checkParams(given)
	}
	var p proxy.Params
	if err := patternParams(&p, r, path, room); err != nil {
		return p, err
	}
	return p, checkParams(&p)
}

func checkParams(p *proxy.Params) error {
	for _, name := range p.Names() {
		if value := p.Get(name); value == "" || !field.ValidSegment(value) {
			return fmt.Errorf("%w: %s", errParam, name)
		}
	}
	for _, segment := range p.Rest() {
		if !field.ValidSegment(segment) {
			return fmt.Errorf("%w: *", errParam)
		}
	}
	return nil
}

// patternParams fills in what the pattern of the request names: each {name}, and the Rest for a
// wildcard at the end, which is {name...}, *, or nothing behind the last slash.
func patternParams(p *proxy.Params, r *http.Request, path string, room []string) error {
	_, pattern, ok := strings.Cut(r.Pattern, "/") // method and host have no slash
	if !ok || pattern == "" {
		return setRest(p, room, path[1:])
	}
	for rest := pattern; ; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			break
		}
		name, length := wildcard(rest[open:])
		rest = rest[open+length:]
		switch {
		case name == "$", name == "":
		case strings.HasSuffix(name, "..."):
			return setRest(p, room, matched(path, r.PathValue(strings.TrimSuffix(name, "..."))))
		default:
			p.Set(name, r.PathValue(name))
		}
	}
	switch pattern[len(pattern)-1] {
	case '*':
		return setRest(p, room, matched(path, r.PathValue("*")))
	case '/':
		return setRest(p, room, behind(r, pattern, path))
	}
	return nil
}

// wildcard returns the name in the braces that s begins with, and their length. The name may be
// followed by an expression that has braces itself, as in chi's {id:[a-z]{2}}.
func wildcard(s string) (name string, length int) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			name, _, _ = strings.Cut(s[1:i], ":")
			return name, i + 1
		}
	}
	return "", len(s)
}

// matched returns the end of an escaped path whose decoded form is value: in value itself a slash
// can no longer be told from an escaped one. If there is none, it returns value, escaped unless the
// router has left it so.
func matched(path, value string) string {
	length := 0
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' && length == len(value) {
			if s, err := url.PathUnescape(path[i+1:]); err == nil && s == value {
				return path[i+1:]
			}
			break
		}
		length++
		if path[i] == '%' {
			length -= 2
		}
	}
	if strings.HasSuffix(path, "/"+value) {
		return value // not decoded by the router
	}
	return strings.ReplaceAll(url.PathEscape(value), "%2F", "/")
}

// behind returns the part of an escaped path after the segments of a pattern that ends in a slash.
// If something has taken a prefix off the path meanwhile, as http.StripPrefix does, that is the
// whole path.
func behind(r *http.Request, pattern, path string) string {
	if asked, err := url.PathUnescape(requestPath(r)); err != nil || asked != r.URL.Path {
		return path[1:]
	}
	rest := path[1:]
	for range strings.Count(pattern, "/") {
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			return path[1:]
		}
		rest = after
	}
	return rest
}

// requestPath returns the path of the request line.
func requestPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if _, after, ok := strings.Cut(path, "://"); ok && path[0] != '/' {
		_, path, _ = strings.Cut(after, "/")
		path = "/" + path
	}
	return path
}

// setRest sets the Rest to the segments of an escaped path.
func setRest(p *proxy.Params, room []string, escaped string) error {
	for segment := range strings.SplitSeq(escaped, "/") {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return fmt.Errorf("%w: *", errParam)
		}
		room = append(room, decoded)
	}
	p.SetRest(room...)
	return nil
}
