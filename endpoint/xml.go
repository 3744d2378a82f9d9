package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/proxy/document"
)

const (
	maxXML   = 32 << 20 // of what is written, unless that is less than four times the JSON
	maxDepth = 10_000   // of arrays and objects: each is a level of recursion
)

var (
	errXMLSize  = errors.New("xml: the body is too large")
	errXMLDepth = errors.New("xml: nested too deep")
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// appendXML appends a document as XML in a root element, named by the document itself where root is "".
func appendXML(dst []byte, d document.Document, root string) ([]byte, error) {
	w := &xmlWriter{b: d.AppendJSON(make([]byte, 0, d.Size())), most: len(dst) + max(maxXML, 4*d.Size())}
	w.index()
	w.dst = append(dst, xmlDeclaration...)
	if root == "" {
		if root = w.only(); root == "" {
			root = "document"
		}
	}
	w.element(root, 0)
	if w.err == nil && len(w.dst) > w.most {
		w.err = errXMLSize
	}
	return w.dst, w.err
}

// An xmlWriter reads valid JSON and writes XML. An object is read twice, for its attributes and for what is in it, so the
// reader knows where every array and object ends: else it would have to read what is nested deep for each level.
type xmlWriter struct {
	b    []byte
	ends []xmlEnd // of arrays and objects, in the order in which they begin
	pos  int
	next int // the first of ends that begins at pos or behind

	dst  []byte
	most int
	err  error
}

type xmlEnd struct{ pos, next int }

func (w *xmlWriter) index() {
	var open []int
	for i := 0; i < len(w.b); i++ {
		switch w.b[i] {
		case '"':
			i = stringEnd(w.b, i) - 1
		case '{', '[':
			open = append(open, len(w.ends))
			w.ends = append(w.ends, xmlEnd{})
		case '}', ']':
			last := len(open) - 1
			w.ends[open[last]] = xmlEnd{i + 1, len(w.ends)}
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

// space skips white space, and the separators of JSON, which is valid.
func (w *xmlWriter) space() byte {
	for strings.IndexByte(" \t\r\n,:", w.b[w.pos]) >= 0 {
		w.pos++
	}
	return w.b[w.pos]
}

// skip returns the value at pos and goes on behind it.
func (w *xmlWriter) skip() []byte {
	from := w.pos
	switch w.space(); w.b[w.pos] {
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

// enter goes to the first value in the array or object at pos, leave behind its end.
func (w *xmlWriter) enter() { w.pos, w.next = w.pos+1, w.next+1 }
func (w *xmlWriter) leave() { w.pos++ }

// name reads the name of a member.
func (w *xmlWriter) name() string {
	s := textOf(w.skip())
	w.space()
	return s
}

// textOf returns the content of a string, the text of a number or bool, and nothing for null.
func textOf(value []byte) string {
	switch {
	case value[0] == 'n':
		return ""
	case value[0] != '"':
		return string(value)
	}
	for _, c := range value {
		if c == '\\' {
			var s string
			_ = json.Unmarshal(value, &s) // it is valid
			return s
		}
	}
	return string(value[1 : len(value)-1])
}

// only returns the name of the one member that the root has, if that can be the root element.
func (w *xmlWriter) only() string {
	if w.space() != '{' {
		return ""
	}
	w.enter()
	if w.space() == '}' {
		w.pos, w.next = 0, 0
		return ""
	}
	name := w.name()
	value, next := w.pos, w.next
	kind := w.b[value]
	w.skip()
	if w.space() == '}' && kind != '[' && name != "" && !isAttribute(name) && name != xmlText {
		w.pos, w.next = value, next
		return name
	}
	w.pos, w.next = 0, 0
	return ""
}

const xmlText = "#text"

func isAttribute(name string) bool { return len(name) > 1 && name[0] == '@' }

func isScalar(c byte) bool { return c != '{' && c != '[' }

// element writes the value at pos as an element; an array in an array, and at the root, as one with elements "item".
func (w *xmlWriter) element(name string, depth int) {
	if depth > maxDepth {
		w.err = errXMLDepth
	}
	if len(w.dst)+2*len(name) > w.most {
		w.err = errXMLSize
	}
	if w.err != nil {
		return
	}
	w.dst = appendName(append(w.dst, '<'), name, false)
	kind := w.space()
	if kind == '{' {
		w.attributes()
	}
	w.dst = append(w.dst, '>')
	empty := len(w.dst)
	switch kind {
	case '{':
		w.members(depth)
	case '[':
		w.items("item", depth)
	default:
		w.dst = appendText(w.dst, textOf(w.skip()), false)
	}
	if len(w.dst) == empty {
		w.dst = append(w.dst[:empty-1], '/', '>')
		return
	}
	w.dst = append(appendName(append(w.dst, '<', '/'), name, false), '>')
}

// items writes the elements of the array at pos.
func (w *xmlWriter) items(name string, depth int) {
	w.enter()
	for w.err == nil && w.space() != ']' {
		w.element(name, depth+1)
	}
	w.leave()
}

// attributes writes those of the object at pos, and stays there. Of equal names the last counts, as ever.
func (w *xmlWriter) attributes() {
	pos, next := w.pos, w.next
	var values map[string][]byte
	var names []string
	w.enter()
	for w.space() != '}' {
		name := w.name()
		if !isAttribute(name) || !isScalar(w.b[w.pos]) {
			w.skip()
			continue
		}
		if values == nil {
			values = map[string][]byte{}
		}
		if _, there := values[name]; !there {
			names = append(names, name)
		}
		values[name] = w.skip()
	}
	for _, name := range names {
		if value := values[name]; value[0] != 'n' {
			w.dst = appendName(append(w.dst, ' '), name[1:], true)
			w.dst = append(appendText(append(w.dst, '=', '"'), textOf(value), true), '"')
		}
	}
	w.pos, w.next = pos, next
}

// members writes what the object at pos has beside attributes.
func (w *xmlWriter) members(depth int) {
	w.enter()
	for w.err == nil && w.space() != '}' {
		name := w.name()
		switch kind := w.b[w.pos]; {
		case isScalar(kind) && isAttribute(name):
			w.skip()
		case isScalar(kind) && name == xmlText:
			w.dst = appendText(w.dst, textOf(w.skip()), false)
		case kind == '[':
			w.items(name, depth+1)
		default:
			w.element(name, depth+1)
		}
	}
	w.leave()
}

// appendName appends a name with what cannot stand in one as _xHHHH_, the code point in hex, and likewise an underscore
// that looks like such an escape. An attribute is not to declare a namespace.
func appendName(dst []byte, name string, attr bool) []byte {
	if name == "" {
		return append(dst, '_')
	}
	for i, r := range name {
		switch {
		case i == 0 && attr && name == "xmlns", !isNameRune(r, i == 0), r == '_' && isEscape(name[i:]):
			dst = fmt.Appendf(dst, "_x%04X_", r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// isEscape reports whether s begins as an escaped rune.
func isEscape(s string) bool {
	hex, _, found := strings.Cut(strings.TrimPrefix(s, "_x"), "_")
	if !found || !strings.HasPrefix(s, "_x") || len(hex) < 4 {
		return false
	}
	return strings.Trim(hex, "0123456789abcdefABCDEF") == ""
}

// isNameRune reports whether r may stand in a name by every edition of XML 1.0, in most of the scripts that there are.
func isNameRune(r rune, first bool) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '_':
		return true
	case '0' <= r && r <= '9', r == '-', r == '.':
		return !first
	case r < 0xc0:
		return false
	}
	for _, letters := range [...][2]rune{{0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x131}, {0x14a, 0x17e}, {0x38e, 0x3a1}, {0x3a3, 0x3ce},
		{0x401, 0x40c}, {0x40e, 0x44f}, {0x451, 0x45c}, {0x5d0, 0x5ea}, {0x621, 0x63a}, {0x905, 0x939}, {0x3041, 0x3094},
		{0x30a1, 0x30fa}, {0x4e00, 0x9fa5}, {0xac00, 0xd7a3}} {
		if letters[0] <= r && r <= letters[1] {
			return true
		}
	}
	return false
}

// appendText appends text, or the value of an attribute. What XML cannot hold, not even escaped, becomes U+FFFD.
func appendText(dst []byte, s string, attr bool) []byte {
	from := 0
	for i, r := range s {
		var escaped string
		switch {
		case r == '&':
			escaped = "&amp;"
		case r == '<':
			escaped = "&lt;"
		case r == '>':
			escaped = "&gt;"
		case r == '"' && attr:
			escaped = "&quot;"
		case r == '\t' && attr:
			escaped = "&#x9;"
		case r == '\n' && attr:
			escaped = "&#xA;"
		case r == '\r':
			escaped = "&#xD;"
		case r < ' ' && r != '\t' && r != '\n', r == 0xfffe, r == 0xffff:
			escaped = "\ufffd"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escaped...)
		from = i + utf8.RuneLen(r)
	}
	return append(dst, s[from:]...)
}
