package router

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// These are the reasons for refusing a path. Their texts contain no byte of the request.
var (
	errDots      = errors.New("the path has a dot segment")
	errForms     = errors.New("URL.Path and URL.RawPath contradict each other")
	errAnother   = errors.New("the path takes another route in its normal form")
	errEmpty     = errors.New("the value is empty")
	errDotValue  = errors.New("the value is a dot segment")
	errControl   = errors.New("the value holds NUL, CR or LF")
	errEscape    = errors.New("the value is not escaped correctly")
	errExpr      = errors.New("the decoded value does not match the pattern")
	errNoContext = errors.New("chi's routing context is gone")
)

// A match is how chi routed a request: the patterns of the routers from the outside in, and the
// values of their placeholders.
type match struct {
	root     chi.Routes // the outermost router
	own      chi.Routes // the router that the route was mounted on
	method   string
	patterns []string
	names    []string
	values   []string // as chi cut them out of the path, escaped or not
	escaped  bool     // whether the values are escaped
	parsed   [][]part // the patterns, parsed only if the path has two forms
}

// paramsOf returns the params of a request that chi has routed, or the error with which to refuse
// the request, of status 400.
//
// chi routes URL.RawPath if net/http has set it, and URL.Path otherwise; middleware may make it
// route either of them, or a part. So the values may or may not be escaped, and do not show which.
// Nearly always RawPath is empty, and the values are decoded.
func paramsOf(r *http.Request, own chi.Routes, known *patternSet) (proxy.Params, error) {
	var params proxy.Params
	ctx := chi.RouteContext(r.Context())
	if ctx == nil || len(ctx.URLParams.Keys) != len(ctx.URLParams.Values) || len(ctx.RoutePatterns) == 0 {
		return params, &proxy.Error{Status: http.StatusInternalServerError, Op: "route", Err: errNoContext}
	}
	m := match{root: ctx.Routes, own: own, method: ctx.RouteMethod, patterns: ctx.RoutePatterns,
		names: ctx.URLParams.Keys, values: ctx.URLParams.Values}
	if err := m.check(r.URL, known); err != nil {
		return params, badPath(err)
	}
	if err := m.setNamed(&params); err != nil {
		return params, badPath(err)
	}
	if err := m.setRest(&params); err != nil {
		return params, badPath(err)
	}
	return params, nil
}

func (m *match) setNamed(params *proxy.Params) error {
	for i, name := range m.names {
		if name == "*" {
			continue // the rest, or the mount point of a router
		}
		value, err := m.value(m.values[i])
		if err == nil && value == "" && name != "" {
			err = errEmpty
		}
		if err != nil {
			return fmt.Errorf("param %s: %w", name, err)
		}
		if name != "" {
			params.Set(name, value)
		}
	}
	return nil
}

func (m *match) setRest(params *proxy.Params) error {
	last := len(m.names) - 1
	if last < 0 || m.names[last] != "*" || !strings.HasSuffix(m.patterns[len(m.patterns)-1], "*") {
		return nil
	}
	segments := strings.Split(m.values[last], "/")
	for i, segment := range segments {
		value, err := m.value(segment)
		if err != nil {
			return fmt.Errorf("param *: %w", err)
		}
		segments[i] = value
	}
	params.SetRest(segments...)
	return nil
}

func badPath(err error) error {
	return &proxy.Error{Status: http.StatusBadRequest, Op: "path", Err: err}
}

// value decodes a value, once, and refuses it if it cannot be a segment of a path.
func (m *match) value(s string) (string, error) {
	if m.escaped && strings.Contains(s, "%") {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return "", errEscape
		}
		s = decoded
	}
	switch {
	case field.ValidSegment(s):
		return s, nil
	case s == ".", s == "..":
		return "", errDotValue
	}
	return "", errControl
}

// check refuses a path that an upstream may read differently than the router did, and finds out
// whether the values are escaped.
func (m *match) check(u *url.URL, known *patternSet) error {
	if decoded, err := url.PathUnescape(u.RawPath); u.RawPath != "" && (err != nil || decoded != u.Path) {
		return errForms
	}
	if hasDots(u) {
		return errDots
	}
	isEscape := func(s string) bool { return strings.Contains(s, "%") }
	if !isEscape(u.RawPath) && !slices.ContainsFunc(m.values, isEscape) {
		return nil // the path has only one form
	}
	m.parsed = known.all(m.patterns)
	routed := build(m.parsed, m.values)
	if !isEscape(routed) {
		return nil
	}
	raw, plain := isFrom(routed, u.RawPath), isFrom(routed, u.Path)
	if raw == plain {
		return errForms
	}
	if plain {
		return nil
	}
	m.escaped = true
	if err := m.checkExprs(); err != nil {
		return err
	}
	return m.checkNormal(routed)
}

// build returns the path that the patterns of a chain of routers matched, given the values of their
// placeholders.
func build(patterns [][]part, values []string) string {
	var b strings.Builder
	next := 0
	for i, parts := range patterns {
		for j, p := range parts {
			switch {
			case p.kind == literal && i > 0 && j == 0: // the slash is in the pattern of the router above, before the * that chi has cleared
				b.WriteString(strings.TrimPrefix(p.text, "/"))
			case p.kind == literal:
				b.WriteString(p.text)
			case next < len(values):
				b.WriteString(values[next])
				next++
			}
		}
	}
	return b.String()
}

// isFrom reports whether routed can be made from path by cutting parts off, without another
// escaping: whether each segment of routed that has a % is the beginning of a segment of path, in
// the same order. It cannot test for equality, because middleware changes the path that chi routes,
// chi does not tell from which form, and the URL of the request stays as it was:
//
//   - StripSlashes and URLFormat of chi route URL.Path without the slash at its end, or the .json
//     of its last segment: so a segment need only be the beginning of one;
//   - CleanPath of chi routes URL.RawPath without doubled slashes: so only segments are compared;
//   - StripPrefix of chi in front of a single route, as r.With puts it there, cuts the prefix off
//     both forms after chi has routed with it: so a segment without an escape may be missing.
//
// The caller refuses a path that could come from both forms, or from neither.
func isFrom(routed, path string) bool {
	for segment := range strings.SplitSeq(routed, "/") {
		if !strings.Contains(segment, "%") {
			continue
		}
		for found := false; !found; {
			if path == "" {
				return false
			}
			var s string
			s, path, _ = strings.Cut(path, "/")
			found = strings.HasPrefix(s, segment)
		}
	}
	return true
}

// checkExprs refuses a value that matches the regular expression of its placeholder only in its
// escaped form.
func (m *match) checkExprs() error {
	next := 0
	for _, parts := range m.parsed {
		for _, p := range parts {
			if p.kind == literal || next >= len(m.values) {
				continue
			}
			if value := m.values[next]; p.expr != "" && strings.Contains(value, "%") {
				decoded, err := url.PathUnescape(value)
				if err != nil {
					return errEscape
				}
				if p.compiled == nil || !p.compiled.MatchString(decoded) {
					return errExpr
				}
			}
			next++
		}
	}
	return nil
}

// checkNormal asks the routers again, with other forms of the path than the one the client chose.
// Without needless escapes the path means the same (RFC 3986, section 6.2.2) and must take the same
// route. Without any escapes but those of slashes the path may mean something else. But a pattern
// /users/@me is meant for /users/%40me too, so such a path must not take another route.
func (m *match) checkNormal(routed string) error {
	if normal := unescape(routed, reserved); normal != routed && m.sameRoute(routed, normal) != same {
		return errAnother
	}
	if plain := unescape(routed, "/"); plain != routed && m.sameRoute(routed, plain) == different {
		return errAnother
	}
	return nil
}

type verdict uint8

const (
	same verdict = iota
	different
	none    // no route at all
	unknown // no router can tell
)

// sameRoute tells whether the path other takes the route that routed took. It can ask the routers
// of chi down to a handler that hides the next router; beyond that it can ask only the router that
// the route was mounted on.
func (m *match) sameRoute(routed, other string) verdict {
	want, got := find(m.root, m.method, routed), find(m.root, m.method, other)
	n := len(want)
	switch {
	case n == 0, n > len(m.patterns), !slices.Equal(want, m.patterns[:n]):
		return unknown
	case len(got) == 0:
		return none
	case !slices.Equal(want, got):
		return different
	case n == len(m.patterns), !strings.HasSuffix(want[n-1], "*"):
		return same // nothing is left of the path, or the root of a router
	case n < len(m.patterns)-1:
		return unknown
	}
	return m.sameHidden(routed, other)
}

// sameHidden is sameRoute for a router that is wrapped in a handler that is not a router, as in
//
//	r.Mount("/v", otelhttp.NewHandler(sub, "v"))
//
// The context of chi passes through the handler, so the patterns of sub are known. But when r is
// asked for a path, it finds nothing beyond /v/*. So the router that the route was mounted on is
// asked, with the rest of the path. That rest is known only if both paths begin with the same text.
func (m *match) sameHidden(routed, other string) verdict {
	n := len(m.patterns) - 1
	tail := build(m.parsed[n:], m.values[countValues(m.parsed[:n]):])
	above, found := strings.CutSuffix(routed, strings.TrimPrefix(tail, "/"))
	otherTail, alike := strings.CutPrefix(other, above)
	if !found || !alike {
		return unknown
	}
	want, got := find(m.own, m.method, tail), find(m.own, m.method, "/"+otherTail)
	switch {
	case !slices.Equal(want, m.patterns[n:]):
		return unknown
	case len(got) == 0:
		return none
	case !slices.Equal(want, got):
		return different
	}
	return same
}

func countValues(patterns [][]part) int {
	n := 0
	for _, parts := range patterns {
		for _, p := range parts {
			if p.kind != literal {
				n++
			}
		}
	}
	return n
}

// find returns the patterns with which routers would route a path, or nil if they have no route for
// it.
func find(routes chi.Routes, method, path string) []string {
	if routes == nil {
		return nil
	}
	ctx := chi.NewRouteContext()
	if routes.Find(ctx, method, path) == "" {
		return nil
	}
	return ctx.RoutePatterns
}

// reserved holds the characters that mean something else when escaped, and the % itself.
const reserved = ":/?#[]@!$&'()*+,;=%"

// unescape decodes the escapes in s except those of the bytes in keep.
func unescape(s, keep string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := escapeAt(s, i); ok && strings.IndexByte(keep, c) < 0 {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// escapeAt decodes the escape at s[i], if there is one.
func escapeAt(s string, i int) (byte, bool) {
	if i+2 >= len(s) || s[i] != '%' {
		return 0, false
	}
	hi, lo := unhex(s[i+1]), unhex(s[i+2])
	return byte(hi<<4 | lo), hi|lo >= 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hasDots reports whether a segment of the path is . or .., escaped or not.
func hasDots(u *url.URL) bool {
	if !strings.Contains(u.Path, "/.") {
		return false // nearly always
	}
	path := u.Path
	if u.RawPath != "" {
		path = unescape(u.RawPath, "/")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
