package document

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A projection says which parts of a value encoding/json can use when it decodes the value into a
// type. Our scanner skips the other parts several times as fast as encoding/json, which reads all
// of its input twice. The projection does not change the result: it leaves out a member only if no
// field of the struct can have its name. A nil projection uses the whole value.
type projection struct {
	fields []projectedField // the fields of a struct
	exotic bool             // some field has a name that is not ASCII
	object bool             // the type is a struct or a map; else a slice or an array
	each   *projection      // for every element, or every member of a map; nil for a struct

	// The index of each field by its name, and the names as fold writes them: nil if the fields are
	// few, because comparing a few is faster.
	exact   map[string]int
	folded  map[string]bool
	longest int // the length of the longest name
}

type projectedField struct {
	name  []byte
	of    *projection
	index []int // of the field, as reflect counts
	sure  bool  // encoding/json takes no other field for the name, in whatever case
}

// projectionOf returns the projection for a type, or nil if the type uses the whole value.
func projectionOf(t reflect.Type, by *methods, known map[reflect.Type]*projection) *projection {
	return projectionIn(nil, t, by, known)
}

// projectionIn is projectionOf for a type inside others, up to the next struct around it. A type
// that contains itself without a struct between, such as map[string]tree for a tree, uses the whole
// value.
func projectionIn(inside []reflect.Type, t reflect.Type, by *methods, known map[reflect.Type]*projection) *projection {
	if by.has(t) || slices.Contains(inside, t) {
		return nil
	}
	inside = append(inside, t)
	switch t.Kind() {
	case reflect.Pointer:
		return projectionIn(inside, t.Elem(), by, known)
	case reflect.Struct:
		n := known[t]
		if n == nil {
			n = &projection{object: true, fields: []projectedField{}}
			known[t] = n // set before its fields, which may have the same type
			n.add(t, by, known, projectedField{sure: true}, map[reflect.Type]bool{})
			n.index()
		}
		return n
	case reflect.Slice, reflect.Array, reflect.Map:
		if each := projectionIn(inside, t.Elem(), by, known); each != nil {
			return &projection{object: t.Kind() == reflect.Map, each: each}
		}
	}
	return nil
}

// add adds the fields of a struct, which is the field at, and of the structs embedded in it. A
// superfluous name costs little.
func (n *projection) add(t reflect.Type, by *methods, known map[reflect.Type]*projection, at projectedField, embedded map[reflect.Type]bool) {
	if embedded[t] { // encoding/json may ignore its names, then
		for i := range n.fields {
			n.fields[i].sure = false
		}
		return
	}
	embedded[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		at := projectedField{index: append(slices.Clone(at.index), i), sure: at.sure}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if f.Anonymous && name == "" && inner.Kind() == reflect.Struct {
			at.sure = at.sure && inner == f.Type // a pointer may be nil
			n.add(inner, by, known, at, embedded)
			continue
		}
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		at.of = projectionOf(f.Type, by, known)
		// encoding/json ignores a strange tag and uses the name of the field.
		strange := name != "" && !plainName(name)
		at.sure = at.sure && f.IsExported() && !strange && !strings.Contains(options, "string")
		if name != "" {
			n.field(name, at)
		}
		if name == "" || strange {
			n.field(f.Name, at)
		}
	}
}

func (n *projection) field(name string, at projectedField) {
	for i := range n.fields {
		other := &n.fields[i]
		if !bytes.EqualFold(other.name, []byte(name)) {
			continue
		}
		other.of, at.of = nil, nil // only encoding/json knows which of the two it takes
		other.sure, at.sure = false, false
		if string(other.name) == name {
			return
		}
	}
	at.name = []byte(name)
	n.fields = append(n.fields, at)
	n.exotic = n.exotic || !ascii(n.fields[len(n.fields)-1].name)
}

// index makes the cost of a member the same for any number of fields.
func (n *projection) index() {
	const few = 8
	if len(n.fields) <= few {
		return
	}
	n.exact, n.folded = make(map[string]int, len(n.fields)), make(map[string]bool, len(n.fields))
	for i, f := range n.fields {
		n.exact[string(f.name)] = i
		n.folded[string(fold(nil, f.name))] = true
		n.longest = max(n.longest, len(f.name))
	}
}

// fold appends a name in a form that is the same for all names that bytes.EqualFold takes for
// equal: each character is the lowest of those that differ from it in case only.
func fold(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		if c := name[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		i += size
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				r = next
				break
			}
			r = next
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
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

// target returns the field that encoding/json takes for the member at which c stands, and whether
// that is sure.
func (n *projection) target(c *walker) (index []int, sure, found bool) {
	name := c.says()
	for i := range n.fields {
		if f := &n.fields[i]; bytes.EqualFold(f.name, name) {
			return f.index, f.sure, true
		}
	}
	return nil, false, false
}

// append appends the used parts of the value that begins at i, and returns the offset after the
// value. It goes at most levels deep: encoding/json refuses what is deeper.
func (n *projection) append(w *clock, dst, b []byte, i, levels int) ([]byte, int) {
	switch {
	case n == nil || levels == 0:
	case b[i] == '{' && n.object:
		return n.members(w, dst, b, i, levels-1)
	case b[i] == '[' && !n.object:
		return n.elements(w, dst, b, i, levels-1)
	}
	end := skipValue(b, i)
	return append(dst, b[i:end]...), end
}

func (n *projection) members(w *clock, dst, b []byte, i, levels int) ([]byte, int) {
	dst = append(dst, '{')
	empty := len(dst)
	c := open(b, i)
	for c.member() {
		w.tick()
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
		dst, end = of.append(w, dst, b, c.value, levels)
		c.jump(end)
	}
	return append(dst, '}'), c.i
}

func (n *projection) elements(w *clock, dst, b []byte, i, levels int) ([]byte, int) {
	dst = append(dst, '[')
	empty := len(dst)
	c := open(b, i)
	for c.element() {
		w.tick()
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		var end int
		dst, end = n.each.append(w, dst, b, c.value, levels)
		c.jump(end)
	}
	return append(dst, ']'), c.i
}

// uses reports whether the member at which c stands may be decoded, and returns the projection for
// its value.
func (n *projection) uses(c *walker) (of *projection, used bool) {
	if n.each != nil {
		return n.each, true
	}
	name := c.says()
	if n.exact != nil {
		return n.indexed(name)
	}
	for i := range n.fields {
		if string(n.fields[i].name) == string(name) {
			return n.fields[i].of, true
		}
	}
	long := n.exotic || !ascii(name) // the cases of one letter may differ in length
	for i := range n.fields {
		if f := n.fields[i].name; (long || len(f) == len(name)) && bytes.EqualFold(f, name) {
			return nil, true // whichever field takes it
		}
	}
	return nil, false
}

// indexed is uses for many fields.
func (n *projection) indexed(name []byte) (of *projection, used bool) {
	if i, found := n.exact[string(name)]; found {
		return n.fields[i].of, true
	}
	if len(name) > utf8.UTFMax*n.longest {
		return nil, false
	}
	var room [64]byte
	return nil, n.folded[string(fold(room[:0], name))]
}
