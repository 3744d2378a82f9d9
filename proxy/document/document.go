package document

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// A Document is an immutable JSON value of any kind, or absent.
//
// It holds the checked text and reads only as much of it as an operation needs. Bytes that no
// operation touches stay as they came: numbers keep all their digits and members their order. The
// zero Document is absent: it is no value at all, which differs from null and from {}.
//
// Every operation returns a Document and leaves its source unchanged, so a Document can be copied,
// kept, cached and used by any number of goroutines at once. A Document made from a part of another
// one may keep the other's bytes in memory; [Document.Clip] releases them. A step of a pipe that says
// pipe.Borrows has promised to keep none after it has returned: a copy by Clip is no part of it.
//
// # Names
//
// Names are compared by what they say, not by how they are written: "\u0073ecret" is secret. An
// object may repeat a name (RFC 8259, section 4). [Document.Get] returns the last of them, as
// encoding/json does. Set, Keep, Drop and Rename act on all of them, so that a reader that picks
// another one finds nothing that was taken out.
//
// # Output
//
// What a Document writes is valid JSON in UTF-8.
type Document struct{ n *node }

// Parse returns the JSON value in b with the default [Limits].
//
// It is strict and accepts only RFC 8259: one value with optional white space around it, no byte
// order mark, valid UTF-8, and no lone surrogate. Otherwise the error is a [*Error] with the offset
// that wraps [ErrSyntax], [ErrEncoding] or [ErrDepth]. Input without a value is an error too.
//
// The Document takes ownership of b without copying it: the caller must not write to b afterwards.
func Parse(b []byte) (Document, error) { return Limits{}.Parse(b) }

// MustParse is [Parse] for JSON that is written in code: it panics where Parse returns an error.
func MustParse(text string) Document {
	d, err := Parse([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("document: MustParse(%q): %v", text, err))
	}
	return d
}

// Of returns the JSON that [json.Marshal] makes of v. A Document is returned as it is, and nil
// becomes null. Of keeps nothing of v, so v may be changed afterwards.
//
// The error is a [*Error] that wraps the error of encoding/json. The output of a [json.Marshaler]
// is checked as by [Parse], with the same errors.
func Of(v any) (Document, error) { return of(Work{}, v) }

func of(w Work, v any) (Document, error) {
	if d, ok := v.(Document); ok {
		return d, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Document{}, &Error{Err: err}
	}
	return w.Parse(b)
}

// Kind returns the type of the value, [Absent] for the zero Document.
func (d Document) Kind() Kind {
	if d.n == nil {
		return Absent
	}
	return d.n.kind
}

// IsZero reports whether d is absent. encoding/json calls it for fields that are tagged omitzero.
func (d Document) IsZero() bool { return d.n == nil }

// Len returns the number of members of an object, counting each of several with equal names, or the
// number of elements of an array. It returns 0 for anything else.
func (d Document) Len() int {
	switch d.Kind() {
	case Object:
		return len(d.n.members(new(clock)))
	case Array:
		n := 0
		for range d.Elements() {
			n++
		}
		return n
	}
	return 0
}

// Members returns the members of an object in their order, including each of several with equal
// names. It yields nothing for anything else.
func (d Document) Members() iter.Seq2[string, Document] {
	return func(yield func(string, Document) bool) {
		if d.Kind() != Object {
			return
		}
		b := d.n.bytes()
		for _, s := range d.n.members(new(clock)) {
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

// Decode stores the value in the variable that v points to, by the rules of [json.Unmarshal]. The
// error is a [*Error] that wraps the error of encoding/json, or [ErrAbsent] if d is absent.
//
// Nothing in v shares memory with d.
func (d Document) Decode(v any) error { return d.decode(new(clock), v) }

func (d Document) decode(c *clock, v any) error {
	if d.IsZero() {
		return &Error{Err: ErrAbsent}
	}
	if p, ok := v.(*Document); ok && p != nil {
		*p = d.Clip()
		return nil
	}
	// A json.Unmarshaler may write to its input, so it gets a copy.
	if err := unmarshal(c, d.AppendJSON(make([]byte, 0, d.Size())), v, anyMethods); err != nil {
		return &Error{Err: err}
	}
	return nil
}

// AppendJSON appends the JSON text to dst and returns the extended buffer; an absent Document
// appends nothing. If dst has room for [Document.Size] bytes, AppendJSON does not allocate.
func (d Document) AppendJSON(dst []byte) []byte {
	if d.n == nil {
		return dst
	}
	return d.n.appendTo(dst)
}

// Size returns how many bytes [Document.AppendJSON] appends. It takes constant time.
func (d Document) Size() int {
	if d.n == nil {
		return 0
	}
	return d.n.size
}

// Clip returns the same value in memory of its own, which is exactly as large as its text, so that
// keeping the result keeps no other memory alive.
func (d Document) Clip() Document {
	if d.n == nil {
		return d
	}
	return raw(d.n.appendTo(make([]byte, 0, d.n.size)))
}

// String returns the JSON text, or "" if d is absent.
func (d Document) String() string { return string(d.AppendJSON(nil)) }

// MarshalJSON implements [json.Marshaler]. An absent Document is written as null, unless its field
// is tagged omitzero.
func (d Document) MarshalJSON() ([]byte, error) {
	if d.n == nil {
		return []byte("null"), nil
	}
	return d.n.appendTo(make([]byte, 0, d.n.size)), nil
}

// UnmarshalJSON implements [json.Unmarshaler]: it sets d to a copy of the value in b, which it
// checks as [Parse] does. It changes only this variable, not other copies of its old value.
func (d *Document) UnmarshalJSON(b []byte) error {
	parsed, err := Parse(slices.Clone(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
