package shape

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

var (
	// ErrTemplate is why a template of [Body] is refused: it is not JSON, or has an invalid
	// placeholder.
	ErrTemplate = errors.New("invalid template")

	// ErrNoValue says that a placeholder of [Body] has no value in this request.
	ErrNoValue = errors.New("no value")
)

// Body returns a decorator that makes the JSON body of every request for next from a template. The
// template is a JSON text whose strings may have placeholders:
//
//	shape.Body(`{
//		"user":  "{param.id}",
//		"page":  "{query.page?}",
//		"note":  "by {body.user.name}",
//		"items": "{body.items}"
//	}`)
//
// The placeholders are
//
//	{param.id}        the param id of the route
//	{query.page}      the first value of page in the query
//	{body.user.name}  the value at that path of the request's own JSON body
//	{body}            all of that body
//
// Paths are those of [document.ParsePath].
//
// If a string consists of one placeholder, the value takes its place. A value of the body is copied
// as it is, whatever its kind, with every digit. A param or a value of the query becomes a string.
// If a placeholder is part of a longer string, the text of the value is inserted. Arrays, objects
// and null have no text. Values are encoded when they are inserted, and are never parsed: a quote,
// a brace or a placeholder in a value is plain text.
//
// If a value is missing, the call fails before next is called. The error is a [*proxy.Error] that
// wraps [ErrNoValue], of status 400, or 502 for a param. A placeholder with a question mark, as in
// {query.page?}, may lack its value: the member or element is then left out, and in a longer string
// nothing is inserted. If the template as a whole is left out, the body is empty.
//
// Any other brace in a string stands for itself, so GraphQL needs no escapes. A brace after a
// backslash always stands for itself: in JSON, "\\{body}" means {body}. But an opening brace
// followed by a word and a dot, or a string that is one word in braces, must be a valid
// placeholder. Member names cannot have placeholders. If a template has mistakes, that is a fault
// in the plan, which joins all of them and wraps [ErrTemplate].
//
// A template may use a value several times. If the body becomes larger than the template by more
// than 8 MiB, the error, of status 400, wraps [document.ErrSize]; see [Limits].
//
// The new body has the content type application/json; [proxy.Request.SetBody] says which headers of
// the old body are removed. Only a template with {body} reads the old body, as [Request] does and
// with the same errors. A param or query value that is not UTF-8 is an error of status 400 that
// wraps [document.ErrEncoding]. A value that would be nested too deep is one that wraps
// [document.ErrDepth]. In the plan, the step needs the params that must not be missing.
func Body(template string) proxy.Decorator { return body(Limits{}, template) }

func body(l Limits, template string) proxy.Decorator {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "body", Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.WritesRequest}
	t, holders, errs := parseTemplate(template)
	if errs != nil {
		return broken(step, errs...)
	}
	reads := false
	var details []string
	for _, h := range holders {
		details = append(details, h.String())
		reads = reads || h.source == fromBody
		if h.source == fromParam && !h.optional {
			step.Needs = append(step.Needs, h.name)
		}
	}
	step.Detail = strings.Join(details, ", ")
	if reads {
		step.Effects |= pipe.Buffers | pipe.NeedsReplay
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		bound := call.NewBound(0)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			in := values{work: document.Work{Context: ctx}, req: req, most: max(l.bytes(), l.bytes()+len(template))} // the sum may overflow
			if reads {
				var err error
				if in.body, err = documentOf(ctx, bound, req); err != nil {
					return nil, &opError{op: "body", err: err}
				}
			}
			b, there, err := t.render(make([]byte, 0, len(template)+in.body.Size()), &in)
			if err != nil {
				return nil, err
			}
			if there {
				req.SetBody("application/json", b)
			} else {
				req.SetBody("", nil)
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// values has what placeholders stand for.
type values struct {
	work document.Work
	req  *proxy.Request
	body document.Document
	most int // that the new body may become
}

// A node is a value of a template.
type node struct {
	kind  document.Kind
	fixed []byte       // the JSON text, if there is no placeholder inside; the only field needed then
	name  []byte       // of a member, with quotes and colon
	inner []*node      // of an object or array: its members or elements
	text  []piece      // of a string
	value *placeholder // of a string that consists of one placeholder
	level int          // how many arrays and objects are around it
}

// A piece is a part of a string: plain text or a placeholder.
type piece struct {
	plain string
	value *placeholder
}

// render appends the JSON text of a node. It reports false if the node is left out.
func (n *node) render(dst []byte, in *values) ([]byte, bool, error) {
	switch {
	case n.fixed != nil:
		return append(dst, n.fixed...), true, nil
	case n.value != nil:
		return n.value.render(dst, in, n.level)
	case n.kind == document.String:
		var text strings.Builder
		for _, p := range n.text {
			text.WriteString(p.plain)
			if p.value == nil {
				continue
			}
			s, err := p.value.say(in)
			if err == nil && len(dst)+text.Len()+len(s) > in.most {
				err = p.value.fail(http.StatusBadRequest, document.ErrSize)
			}
			if err != nil {
				return nil, false, err
			}
			text.WriteString(s)
		}
		return appendString(dst, text.String()), true, nil
	}
	brackets := "[]"
	if n.kind == document.Object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	first := len(dst)
	for _, c := range n.inner {
		start := len(dst)
		if start > first {
			dst = append(dst, ',')
		}
		made, there, err := c.render(append(dst, c.name...), in)
		if err != nil {
			return nil, false, err
		}
		if dst = made; !there {
			dst = dst[:start]
		}
	}
	return append(dst, brackets[1]), true, nil
}

// A placeholder names a value of a request.
type placeholder struct {
	source   string
	name     string        // of the param, or in the query
	path     document.Path // in the body
	optional bool
}

const (
	fromParam = "param"
	fromQuery = "query"
	fromBody  = "body"
)

// String returns the text between the braces.
func (p *placeholder) String() string {
	text := p.source
	if name := p.name + p.path.String(); name != "" {
		text += "." + name
	}
	if p.optional {
		text += "?"
	}
	return text
}

// find returns the value: a document for a placeholder of the body, otherwise a text.
func (p *placeholder) find(in *values) (text string, d document.Document, found bool, err error) {
	switch p.source {
	case fromParam:
		text, found = in.req.Params.Lookup(p.name)
	case fromQuery:
		if list := in.req.Query[p.name]; len(list) > 0 {
			text, found = list[0], true
		}
	default:
		d, err = in.work.Get(in.body, p.path)
		found = !d.IsZero()
	}
	return text, d, found, err
}

// render appends the value as JSON.
func (p *placeholder) render(dst []byte, in *values, level int) ([]byte, bool, error) {
	text, d, found, err := p.find(in)
	switch {
	case err != nil:
		return nil, false, &opError{op: "body", err: err}
	case !found && p.optional:
		return dst, false, nil
	case !found:
		return nil, false, p.missing()
	case len(dst)+max(d.Size(), len(text)) > in.most:
		return nil, false, p.fail(http.StatusBadRequest, document.ErrSize)
	// The size is a cheap first check: each level takes two bytes.
	case level+d.Size()/2 > document.DefaultDepth && level+d.Depth() > document.DefaultDepth:
		return nil, false, p.fail(http.StatusBadRequest, document.ErrDepth)
	case !d.IsZero():
		return d.AppendJSON(dst), true, nil
	case !utf8.ValidString(text):
		return nil, false, p.fail(http.StatusBadRequest, document.ErrEncoding)
	}
	return appendString(dst, text), true, nil
}

// say returns the value as text.
func (p *placeholder) say(in *values) (string, error) {
	text, d, found, err := p.find(in)
	if err != nil {
		return "", &opError{op: "body", err: err}
	}
	if !d.IsZero() && d.Kind() != document.Null {
		var scalar bool
		if text, scalar = d.Text(); !scalar {
			return "", p.fail(http.StatusBadRequest, fmt.Errorf("%w: an %s has no text", ErrNoValue, d.Kind()))
		}
		return text, nil
	}
	switch {
	case (!found || d.Kind() == document.Null) && p.optional:
		return "", nil
	case !found || d.Kind() == document.Null:
		return "", p.missing()
	case !utf8.ValidString(text):
		return "", p.fail(http.StatusBadRequest, document.ErrEncoding)
	}
	return text, nil
}

func (p *placeholder) missing() error {
	if p.source == fromParam {
		return p.fail(http.StatusBadGateway, ErrNoValue) // not the client's fault: the router sets the params of its route
	}
	return p.fail(http.StatusBadRequest, ErrNoValue)
}

func (p *placeholder) fail(status int, err error) error {
	return &proxy.Error{Status: status, Op: "shape: body: {" + p.String() + "}", Err: err}
}

// parseTemplate returns the root of a template and its placeholders, each once and in their order,
// or all its mistakes.
func parseTemplate(text string) (*node, []*placeholder, []error) {
	d, err := document.Parse([]byte(text))
	if err != nil {
		return nil, nil, []error{fmt.Errorf("%w: %w", ErrTemplate, err)}
	}
	var p templateParser
	root := p.value(d, 0)
	return root, p.holders, p.errs
}

type templateParser struct {
	holders []*placeholder
	errs    []error
}

// value returns the node of a value.
func (p *templateParser) value(d document.Document, level int) *node {
	n := &node{kind: d.Kind(), level: level}
	fixed := true
	switch n.kind {
	case document.String:
		text, _ := d.Text()
		n.text = p.text(text)
		for _, piece := range n.text {
			fixed = fixed && piece.value == nil
		}
		switch {
		case fixed:
			n.fixed = appendString(nil, join(n.text))
		case len(n.text) == 1:
			n.value = n.text[0].value
		}
		return n
	case document.Object:
		for name, v := range d.Members() {
			pieces := p.text(name)
			for _, piece := range pieces {
				if piece.value != nil {
					p.fault("the member name %q has a placeholder", name)
				}
			}
			c := p.value(v, level+1)
			c.name = append(appendString(nil, join(pieces)), ':')
			n.inner, fixed = append(n.inner, c), fixed && c.fixed != nil
		}
	case document.Array:
		for _, v := range d.Elements() {
			c := p.value(v, level+1)
			n.inner, fixed = append(n.inner, c), fixed && c.fixed != nil
		}
	}
	if fixed && len(n.inner) == 0 {
		n.fixed = d.AppendJSON(nil)
	} else if fixed {
		n.fixed, _, _ = n.render(nil, nil) // without the backslashes before braces
	}
	return n
}

func (p *templateParser) fault(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%w: "+format, append([]any{ErrTemplate}, args...)...))
}

// text splits a string into plain text and placeholders.
func (p *templateParser) text(s string) []piece {
	var pieces []piece
	var plain strings.Builder
	whole := s
	for s != "" {
		i := strings.IndexByte(s, '{')
		if i < 0 {
			break
		}
		if i > 0 && s[i-1] == '\\' {
			plain.WriteString(s[:i-1] + "{")
			s = s[i+1:]
			continue
		}
		plain.WriteString(s[:i])
		inner, rest, closed := strings.Cut(s[i+1:], "}")
		if !looksLikePlaceholder(inner, i == 0 && rest == "" && len(s) == len(whole) && closed) {
			plain.WriteByte('{')
			s = s[i+1:]
			continue
		}
		if !closed {
			p.fault("{%s is not closed", inner)
			break
		}
		h, err := parsePlaceholder(inner)
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("%w: {%s}: %w", ErrTemplate, inner, err))
		} else {
			if plain.Len() > 0 {
				pieces = append(pieces, piece{plain: plain.String()})
				plain.Reset()
			}
			pieces = append(pieces, piece{value: p.once(h)})
		}
		s = rest
	}
	if plain.WriteString(s); plain.Len() > 0 {
		pieces = append(pieces, piece{plain: plain.String()})
	}
	return pieces
}

// looksLikePlaceholder reports whether the text after an opening brace is meant as a placeholder.
// whole says that the string has nothing outside the braces.
func looksLikePlaceholder(inner string, whole bool) bool {
	n := 0
	for n < len(inner) && ('a' <= inner[n]|0x20 && inner[n]|0x20 <= 'z') {
		n++
	}
	rest := inner[n:]
	return n > 0 && (strings.HasPrefix(rest, ".") || (rest == "" || rest == "?") && (whole || inner[:n] == fromBody))
}

var errPlaceholder = errors.New("a placeholder begins with param., query. or body")

func parsePlaceholder(inner string) (*placeholder, error) {
	text, optional := strings.CutSuffix(inner, "?")
	source, name, dotted := strings.Cut(text, ".")
	h := &placeholder{source: source, optional: optional}
	var err error
	switch {
	case source == fromBody && !dotted:
	case source == fromBody:
		h.path, err = document.ParsePath(name)
	case source != fromParam && source != fromQuery || !dotted:
		err = errPlaceholder
	case name == "":
		err = errNoName
	default:
		h.name = name
	}
	return h, err
}

// once returns an earlier placeholder with the same text, or else h.
func (p *templateParser) once(h *placeholder) *placeholder {
	for _, other := range p.holders {
		if other.String() == h.String() {
			return other
		}
	}
	p.holders = append(p.holders, h)
	return h
}

func join(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.plain)
	}
	return b.String()
}
