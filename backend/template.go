package backend

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A template is an upstream's URL, compiled: what is fixed stands there escaped, and what a param fills is escaped by
// its place. Foreign bytes therefore never add a segment or a parameter.
type template struct {
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

// The values that no placeholder takes.
var (
	errMissing = errors.New("no value")
	errEmpty   = errors.New("the value is empty")
	errDots    = errors.New("the value is one dot or two")
	errControl = errors.New("the value holds NUL, CR or LF")
)

func parseTemplate(s string) (*template, error) {
	if s == "" {
		return nil, errors.New("there is none")
	}
	u, err := url.Parse(s)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	t := &template{scheme: u.Scheme, host: u.Host, user: u.User}
	if err := t.checkAddress(u, s); err != nil {
		return nil, err
	}
	if err := t.parsePath(rawPath(s)); err != nil {
		return nil, err
	}
	if err := t.parseQuery(u.RawQuery); err != nil {
		return nil, err
	}
	t.static = len(t.path) == 1 && t.path[0].param == "" && isPlain(t.path[0].raw)
	t.show()
	return t, nil
}

// rawPath returns the path of a URL that net/url has parsed, as it was written.
func rawPath(s string) string {
	_, s, _ = strings.Cut(s, "://")
	s, _, _ = strings.Cut(s, "?")
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[i:]
	}
	return ""
}

func (t *template) checkAddress(u *url.URL, s string) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme is %q, want http or https", u.Scheme)
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("there is no host, want http://host:port/path")
	case strings.ContainsRune(s, '#'):
		return errors.New("a fragment does not reach an upstream")
	case !isHost(u.Host):
		return fmt.Errorf("%q is not a host; it takes no placeholder", u.Host)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port is %q, want 1 to 65535", port)
		}
	}
	return nil
}

func (t *template) parsePath(path string) error {
	if path == "" {
		path = "/"
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		t.literal("/", "/")
		rest, dots := segment, true
		for rest != "" {
			literal, name, after, err := cutPlaceholder(rest)
			if err != nil {
				return err
			}
			if name == "*" && segment != "{*}" {
				return errors.New("{*} stands for whole segments: write /{*}")
			}
			text, err := url.PathUnescape(literal)
			if err != nil {
				return err
			}
			t.literal((&url.URL{Path: "/" + text, RawPath: "/" + literal}).EscapedPath()[1:], text)
			if name != "" {
				dots = false
				t.path = append(t.path, piece{param: name})
				t.need(name)
			}
			rest = after
		}
		if text, _ := url.PathUnescape(segment); dots && (text == "." || text == "..") {
			return errors.New("a segment is a dot or two dots")
		}
	}
	return nil
}

// literal appends to the last literal of the path.
func (t *template) literal(raw, text string) {
	if raw == "" {
		return
	}
	if n := len(t.path); n > 0 && t.path[n-1].param == "" {
		t.path[n-1].raw += raw
		t.path[n-1].text += text
		return
	}
	t.path = append(t.path, piece{raw: raw, text: text})
}

func (t *template) parseQuery(query string) error {
	if query == "" {
		return nil
	}
	fixed := ""
	for i, pair := range strings.Split(query, "&") {
		if i > 0 {
			fixed += "&"
		}
		name, value, found := strings.Cut(pair, "=")
		if strings.ContainsAny(name, "{}") {
			return errors.New("the name of a query parameter takes no placeholder")
		}
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(pair, ";") {
			return errors.New("the query is not well-formed")
		}
		if pair != "" {
			t.fixed = append(t.fixed, plain)
		}
		fixed += escapeControls(name)
		if found {
			fixed += "="
		}
		for value != "" {
			literal, placeholder, after, err := cutPlaceholder(value)
			if err != nil {
				return err
			}
			if _, err := url.QueryUnescape(literal); err != nil {
				return errors.New("the query is not well-formed")
			}
			if placeholder == "*" {
				return errors.New("{*} stands for segments of a path, not in a query")
			}
			fixed += escapeControls(literal)
			if placeholder != "" {
				t.query = append(t.query, piece{raw: fixed}, piece{param: placeholder})
				t.need(placeholder)
				fixed = ""
			}
			value = after
		}
	}
	if fixed != "" {
		t.query = append(t.query, piece{raw: fixed})
	}
	return nil
}

func (t *template) need(name string) {
	if !slices.Contains(t.needs, name) {
		t.needs = append(t.needs, name)
	}
}

// cutPlaceholder splits s around its first placeholder; name is "" where there is none.
func cutPlaceholder(s string) (literal, name, after string, err error) {
	open := strings.IndexAny(s, "{}")
	if open < 0 {
		return s, "", "", nil
	}
	if s[open] == '}' {
		return "", "", "", errors.New("a closing brace closes nothing; a literal one is written %7D")
	}
	length := strings.IndexByte(s[open:], '}')
	if length < 0 {
		return "", "", "", errors.New("an opening brace is not closed in its place; a literal one is written %7B")
	}
	name = s[open+1 : open+length]
	if name != "*" && !isName(name) {
		return "", "", "", fmt.Errorf("%q is not the name of a placeholder", name)
	}
	return s[:open], name, s[open+length+1:], nil
}

// escapeControls escapes what may not stand in a query at all and leaves the rest as it was written.
func escapeControls(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			b = appendHex(b, c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// show writes the template as a plan may show it.
func (t *template) show() {
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

// resolve sets path and query of u to the template's with the params filled in. It reports what no upstream may get: a
// value that is missing, or that would be more than one plain segment or value. asked is the path of the request: where the
// result is the same, as in a passthrough, it is that string.
func (t *template) resolve(u *url.URL, params *proxy.Params, asked string) error {
	for _, name := range t.needs {
		if err := checkParam(params, name); err != nil {
			return fmt.Errorf("param %s: %w", name, err)
		}
	}
	u.Scheme, u.Host = t.scheme, t.host
	u.Path, u.RawPath = t.resolvePath(params, asked)
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

// resolvePath returns the path and, where the escaped form is not the one that net/url would choose, its escaped form.
func (t *template) resolvePath(params *proxy.Params, asked string) (path, raw string) {
	if t.static {
		return t.path[0].text, ""
	}
	var room [256]byte
	b := room[:0]
	for i := range t.path {
		switch p := &t.path[i]; p.param {
		case "":
			b = append(b, p.raw...)
		case "*":
			for j, segment := range params.Rest() {
				if j > 0 {
					b = append(b, '/')
				}
				b = appendSegment(b, segment)
			}
		default:
			b = appendSegment(b, params.Get(p.param))
		}
	}
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

// appendQuery appends the query of the template.
func (t *template) appendQuery(b []byte, params *proxy.Params) []byte {
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
