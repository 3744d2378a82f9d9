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

// A Template is a text with placeholders for params of the request, compiled, for a leaf of one's
// own: an address, a topic, a key. It is what [Spec].URL is to an upstream of [HTTP]. What a param
// fills is escaped by its place, so foreign bytes never add a segment, a parameter or a level. It
// is safe for concurrent use.
type Template struct {
	url          bool // else a name, all of which is in path
	scheme, host string
	user         *url.Userinfo
	path         []piece
	static       bool // path is one literal that needs no escape
	query        []piece
	fixed        []string // names of the query's parameters
	needs        []string // names of the placeholders, in order, each once; "*" for the rest
	shown        string   // for the plan: no user, no fixed values of the query
}

// A piece is a literal, or what a placeholder stands for.
type piece struct {
	raw   string // a literal as it goes on the wire
	text  string // a literal of a path, unescaped
	param string // the name of a placeholder, "*" for the rest
}

// ParseTemplate compiles a text that is a URL of any scheme, or else a name:
//
//	ftp://files/{user}/{*}?v={version}   a URL: placeholders are segments, parts of one, or values of the query
//	orders.{region}.created              a name, as of a subject, topic or key
//	devices/{id}/state                   so is what has no scheme
//
// The placeholders are those of [Spec].URL. In a URL a value is percent-encoded for its place, and
// a literal may hold escapes itself. In a name a literal is every byte as it is, and of a value all
// but letters, digits, "-" and "_" is percent-encoded, so that whatever separates levels or stands
// for many of them, as the dot, "*", ">", "+" and "#" of brokers, is only in the text. {*} stands
// for whole segments between slashes in both.
//
// The error says what is wrong: an empty text, a URL without a host or with a user or fragment, a
// brace that belongs to no placeholder, a segment that is "." or "..".
func ParseTemplate(text string) (*Template, error) {
	parse := parseName
	if strings.Contains(text, "://") {
		parse = func(s string) (*Template, error) { return parseURL(s) }
	}
	t, err := parse(text)
	if err == nil && t.user != nil {
		err = errors.New("user and password have no place in it")
	}
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	return t, nil
}

// Params returns the names of the placeholders in their order, each once; "*" is the wildcard rest.
// They are what the step of a leaf needs, see [pipe.Step].
func (t *Template) Params() []string { return slices.Clone(t.needs) }

// String returns the text as a plan may show it: of a URL without the fixed values of its query.
func (t *Template) String() string { return t.shown }

// Expand returns the text with the params of the request put in, each once: what looks like a
// placeholder in a value is text. It does not change the request.
//
// A value that is missing, empty, "." or "..", or that holds NUL, CR or LF, is a [*proxy.Error] of
// status 502 and Op "resolve". It is not the client's fault: a route refuses such values before. In
// {*} a segment may be empty.
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

// The values that no placeholder takes.
var (
	errMissing = errors.New("no value")
	errEmpty   = errors.New("the value is empty")
	errDots    = errors.New("the value is one dot or two")
	errControl = errors.New("the value holds NUL, CR or LF")
)

// resolve sets path and query of u to the template's with the params filled in. It reports what no
// upstream may get: a value that is missing, or that would be more than one plain segment or value.
// asked is the path of the request: where the result is the same, as in a passthrough, it is that
// string.
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
			if segment != "" { // kept: only a named value may not be empty
				if err := checkValue(segment); err != nil {
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
	return checkValue(value)
}

func checkValue(s string) error {
	switch {
	case s == "":
		return errEmpty
	case field.ValidSegment(s):
		return nil
	case s == "." || s == "..":
		return errDots
	}
	return errControl
}

// resolvePath returns the path and, where the escaped form is not the one that net/url would
// choose, its escaped form.
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

// appendPath appends the escaped path of the template, or the name.
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
		return appendSegment(b, s)
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

// show writes the template as a plan may show it.
func (t *Template) show() {
	var b strings.Builder
	b.WriteString(t.scheme + "://" + t.host)
	for _, p := range t.path {
		b.WriteString(p.shown())
	}
	values := map[int]string{}
	i := 0
	for _, p := range t.query { // which parameter does a placeholder stand in?
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
