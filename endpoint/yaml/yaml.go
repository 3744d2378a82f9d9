// Package yaml answers in YAML where a client asks for it.
//
//	endpoint.New(endpoint.Spec{Proxy: page, Encode: []endpoint.Encoder{endpoint.JSON, yaml.Encoder{}}})
//
// # How a document is written
//
// One document of YAML 1.2 that a reader of YAML 1.1 understands in the same way, in block style,
// two columns for a level:
//
//	{"user": {"name": "Ada", "tags": ["a", "yes"],      user:
//	 "age": 36, "seen": null, "more": {}}}                name: Ada
//	                                                      tags:
//	                                                        - a
//	                                                        - "yes"
//	                                                      age: 36
//	                                                      seen: null
//	                                                      more: {}
//
// Members keep their order and numbers their digits. A string stands in quotes unless it consists
// of ASCII letters, digits and a few harmless characters and cannot be taken for anything else;
// names likewise. From the 16th level on arrays and objects are in flow style, as in JSON, so that
// what is nested deep does not grow by its indentation.
//
// YAML has no place for a name twice. Of equal names the last member counts, as ever, at its own
// place.
package yaml

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/document"
)

const (
	maxSize   = 32 << 20 // of what is written, unless that is less than four times the JSON
	maxDepth  = 10_000   // each is a level of recursion
	maxBlock  = 16       // levels in block style
	maxSimple = 1024     // characters of a key without "? " before it (YAML 1.2.2, section 7.4.2)
)

var (
	errSize  = errors.New("yaml: the body is too large")
	errDepth = errors.New("yaml: nested too deep")
)

// An Encoder is an endpoint.Encoder: YAML as application/yaml (RFC 9512), or as application/x-yaml,
// text/yaml or text/x-yaml where the client knows it by that name. It writes any document, up to
// 10,000 levels, and to 32 MiB or, if that is more, four times the size of the JSON. It is safe for
// concurrent use.
type Encoder struct{}

// ContentTypes returns the media types of YAML.
func (Encoder) ContentTypes() []string {
	return []string{"application/yaml", "application/x-yaml", "text/yaml; charset=utf-8", "text/x-yaml; charset=utf-8"}
}

// String returns "yaml".
func (Encoder) String() string { return "yaml" }

// Mark says that the encoder is sluice's own, so that it gets a buffer that is used again.
func (Encoder) Mark() mark.Type { return mark.TypeOf[Encoder]() }

// Encode appends the document.
func (e Encoder) Encode(dst []byte, d document.Document) ([]byte, error) {
	return e.EncodeContext(context.Background(), dst, d)
}

// EncodeContext is Encode with a context; see endpoint.ContextEncoder.
func (Encoder) EncodeContext(ctx context.Context, dst []byte, d document.Document) ([]byte, error) {
	w := &writer{ctx: ctx, dst: dst, most: len(dst) + max(maxSize, 4*d.Size())}
	root, err := document.Work{Context: ctx}.Cursor(d)
	if err != nil {
		return dst, err
	}
	if root.IsEmpty() {
		w.flow(root, 0)
		w.dst = append(w.dst, '\n')
	} else {
		w.block(root, 0)
	}
	if w.err == nil && len(w.dst) > w.most {
		w.err = errSize
	}
	return w.dst, w.err
}

type writer struct {
	ctx   context.Context
	steps int // how many members, elements and escapes there were
	dst   []byte
	most  int // that dst may become
	err   error
}

// ticks is how many steps pass between two looks at the context.
const ticks = 1 << 10

// step counts a step, and now and then looks at the context.
func (w *writer) step() {
	if w.steps++; w.steps%ticks == 0 && w.err == nil {
		w.err = w.ctx.Err()
	}
}

// block writes an array or object that is not empty, of which the first line is indented already.
func (w *writer) block(c document.Cursor, level int) {
	first := true
	for _, element := range c.Elements() {
		if !w.line(first, level) {
			return
		}
		first = false
		w.dst = append(w.dst, '-')
		w.value(element, level, true)
	}
	again := w.repeated(c)
	for name, value := range c.Members() {
		if again[name] > 1 {
			again[name]--
			continue
		}
		if !w.line(first, level) {
			return
		}
		first = false
		w.value(value, level, w.key(name, level))
	}
}

// line begins the line of a member or element, and reports whether to go on.
func (w *writer) line(first bool, level int) bool {
	w.step()
	if len(w.dst) > w.most {
		w.err = errSize
	}
	if !first {
		w.indent(level)
	}
	return w.err == nil
}

// value writes what follows the dash or the key of a line. What is in block style begins on the
// line if that is of an element or has an explicit key: "- - a" and "- b: c".
func (w *writer) value(c document.Cursor, level int, here bool) {
	switch {
	case c.IsEmpty() || level+1 >= maxBlock:
		w.dst = append(w.dst, ' ')
		w.flow(c, level+1)
		w.dst = append(w.dst, '\n')
	case here:
		w.dst = append(w.dst, ' ')
		w.block(c, level+1)
	default:
		w.dst = append(w.dst, '\n')
		w.indent(level + 1)
		w.block(c, level+1)
	}
}

// key writes a name with what follows it, and reports whether it is too long for the plain form.
func (w *writer) key(name string, level int) (explicit bool) {
	from := len(w.dst)
	w.text(name)
	if len(w.dst)-from <= maxSimple {
		w.dst = append(w.dst, ':')
		return false
	}
	w.dst = append(w.dst, "  "...)
	copy(w.dst[from+2:], w.dst[from:])
	copy(w.dst[from:], "? ")
	w.dst = append(w.dst, '\n')
	w.indent(level)
	w.dst = append(w.dst, ':')
	return true
}

// repeated counts how often each name is in an object, and returns nil if none is there twice.
func (w *writer) repeated(c document.Cursor) map[string]int {
	var room [8]string
	names := room[:0] // of a small object
	var counts map[string]int
	twice := false
	for name := range c.Members() {
		if w.step(); w.err != nil {
			return nil
		}
		if counts == nil && len(names) == cap(names) {
			counts = make(map[string]int, 4*len(names))
			for _, n := range names {
				counts[n]++
			}
		}
		if counts != nil {
			counts[name]++
			twice = twice || counts[name] > 1
			continue
		}
		for _, n := range names {
			twice = twice || n == name
		}
		names = append(names, name)
	}
	if !twice {
		return nil
	}
	if counts == nil {
		counts = make(map[string]int, len(names))
		for _, n := range names {
			counts[n]++
		}
	}
	return counts
}

func (w *writer) indent(level int) {
	for range level {
		w.dst = append(w.dst, ' ', ' ')
	}
}

// flow writes a value in one line.
func (w *writer) flow(c document.Cursor, level int) {
	w.step()
	switch {
	case level > maxDepth:
		w.err = errDepth
	case len(w.dst) > w.most:
		w.err = errSize
	}
	if w.err != nil {
		return
	}
	switch c.Kind() {
	case document.String:
		text, _ := c.Text()
		w.text(text)
	case document.Array:
		w.dst = append(w.dst, '[')
		for i, element := range c.Elements() {
			if i > 0 {
				w.dst = append(w.dst, ", "...)
			}
			if w.flow(element, level+1); w.err != nil {
				return
			}
		}
		w.dst = append(w.dst, ']')
	case document.Object:
		w.dst = append(w.dst, '{')
		again, first := w.repeated(c), true
		for name, value := range c.Members() {
			if again[name] > 1 {
				again[name]--
				continue
			}
			if !first {
				w.dst = append(w.dst, ", "...)
			}
			first = false
			if len(name) > maxSimple/6 { // in quotes it may be six times as long
				w.dst = append(w.dst, "? "...)
			}
			w.text(name)
			w.dst = append(w.dst, ": "...)
			if w.flow(value, level+1); w.err != nil {
				return
			}
		}
		w.dst = append(w.dst, '}')
	default:
		w.dst = c.AppendJSON(w.dst)
	}
}

// text writes a string, in double quotes where it needs them.
func (w *writer) text(s string) {
	if isPlain(s) {
		w.dst = append(w.dst, s...)
		return
	}
	dst := append(w.dst, '"')
	from := 0
	for i, r := range s {
		switch {
		case r == '"', r == '\\':
			dst = append(append(dst, s[from:i]...), '\\', byte(r))
		case r == '\n':
			dst = append(append(dst, s[from:i]...), '\\', 'n')
		case r < ' ', r >= 0x7f && r <= 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			dst = fmt.Appendf(append(dst, s[from:i]...), `\u%04x`, r)
		default:
			continue
		}
		from = i + utf8.RuneLen(r)
		if w.step(); w.err != nil {
			return
		}
	}
	w.dst = append(append(dst, s[from:]...), '"')
}

// isPlain reports whether a string can stand without quotes, in block and flow style and by every
// version of YAML.
func isPlain(s string) bool {
	if s == "" || len(s) > 80 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case i == 0: // a number, a date, an indicator
			return false
		case '0' <= c && c <= '9', c == '-', c == '.', c == '/', c == '@', c == '+':
		case c == ' ' && i+1 < len(s):
		default:
			return false
		}
	}
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}
