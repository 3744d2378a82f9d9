package document

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A narrowing is what encoding/json can use of a value when it decodes it into a type. Our scanner
// passes over the rest several times as fast as encoding/json, which reads all of its input twice.
// Of what it decodes nothing is different: a member goes only where no field of the struct can have
// its name. nil uses all of a value.
type narrowing struct {
	fields []narrowField // of a struct
	exotic bool          // a field has a name that is not ASCII
	object bool          // it is of a struct or a map, else of a slice or an array
	each   *narrowing    // of every element, or member of a map; nil in that of a struct
}

type narrowField struct {
	name []byte
	of   *narrowing
}

// narrowTo returns the narrowing to a type, and nil if it uses all.
func narrowTo(t reflect.Type, by *methods, known map[reflect.Type]*narrowing) *narrowing {
	return narrowIn(nil, t, by, known)
}

// narrowIn is narrowTo for a type inside others, up to the next struct around it. One that contains
// itself without a struct between, such as map[string]tree for a tree, uses all.
func narrowIn(inside []reflect.Type, t reflect.Type, by *methods, known map[reflect.Type]*narrowing) *narrowing {
	if by.has(t) || slices.Contains(inside, t) {
		return nil
	}
	inside = append(inside, t)
	switch t.Kind() {
	case reflect.Pointer:
		return narrowIn(inside, t.Elem(), by, known)
	case reflect.Struct:
		n := known[t]
		if n == nil {
			n = &narrowing{object: true, fields: []narrowField{}}
			known[t] = n // before its fields, which may be of the same type
			n.add(t, by, known, map[reflect.Type]bool{})
		}
		return n
	case reflect.Slice, reflect.Array, reflect.Map:
		if each := narrowIn(inside, t.Elem(), by, known); each != nil {
			return &narrowing{object: t.Kind() == reflect.Map, each: each}
		}
	}
	return nil
}

// add adds the fields of a struct, with those of the structs embedded in it. One name too many
// costs little.
func (n *narrowing) add(t reflect.Type, by *methods, known map[reflect.Type]*narrowing, embedded map[reflect.Type]bool) {
	if embedded[t] {
		return
	}
	embedded[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, _, _ := strings.Cut(tag, ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if f.Anonymous && name == "" && inner.Kind() == reflect.Struct {
			n.add(inner, by, known, embedded)
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		of := narrowTo(f.Type, by, known)
		if name != "" {
			n.field(name, of)
		}
		if name == "" || !plainName(name) { // encoding/json takes the name of the field for that of a strange tag
			n.field(f.Name, of)
		}
	}
}

func (n *narrowing) field(name string, of *narrowing) {
	for i := range n.fields {
		other := &n.fields[i]
		if !bytes.EqualFold(other.name, []byte(name)) {
			continue
		}
		other.of, of = nil, nil // which of the two it is, only encoding/json knows
		if string(other.name) == name {
			return
		}
	}
	n.fields = append(n.fields, narrowField{[]byte(name), of})
	n.exotic = n.exotic || !ascii(n.fields[len(n.fields)-1].name)
}

func plainName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// append appends what is used of the value that begins at i, and returns the offset behind the
// value. It goes at most so many levels deep: what is deeper than that, encoding/json refuses.
func (n *narrowing) append(dst, b []byte, i, levels int) ([]byte, int) {
	switch {
	case n == nil || levels == 0:
	case b[i] == '{' && n.object:
		return n.members(dst, b, i, levels-1)
	case b[i] == '[' && !n.object:
		return n.elements(dst, b, i, levels-1)
	}
	end := skipValue(b, i)
	return append(dst, b[i:end]...), end
}

func (n *narrowing) members(dst, b []byte, i, levels int) ([]byte, int) {
	dst = append(dst, '{')
	empty := len(dst)
	c := open(b, i)
	for c.member() {
		of, used := n.uses(&c)
		if !used {
			c.skip()
			continue
		}
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = append(append(dst, b[c.name:c.nameEnd]...), ':')
		var end int
		dst, end = of.append(dst, b, c.value, levels)
		c.jump(end)
	}
	return append(dst, '}'), c.i
}

func (n *narrowing) elements(dst, b []byte, i, levels int) ([]byte, int) {
	dst = append(dst, '[')
	empty := len(dst)
	c := open(b, i)
	for c.element() {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		var end int
		dst, end = n.each.append(dst, b, c.value, levels)
		c.jump(end)
	}
	return append(dst, ']'), c.i
}

// uses reports whether the member at which c stands may be decoded, and what is used of its value.
func (n *narrowing) uses(c *walker) (of *narrowing, used bool) {
	if n.each != nil {
		return n.each, true
	}
	name := c.says()
	for i := range n.fields {
		if string(n.fields[i].name) == string(name) {
			return n.fields[i].of, true
		}
	}
	long := n.exotic || !ascii(name) // letters that are equal but for their case may differ in length
	for i := range n.fields {
		if f := n.fields[i].name; (long || len(f) == len(name)) && bytes.EqualFold(f, name) {
			return nil, true // by whichever field
		}
	}
	return nil, false
}
