package backend

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
)

// The faults of a text that is not a template.
var (
	errNoText     = errors.New("it is empty")
	errClosing    = errors.New("a closing brace closes nothing; a literal one is written %7D")
	errOpening    = errors.New("an opening brace is not closed in its place; a literal one is written %7B")
	errPartOfRest = errors.New("{*} stands for whole segments: write /{*}")
	errHost       = errors.New("the host takes no placeholder: a request must not pick the upstream; choose between upstreams in code")
	errDotSegment = errors.New(`a segment is "." or ".."`)
)

// parseURL compiles a URL. Its scheme must be one of schemes, if any are given.
func parseURL(s string, schemes ...string) (*Template, error) {
	if s == "" {
		return nil, errNoText
	}
	if host, _, _ := strings.Cut(s[strings.Index(s, "://")+1:], "?"); strings.HasPrefix(host, "//") {
		host, _, _ = strings.Cut(host[2:], "/")
		if strings.ContainsAny(host, "{}") {
			return nil, errHost
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may hold a password
		}
		return nil, err
	}
	t := &Template{url: true, scheme: u.Scheme, host: u.Host, user: u.User}
	if err := checkAddress(u, s, schemes); err != nil {
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

// rawPath returns the path of a URL as it was written. net/url has parsed the URL before.
func rawPath(s string) string {
	_, s, _ = strings.Cut(s, "://")
	s, _, _ = strings.Cut(s, "?")
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[i:]
	}
	return ""
}

func checkAddress(u *url.URL, s string, schemes []string) error {
	switch {
	case len(schemes) > 0 && !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("the scheme is %q, want %s", u.Scheme, strings.Join(schemes, " or "))
	case u.Opaque != "" || u.Hostname() == "":
		return errors.New("there is no host, want http://host:port/path")
	case strings.ContainsRune(s, '#'):
		return errors.New("a fragment does not reach an upstream")
	case !isHost(u.Host):
		return fmt.Errorf("%q is not a host", u.Host)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port is %q, want 1 to 65535", port)
		}
	}
	return nil
}

func (t *Template) parsePath(path string) error {
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
				return errPartOfRest
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
			return errDotSegment
		}
	}
	return nil
}

// parseName compiles a text that is not a URL. Every byte of a literal stands for itself.
func parseName(s string) (*Template, error) {
	if s == "" {
		return nil, errNoText
	}
	if !field.IsValue(s) {
		return nil, errors.New("it has a control byte")
	}
	t := &Template{shown: s}
	for i, segment := range strings.Split(s, "/") {
		if i > 0 {
			t.literal("/", "/")
		}
		for rest := segment; rest != ""; {
			literal, name, after, err := cutPlaceholder(rest)
			switch {
			case errors.Is(err, errClosing), errors.Is(err, errOpening):
				return nil, errors.New("a brace is not part of a placeholder")
			case err != nil:
				return nil, err
			case name == "*" && segment != "{*}":
				return nil, errPartOfRest
			}
			t.literal(literal, literal)
			if name != "" {
				t.path = append(t.path, piece{param: name})
				t.need(name)
			}
			rest = after
		}
		if segment == "." || segment == ".." {
			return nil, errDotSegment
		}
	}
	return t, nil
}

// literal appends to the last literal of the path, or begins one.
func (t *Template) literal(raw, text string) {
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

func (t *Template) parseQuery(query string) error {
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

func (t *Template) need(name string) {
	if !slices.Contains(t.needs, name) {
		t.needs = append(t.needs, name)
	}
}

// cutPlaceholder splits s around its first placeholder. If there is none, name is "".
func cutPlaceholder(s string) (literal, name, after string, err error) {
	open := strings.IndexAny(s, "{}")
	if open < 0 {
		return s, "", "", nil
	}
	if s[open] == '}' {
		return "", "", "", errClosing
	}
	length := strings.IndexByte(s[open:], '}')
	if length < 0 {
		return "", "", "", errOpening
	}
	name = s[open+1 : open+length]
	if name != "*" && !call.IsParam(name) {
		return "", "", "", fmt.Errorf("%q is not the name of a placeholder", name)
	}
	return s[:open], name, s[open+length+1:], nil
}

// escapeControls escapes the bytes that must not stand in a query, and leaves the others unchanged.
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
