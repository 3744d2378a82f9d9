// Package yaml answers in YAML where a client asks for it.
//
//	endpoint.New(endpoint.Spec{Proxy: page, Encode: []endpoint.Encoder{endpoint.JSON, yaml.Encoder{}}})
//
// # How a document is written
//
// One document of YAML 1.2 that a reader of YAML 1.1 understands in the same way, in block style, two columns for a level:
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
// Members keep their order and numbers their digits. A string stands in quotes unless it consists of ASCII letters, digits
// and a few harmless characters and cannot be taken for anything else; names likewise. From the 16th level on arrays and
// objects are in flow style, as in JSON, so that what is nested deep does not grow by its indentation.
//
// YAML has no place for a name twice. Of equal names the last member counts, as ever, at its own place.
package yaml

import (
	"encoding/json"
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

// An Encoder is an endpoint.Encoder: YAML as application/yaml (RFC 9512), or as application/x-yaml, text/yaml or
// text/x-yaml where the client knows it by that name. It writes any document, up to 10,000 levels, and to 32 MiB or, if that
// is more, four times the size of the JSON. It is safe for concurrent use.
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
func (Encoder) Encode(dst []byte, d document.Document) ([]byte, error) {
	w := &writer{b: d.AppendJSON(make([]byte, 0, d.Size())), dst: dst, most: len(dst) + max(maxSize, 4*d.Size())}
	w.index()
	w.root()
	if w.err == nil && len(w.dst) > w.most {
		w.err = errSize
	}
	return w.dst, w.err
}

// A writer reads valid JSON and writes YAML. To tell a name that comes again an object is read twice, so the ends of arrays
// and objects are known: else what is nested deep would be read for each level.
type writer struct {
	b    []byte
	ends []end // of arrays and objects, in the order in which they begin
	pos  int
	next int // the first of ends that begins at pos or behind

	dst  []byte
	most int
	err  error
}

type end struct{ pos, next int }

func (w *writer) index() {
	var open []int
	for i := 0; i < len(w.b); i++ {
		switch w.b[i] {
		case '"':
			i = stringEnd(w.b, i) - 1
		case '{', '[':
			open = append(open, len(w.ends))
			w.ends = append(w.ends, end{})
		case '}', ']':
			last := len(open) - 1
			w.ends[open[last]] = end{i + 1, len(w.ends)}
			open = open[:last]
		}
	}
}

// stringEnd returns where the string ends that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// space skips white space and separators.
func (w *writer) space() byte {
	for strings.IndexByte(" \t\r\n,:", w.b[w.pos]) >= 0 {
		w.pos++
	}
	return w.b[w.pos]
}

// skip returns the value at pos and goes on behind it.
func (w *writer) skip() []byte {
	kind, from := w.space(), w.pos
	switch kind {
	case '{', '[':
		w.pos, w.next = w.ends[w.next].pos, w.ends[w.next].next
	case '"':
		w.pos = stringEnd(w.b, w.pos)
	default:
		for w.pos < len(w.b) && strings.IndexByte(" \t\r\n,]}", w.b[w.pos]) < 0 {
			w.pos++
		}
	}
	return w.b[from:w.pos]
}

// enter goes into the array or object at pos, leave behind its end.
func (w *writer) enter() { w.pos, w.next = w.pos+1, w.next+1 }
func (w *writer) leave() { w.pos++ }

// isBlock reports whether the value at pos is an array or object with something in it.
func (w *writer) isBlock() bool {
	kind := w.space()
	if kind != '{' && kind != '[' {
		return false
	}
	i := w.pos + 1
	for strings.IndexByte(" \t\r\n", w.b[i]) >= 0 {
		i++
	}
	return w.b[i] != '}' && w.b[i] != ']'
}

func (w *writer) root() {
	if w.isBlock() {
		w.block(0)
	} else {
		w.flow(0)
		w.dst = append(w.dst, '\n')
	}
}

// block writes the array or object at pos, of which the first line is indented already.
func (w *writer) block(level int) {
	var again map[string]int
	array := w.b[w.pos] == '['
	if !array {
		again = w.repeated()
	}
	w.enter()
	for first := true; w.err == nil; {
		if c := w.space(); c == ']' || c == '}' {
			break
		}
		if !array {
			if name := textOf(w.peek()); again[name] > 1 {
				again[name]--
				w.skip()
				w.skip()
				continue
			}
		}
		if len(w.dst) > w.most {
			w.err = errSize
		}
		if !first {
			w.indent(level)
		}
		first = false
		explicit := false
		if array {
			w.dst = append(w.dst, '-')
		} else {
			explicit = w.key(level)
		}
		switch {
		case !w.isBlock() || level+1 >= maxBlock:
			w.dst = append(w.dst, ' ')
			w.flow(level + 1)
			w.dst = append(w.dst, '\n')
		case array || explicit: // "- - a" and "- b: c"
			w.dst = append(w.dst, ' ')
			w.block(level + 1)
		default:
			w.dst = append(w.dst, '\n')
			w.indent(level + 1)
			w.block(level + 1)
		}
	}
	w.leave()
}

// key writes the name at pos with what follows it, and reports whether it is too long for the plain form.
func (w *writer) key(level int) (explicit bool) {
	from := len(w.dst)
	w.dst = appendText(w.dst, textOf(w.skip()))
	w.space()
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

// peek returns the value at pos and stays there.
func (w *writer) peek() []byte {
	pos, next := w.pos, w.next
	value := w.skip()
	w.pos, w.next = pos, next
	return value
}

// repeated counts how often each name is in the object at pos, and returns nil if none is there twice. It stays at pos.
func (w *writer) repeated() map[string]int {
	pos, next := w.pos, w.next
	defer func() { w.pos, w.next = pos, next }()
	var room [8]string
	names := room[:0] // of a small object
	var counts map[string]int
	twice := false
	w.enter()
	for w.space() != '}' {
		name := textOf(w.skip())
		w.skip()
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

// flow writes the value at pos in one line.
func (w *writer) flow(level int) {
	switch {
	case level > maxDepth:
		w.err = errDepth
	case len(w.dst) > w.most:
		w.err = errSize
	}
	if w.err != nil {
		return
	}
	kind := w.space()
	switch kind {
	case '"':
		w.dst = appendText(w.dst, textOf(w.skip()))
		return
	case '[', '{':
	default:
		w.dst = append(w.dst, w.skip()...)
		return
	}
	var again map[string]int
	if kind == '{' {
		again = w.repeated()
	}
	w.dst = append(w.dst, kind)
	w.enter()
	for first := true; w.err == nil; {
		if c := w.space(); c == ']' || c == '}' {
			break
		}
		var name string
		if kind == '{' {
			if name = textOf(w.skip()); again[name] > 1 {
				again[name]--
				w.skip()
				continue
			}
		}
		if !first {
			w.dst = append(w.dst, ", "...)
		}
		first = false
		if kind == '{' {
			if len(name) > maxSimple/6 { // in quotes it may be six times as long
				w.dst = append(w.dst, "? "...)
			}
			w.dst = append(appendText(w.dst, name), ": "...)
		}
		w.flow(level + 1)
	}
	w.dst = append(w.dst, kind+2) // ] and } in ASCII
	w.leave()
}

// textOf returns the content of a string of JSON.
func textOf(quoted []byte) string {
	for _, c := range quoted {
		if c == '\\' {
			var s string
			_ = json.Unmarshal(quoted, &s) // it is valid
			return s
		}
	}
	return string(quoted[1 : len(quoted)-1])
}

// appendText appends a string, in double quotes where it needs them.
func appendText(dst []byte, s string) []byte {
	if isPlain(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
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
	}
	return append(append(dst, s[from:]...), '"')
}

// isPlain reports whether a string can stand without quotes, in block and flow style and by every version of YAML.
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
