package document

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// A Document is an immutable JSON value of any kind, or absent.
//
// It holds the checked text and looks into it only as far as it is asked. Every byte nobody touches
// stays as it came: numbers keep all their digits and members their order. The zero Document is
// absent: there is no value at all, which is different from null and from {}.
//
// Every operation returns a Document and leaves its source as it was, so a Document can be copied,
// kept, cached and used by any number of goroutines at once. A Document made from a part of another
// one may keep the other's bytes alive; [Document.Clip] cuts it loose.
//
// # Names
//
// Names compare by what they say, not by how they are written: "\u0073ecret" is secret. An object
// may repeat a name (RFC 8259, section 4): [Document.Get] answers the last of them, as
// encoding/json does, and Set, Keep, Drop and Rename act on all of them, so that a reader with
// another rule finds nothing that was taken out.
//
// # Output
//
// What a Document writes is valid JSON in UTF-8.
type Document struct{ n *node }

// Parse returns the JSON value in b with default [Limits].
//
// It is strict: RFC 8259 and nothing else, one value with optional white space around it, no byte
// order mark, valid UTF-8, no lone surrogate. Otherwise the error is a [*Error] with the offset
// that wraps [ErrSyntax], [ErrEncoding] or [ErrDepth]; input without a value is an error too.
//
// The Document takes over b without a copy: the caller must not write to it any more.
func Parse(b []byte) (Document, error) { return Limits{}.Parse(b) }

// MustParse is [Parse] for JSON written in code: it panics where Parse returns an error.
func MustParse(text string) Document {
	d, err := Parse([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("document: MustParse(%q): %v", text, err))
	}
	return d
}

// Of returns the JSON that [json.Marshal] makes of v. A Document answers itself, and nil is null.
// Nothing of v is kept, so it can be changed afterwards.
//
// The error is a [*Error] that wraps the one of encoding/json. What a [json.Marshaler] has written
// is checked as by [Parse], with the same errors.
func Of(v any) (Document, error) {
	if d, ok := v.(Document); ok {
		return d, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Document{}, &Error{Err: err}
	}
	return Parse(b)
}

// Kind returns the type of the value, [Absent] for the zero Document.
func (d Document) Kind() Kind {
	if d.n == nil {
		return Absent
	}
	return d.n.kind
}

// IsZero reports whether d is absent. encoding/json asks it for fields tagged omitzero.
func (d Document) IsZero() bool { return d.n == nil }

// Len returns the number of members of an object, counting equal names each, or of elements of an
// array. It is 0 for anything else.
func (d Document) Len() int {
	switch d.Kind() {
	case Object:
		return len(d.n.members())
	case Array:
		n := 0
		for range d.Elements() {
			n++
		}
		return n
	}
	return 0
}

// Members returns the members of an object in their order, with equal names each. It yields nothing
// for anything else.
func (d Document) Members() iter.Seq2[string, Document] {
	return func(yield func(string, Document) bool) {
		if d.Kind() != Object {
			return
		}
		b := d.n.bytes()
		for _, s := range d.n.members() {
			if !yield(unquote(b[s.name:s.nameEnd]), slice(b, s.value, s.end)) {
				return
			}
		}
	}
}

// Elements returns the elements of an array with their index. It yields nothing for anything else.
func (d Document) Elements() iter.Seq2[int, Document] {
	return func(yield func(int, Document) bool) {
		if d.Kind() != Array {
			return
		}
		b := d.n.bytes()
		c := open(b, 0)
		for i := 0; c.element(); i++ {
			c.skip()
			if !yield(i, slice(b, c.value, c.end)) {
				return
			}
		}
	}
}

// Text returns a scalar without quotes: the content of a string, or the literal of a number or bool
// as it came. It returns false for null, arrays, objects and the absent Document.
func (d Document) Text() (string, bool) {
	switch d.Kind() {
	case String:
		return unquote(d.n.bytes()), true
	case Number, Bool:
		return string(d.n.bytes()), true
	}
	return "", false
}

// Decode stores the value in what v points to, by the rules of [json.Unmarshal]. The error is a
// [*Error] that wraps the one of encoding/json, or [ErrAbsent] if d is absent.
//
// Nothing in v shares memory with d.
func (d Document) Decode(v any) error {
	if d.IsZero() {
		return &Error{Err: ErrAbsent}
	}
	if p, ok := v.(*Document); ok && p != nil {
		*p = d
		return nil
	}
	// The copy keeps a json.Unmarshaler that writes to its input away from our bytes.
	if err := json.Unmarshal(d.AppendJSON(make([]byte, 0, d.Size())), v); err != nil {
		return &Error{Err: err}
	}
	return nil
}

// AppendJSON appends the JSON text to dst and returns the extended buffer; an absent Document
// appends nothing. With room for [Document.Size] bytes in dst it does not allocate.
func (d Document) AppendJSON(dst []byte) []byte {
	if d.n == nil {
		return dst
	}
	return d.n.appendTo(dst)
}

// Size returns how many bytes [Document.AppendJSON] appends. It costs nothing.
func (d Document) Size() int {
	if d.n == nil {
		return 0
	}
	return d.n.size
}

// Clip returns the same value in memory of its own, exactly as large as its text, so that keeping
// it keeps nothing else alive.
func (d Document) Clip() Document {
	if d.n == nil {
		return d
	}
	return raw(d.n.appendTo(make([]byte, 0, d.n.size)))
}

// String returns the JSON text, and "" if d is absent.
func (d Document) String() string { return string(d.AppendJSON(nil)) }

// MarshalJSON implements [json.Marshaler]. An absent Document is null, unless its field is tagged
// omitzero.
func (d Document) MarshalJSON() ([]byte, error) {
	if d.n == nil {
		return []byte("null"), nil
	}
	return d.n.appendTo(make([]byte, 0, d.n.size)), nil
}

// UnmarshalJSON implements [json.Unmarshaler]: it replaces d by the value in b, which is copied, as
// [Parse] does. It changes the variable, never the value that other copies of d have.
func (d *Document) UnmarshalJSON(b []byte) error {
	parsed, err := Parse(slices.Clone(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
