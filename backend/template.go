package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A Template is a compiled text with placeholders for params of the request. It is for leaves of
// your own: the text may be an address, a topic or a key. A Template does what [Spec].URL does for
// an upstream of [HTTP]. Each value is escaped for its place, so the client's bytes never add a
// segment, a parameter or a level. It is safe for concurrent use.
type Template struct {
	url          bool // the text is a URL; else it is a name, all of which is in path
	scheme, host string
	user         *url.Userinfo
	path         []piece
	semicolons   bool // a semicolon in a value of the path stays
	static       bool // path is one literal that needs no escape
	query        []piece
	fixed        []string // the names of the parameters in the query
	needs        []string // the names of the placeholders, in order, each once; "*" for the rest
	shown        string   // the text for the plan, without user and fixed values of the query
}

// A piece is a literal or a placeholder.
type piece struct {
	raw   string // a literal as it is sent
	text  string // a literal of a path, unescaped
	param string // the name of a placeholder, "*" for the rest
}

// ParseTemplate compiles a text. A text with "://" is a URL of any scheme; any other text is a
// name:
//
//	ftp://files/{user}/{*}?v={version}   a URL: placeholders are segments, parts of segments,
//	                                     or values of the query
//	orders.{region}.created              a name, such as a subject, a topic or a key
//	devices/{id}/state                   a name too, for it has no scheme
//
// The placeholders are those of [Spec].URL. In a URL, a value is percent-encoded for its place, and
// a literal may contain escapes. In a name, every byte of a literal stands for itself, and in a
// value every byte except letters, digits, "-" and "_" is percent-encoded. So the characters that
// separate levels or stand for many, such as the dot, "*", ">", "+" and "#" of message brokers,
// come only from the text. In both, {*} stands for whole segments between slashes.
//
// The error says what is wrong: the text is empty, a URL has no host or has a user or a fragment, a
// brace belongs to no placeholder, or a segment is "." or "..".
func ParseTemplate(text string) (*Template, error) {
	parse := parseName
	if strings.Contains(text, "://") {
		parse = func(s string) (*Template, error) { return parseURL(s) }
	}
	t, err := parse(text)
	if err == nil && t.user != nil {
		err = errors.New("the URL must not have a user or password")
	}
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return t, nil
}

// Params returns the names of the placeholders in their order, each once; "*" is the wildcard rest.
// The step of a leaf needs these params; see [pipe.Step].
func (t *Template) Params() []string { return slices.Clone(t.needs) }

// String returns the text in the form that a plan may show: a URL without the fixed values of its
// query.
func (t *Template) String() string { return t.shown }

// Expand returns the text with the params of the request put in. Each is put in once: a value that
// looks like a placeholder is not expanded again. Expand does not change the request.
//
// A value that is missing, empty, "." or "..", or that contains NUL, CR or LF, is a [*proxy.Error]
// with status 502 and Op "resolve". It is not the client's fault, because a route refuses such
// values earlier. The segments of {*} may be empty.
func (t *Template) Expand(req *proxy.Request) (string, error) {
	if err := t.check(&req.Params); err != nil {
		return "", &proxy.Error{Status: http.StatusBadGateway, Op: "resolve", Err: err}
	}
	var b []byte
	if t.url {
		b = append(b, (&url.URL{Scheme: t.scheme, Host: t.host}).String()...)
	}
	b = t.appendPath(b, &req.Params)
	if len(t.query) > 0 {
		b = t.appendQuery(append(b, '?'), &req.Params)
	}
	return string(b), nil
}

// Why a placeholder does not take a value.
var (
	errMissing = errors.New("no value")
)

// resolve sets scheme, host and path of u to those of the template with the params filled in. It
// fails if a value is missing, or would be more than one plain segment or value. asked is the path
// of the request. If the result equals asked, as in a passthrough, resolve uses that string and
// does not allocate another.
func (t *Template) resolve(u *url.URL, params *proxy.Params, asked string) error {
	if err := t.check(params); err != nil {
		return err
	}
	u.Scheme, u.Host = t.scheme, t.host
	u.Path, u.RawPath = t.resolvePath(params, asked)
	return nil
}

func (t *Template) check(params *proxy.Params) error {
	for _, name := range t.needs {
		if err := checkParam(params, name); err != nil {
			return fmt.Errorf("param %s: %w", name, err)
		}
	}
	return nil
}

func checkParam(params *proxy.Params, name string) error {
	if name == "*" {
		rest := params.Rest()
		if rest == nil {
			return errMissing
		}
		for _, segment := range rest {
			if segment != "" { // an empty segment is allowed; only a named value must not be empty
				if err := field.CheckSegment(segment); err != nil {
					return err
				}
			}
		}
		return nil
	}
	value, ok := params.Lookup(name)
	if !ok {
		return errMissing
	}
	return field.CheckSegment(value)
}

// resolvePath returns the path. raw is its escaped form, if net/url would escape the path in
// another way.
func (t *Template) resolvePath(params *proxy.Params, asked string) (path, raw string) {
	if t.static {
		return t.path[0].text, ""
	}
	var room [256]byte
	b := t.appendPath(room[:0], params)
	if raw = asked; string(b) != asked {
		raw = string(b)
	}
	if isPlain(raw) {
		return raw, ""
	}
	b = b[:0]
	for i := range t.path {
		switch p := &t.path[i]; p.param {
		case "":
			b = append(b, p.text...)
		case "*":
			for j, segment := range params.Rest() {
				if j > 0 {
					b = append(b, '/')
				}
				b = append(b, segment...)
			}
		default:
			b = append(b, params.Get(p.param)...)
		}
	}
	return string(b), raw
}

// appendPath appends the escaped path of a URL, or the name.
func (t *Template) appendPath(b []byte, params *proxy.Params) []byte {
	for i := range t.path {
		switch p := &t.path[i]; p.param {
		case "":
			b = append(b, p.raw...)
		case "*":
			for j, segment := range params.Rest() {
				if j > 0 {
					b = append(b, '/')
				}
				b = t.appendSegment(b, segment)
			}
		default:
			b = t.appendSegment(b, params.Get(p.param))
		}
	}
	return b
}

func (t *Template) appendSegment(b []byte, s string) []byte {
	if t.url {
		return appendSegment(b, s, t.semicolons)
	}
	return appendPlain(b, s)
}

// appendQuery appends the query of the template.
func (t *Template) appendQuery(b []byte, params *proxy.Params) []byte {
	for i := range t.query {
		p := &t.query[i]
		if p.param == "" {
			b = append(b, p.raw...)
		} else {
			b = appendValue(b, params.Get(p.param))
		}
	}
	return b
}

// show sets the text that a plan may show.
func (t *Template) show() {
	var b strings.Builder
	b.WriteString(t.scheme + "://" + t.host)
	for _, p := range t.path {
		b.WriteString(p.shown())
	}
	values := map[int]string{}
	i := 0
	for _, p := range t.query { // find the parameter of each placeholder
		i += strings.Count(p.raw, "&")
		if p.param != "" {
			values[i] += p.shown()
		}
	}
	for i, name := range t.fixed {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(url.QueryEscape(name) + "=")
		if v := values[i]; v != "" {
			b.WriteString(v)
		} else {
			b.WriteString("…")
		}
	}
	t.shown = b.String()
}

func (p *piece) shown() string {
	if p.param == "" {
		return p.raw
	}
	return "{" + p.param + "}"
}
