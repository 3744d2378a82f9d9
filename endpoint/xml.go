package endpoint

import (
	"context"
	"errors"
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

// appendXML appends a document as XML in a root element, named by the document itself where root is
// "".
func appendXML(ctx context.Context, dst []byte, d document.Document, root string) ([]byte, error) {
	w := &xmlWriter{ctx: ctx, dst: append(dst, xmlDeclaration...), most: len(dst) + max(maxXML, 4*d.Size())}
	value, err := document.Work{Context: ctx}.Cursor(d)
	if err != nil {
		return dst, err
	}
	if root == "" {
		root, value = rootOf(value)
	}
	w.element(w.tagOf(root), value, 0)
	if w.err == nil && len(w.dst) > w.most {
		w.err = errXMLSize
	}
	return w.dst, w.err
}

// rootOf returns the name and the value of the root element: those of the one member that there is,
// if it can be one.
func rootOf(c document.Cursor) (string, document.Cursor) {
	n, root, value := 0, "", c
	for name, v := range c.Members() {
		if n++; n > 1 {
			break
		}
		root, value = name, v
	}
	if n != 1 || value.Kind() == document.Array || root == "" || isAttribute(root) || root == xmlText {
		return "document", c
	}
	return root, value
}

const xmlText = "#text"

func isAttribute(name string) bool { return len(name) > 1 && name[0] == '@' }

func isScalar(k document.Kind) bool { return k != document.Object && k != document.Array }

type xmlWriter struct {
	ctx   context.Context
	steps int // how many elements, attributes, and odd characters of names there were
	dst   []byte
	most  int // that dst may become
	err   error
}

// ticks is how many steps pass between two looks at the context.
const ticks = 1 << 10

// step counts a step, and now and then looks at the context.
func (w *xmlWriter) step() {
	if w.steps++; w.steps%ticks == 0 && w.err == nil && w.ctx != nil {
		w.err = w.ctx.Err()
	}
}

// element writes a value as an element of this tag; an array in an array, and at the root, as one
// with elements "item".
func (w *xmlWriter) element(tag string, c document.Cursor, depth int) {
	w.step()
	if depth > maxDepth {
		w.err = errXMLDepth
	}
	if len(w.dst)+2*len(tag) > w.most {
		w.err = errXMLSize
	}
	if w.err != nil {
		return
	}
	w.dst = append(append(w.dst, '<'), tag...)
	w.attributes(c)
	w.dst = append(w.dst, '>')
	empty := len(w.dst)
	switch c.Kind() {
	case document.Object:
		w.members(c, depth)
	case document.Array:
		w.items("item", c, depth)
	default:
		w.text(c, false)
	}
	if len(w.dst) == empty {
		w.dst = append(w.dst[:empty-1], '/', '>')
		return
	}
	w.dst = append(append(append(w.dst, '<', '/'), tag...), '>')
}

// textSize is how much text is written between two looks at the context.
const textSize = 64 << 10

// text writes a scalar; null is nothing.
func (w *xmlWriter) text(c document.Cursor, attr bool) {
	text, _ := c.Text()
	for len(text) > textSize && w.err == nil {
		n := textSize
		for !utf8.RuneStart(text[n]) {
			n-- // a character stays whole
		}
		w.dst, text = appendText(w.dst, text[:n], attr), text[n:]
		if w.ctx != nil {
			w.err = w.ctx.Err()
		}
	}
	w.dst = appendText(w.dst, text, attr)
}

// items writes the elements of an array.
func (w *xmlWriter) items(tag string, c document.Cursor, depth int) {
	for _, element := range c.Elements() {
		if w.element(tag, element, depth+1); w.err != nil {
			return
		}
	}
}

// attributes writes those of an object. Of equal names the last counts, as ever.
func (w *xmlWriter) attributes(c document.Cursor) {
	var values map[string]document.Cursor
	var names []string
	for name, value := range c.Members() {
		if w.step(); w.err != nil {
			return
		}
		if !isAttribute(name) || !isScalar(value.Kind()) {
			continue
		}
		if values == nil {
			values = map[string]document.Cursor{}
		}
		if _, there := values[name]; !there {
			names = append(names, name)
		}
		values[name] = value
	}
	for _, name := range names {
		if w.step(); w.err != nil {
			return
		}
		if value := values[name]; value.Kind() != document.Null {
			w.dst = w.appendName(append(w.dst, ' '), name[1:], true)
			w.dst = append(w.dst, '=', '"')
			w.text(value, true)
			w.dst = append(w.dst, '"')
		}
	}
}

// members writes what an object has beside attributes.
func (w *xmlWriter) members(c document.Cursor, depth int) {
	for name, value := range c.Members() {
		w.step()
		switch kind := value.Kind(); {
		case isScalar(kind) && isAttribute(name):
		case isScalar(kind) && name == xmlText:
			w.text(value, false)
		case kind == document.Array:
			w.items(w.tagOf(name), value, depth+1)
		default:
			w.element(w.tagOf(name), value, depth+1)
		}
		if w.err != nil {
			return
		}
	}
}

// tagOf returns the name of an element. It is made once for all elements of an array, because a
// name may be long.
func (w *xmlWriter) tagOf(name string) string {
	for i := range len(name) {
		if c := name[i]; c == '_' || c >= utf8.RuneSelf || !isNameRune(rune(c), i == 0) {
			return string(w.appendName(nil, name, false))
		}
	}
	if name == "" {
		return "_"
	}
	return name
}

// appendName appends a name with what cannot stand in one as _xHHHH_, the code point in hex, and
// likewise an underscore that looks like such an escape. An attribute is not to declare a
// namespace.
func (w *xmlWriter) appendName(dst []byte, name string, attr bool) []byte {
	if name == "" {
		return append(dst, '_')
	}
	for i, r := range name {
		if w.step(); w.err != nil {
			break
		}
		switch {
		case i == 0 && attr && name == "xmlns", !isNameRune(r, i == 0), r == '_' && isEscape(name[i:]):
			dst = appendEscape(dst, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendEscape appends _xHHHH_, with at least four digits.
func appendEscape(dst []byte, r rune) []byte {
	dst = append(dst, '_', 'x')
	digits := 4
	for r>>(4*digits) != 0 {
		digits++
	}
	for digits--; digits >= 0; digits-- {
		dst = append(dst, "0123456789ABCDEF"[r>>(4*digits)&15])
	}
	return append(dst, '_')
}

// isEscape reports whether s begins as an escaped rune.
func isEscape(s string) bool {
	hex, _, found := strings.Cut(strings.TrimPrefix(s, "_x"), "_")
	if !found || !strings.HasPrefix(s, "_x") || len(hex) < 4 {
		return false
	}
	return strings.Trim(hex, "0123456789abcdefABCDEF") == ""
}

// isNameRune reports whether r may stand in a name by every edition of XML 1.0, in most of the
// scripts that there are.
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

// appendText appends text, or the value of an attribute. What XML cannot hold, not even escaped,
// becomes U+FFFD.
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
