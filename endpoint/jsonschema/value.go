package jsonschema

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-go/sluice/proxy/document"
)

// A value is what a schema is applied to: a value of the body, or the name of a member of it.
type value struct {
	document.Cursor
	name   string
	isName bool
}

// Kind returns the kind of the value. A name is a string.
func (v value) Kind() document.Kind {
	if v.isName {
		return document.String
	}
	return v.Cursor.Kind()
}

// Text returns the text of a string.
func (v value) Text() string {
	if v.isName {
		return v.name
	}
	text, _ := v.Cursor.Text()
	return text
}

// escapePointer returns a name as it stands in a JSON Pointer.
func escapePointer(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// regexFormat is the format regex: it reads an expression and does not compile it, which may take a
// thousand times its length.
var regexFormat = jsonschema.Format{Name: "regex", Validate: func(v any) error {
	if text, ok := v.(string); ok {
		_, err := syntax.Parse(text, syntax.Perl)
		return err
	}
	return nil
}}

// appendCanonical writes a value so that equal values are equal texts: numbers by their value, members
// by their name. A text that gets longer than r.most is left unfinished: it equals no other one.
func (r *run) appendCanonical(dst []byte, v value) []byte {
	if r.tick(); r.stopped != nil || r.tooLong(dst) {
		return dst
	}
	switch v.Kind() {
	case document.String:
		return r.appendString(dst, v.Text())
	case document.Number:
		return decimalOf(v.Text()).append(dst)
	case document.Array:
		dst = append(dst, '[')
		for i, element := range v.Elements() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst = r.appendCanonical(dst, value{Cursor: element}); r.tooLong(dst) {
				return dst
			}
		}
		return append(dst, ']')
	case document.Object:
		from := len(dst)
		var members []part
		dst = append(dst, '{')
		for name, inner := range v.Members() {
			at := len(dst)
			dst = append(r.appendString(dst, name), ':')
			if dst = append(r.appendCanonical(dst, value{Cursor: inner}), ','); r.tooLong(dst) {
				return dst
			}
			members = append(members, part{name, at - from, len(dst) - from})
		}
		r.order(dst[from:], members)
		return append(dst, '}')
	}
	return v.AppendJSON(dst) // null, true or false
}

// appendString writes a text in JSON, which is no shorter than the text.
func (r *run) appendString(dst []byte, text string) []byte {
	r.spend(len(text) / perTick)
	if r.most > 0 && len(text) > r.most {
		text = text[:r.most] // with the quotes it is too long still
	}
	return document.AppendString(dst, text)
}

// tooLong reports whether a text can equal no other one.
func (r *run) tooLong(text []byte) bool { return r.most > 0 && len(text) > r.most }

// A part is where a member is in the text of an object.
type part struct {
	name     string
	from, to int
}

// order puts the members of an object in the order of their names. text is the object up to its last
// member.
func (r *run) order(text []byte, members []part) {
	byName := func(a, b part) int { return strings.Compare(a.name, b.name) }
	if slices.IsSortedFunc(members, byName) {
		return
	}
	r.spend(len(text))
	slices.SortFunc(members, byName)
	r.spare = append(r.spare[:0], text...)
	text = text[:1]
	for _, m := range members {
		text = append(text, r.spare[m.from:m.to]...) // in place: the parts are as long as before
	}
}

// canonicalOf returns the canonical text of a value in a schema, and its kind.
func canonicalOf(v any) (string, document.Kind) {
	text, err := json.Marshal(v)
	if err == nil {
		var d document.Document
		if d, err = document.Parse(text); err == nil {
			r := run{ctx: context.Background(), left: ticks}
			return string(r.appendCanonical(nil, value{Cursor: d.Cursor()})), d.Kind()
		}
	}
	panic(fmt.Sprintf("a value of enum or const: %v", err)) // it was JSON before
}
