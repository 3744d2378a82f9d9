package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync/atomic"
)

// Why a document is refused or an operation on one fails. They travel in a [*Error] or a [*MergeError].
var (
	// ErrSyntax says that the bytes are not one JSON text of RFC 8259: empty input, a byte order mark and anything
	// but white space after the value are among it.
	ErrSyntax = errors.New("invalid JSON")
	// ErrEncoding says that a string is not Unicode: invalid UTF-8, or an escaped surrogate without its pair.
	ErrEncoding = errors.New("invalid UTF-8 or lone surrogate")
	// ErrDepth says that arrays and objects are nested deeper than [Limits] allow.
	ErrDepth = errors.New("nested too deep")
	// ErrMembers says that the root object has more members than [Limits] or [Merge] allow.
	ErrMembers = errors.New("too many members")
	// ErrNotObject says that a value of another kind stands where an object is needed.
	ErrNotObject = errors.New("not an object")
	// ErrNotArray says that a value of another kind stands where an array is needed.
	ErrNotArray = errors.New("not an array")
	// ErrAbsent says that there is no value where one is needed.
	ErrAbsent = errors.New("no document")
	// ErrConflict says that two documents have a member of the same name where they must not.
	ErrConflict = errors.New("a member is in two parts")
	// ErrPath says that a text is not a path, see [ParsePath].
	ErrPath = errors.New("invalid path")
)

// A DocumentError says where a document, or a path, is at fault. It holds no byte of the payload, except what an error of
// encoding/json in it quotes.
type Error struct {
	// Offset is the byte at which parsing stopped; it is zero where nothing was parsed.
	Offset int
	// Path is the path up to the value in the way; it is empty where no path is involved.
	Path string
	// Err is the reason: it is or wraps one of ErrSyntax, ErrEncoding, ErrDepth, ErrMembers, ErrNotObject, ErrAbsent
	// and ErrPath, or is an error of encoding/json.
	Err error
}

// Error returns the place and the reason in one line.
func (e *Error) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("document: path %q: %v", e.Path, e.Err)
	}
	switch e.Err { // not what it wraps: only these come with an offset
	case ErrSyntax, ErrEncoding, ErrDepth, ErrMembers:
		return fmt.Sprintf("document: %v at offset %d", e.Err, e.Offset)
	}
	return fmt.Sprintf("document: %v", e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A Kind is the type of a JSON value, or Absent where there is none.
type Kind uint8

// The kinds of a [Document].
const (
	// Absent is the kind of the zero Document.
	Absent Kind = iota
	// Null is the literal null.
	Null
	// Bool is true or false.
	Bool
	// Number is a number of any size and precision.
	Number
	// String is a string.
	String
	// Array is an array, with or without elements.
	Array
	// Object is an object, with or without members.
	Object
)

// String returns the name of the kind in lower case.
func (k Kind) String() string {
	names := [...]string{"absent", "null", "bool", "number", "string", "array", "object"}
	if int(k) >= len(names) {
		return "kind " + strconv.Itoa(int(k))
	}
	return names[k]
}

// DefaultDepth is how deep the arrays and objects of a document may be nested when [Limits] say nothing.
const DefaultDepth = 512

// DefaultMembers is how many members the root of a merged object may have when [Merge] is told nothing.
const DefaultMembers = 100_000

// Limits bound what [Limits.Parse] accepts. The zero value is the default. The size in bytes is for whoever reads them
// to bound.
type Limits struct {
	// Depth is how deep arrays and objects may be nested: 1 allows [] but not [[]]. 0 means 512 ([DefaultDepth]), less
	// than 0 no limit.
	Depth int
	// Members is how many members the root may have if it is an object; equal names count each. 0 and less mean no
	// limit: a parsed document is bounded by its bytes, and [Merge] has its own limit.
	Members int
}

// A Document is an immutable JSON value: what an upstream answered, a client sent or a pipe made.
//
// It holds the validated bytes and looks into them only as far as it is asked. Every byte nobody touches stays as it
// came: numbers keep all their digits and members their order. Any value may be the root. The zero Document is absent,
// there is no value at all, which is different from null and from {}.
//
// Every operation returns a Document and leaves its source as it was, so a Document can be copied, kept, cached and
// used by any number of goroutines at once. A Document made from a part of another one may keep the other's bytes
// alive; [Document.Clip] cuts it loose.
//
// # Names
//
// Names compare by what they say, not by how they are written: "\u0073ecret" is secret. An object may repeat a name
// (RFC 8259, section 4): [Document.Get] answers the last of them, as encoding/json does, and Set, Keep, Drop and
// Rename act on all of them, so that a reader with another rule finds nothing that was taken out.
//
// # Output
//
// What a Document writes is valid JSON in UTF-8.
type Document struct{ n *node }

// ParseDocument returns the JSON value in b with default [Limits].
//
// It is strict: RFC 8259 and nothing else, one value with optional white space around it, no byte order mark, valid
// UTF-8, no lone surrogate. Otherwise the error is a [*Error] with the offset that wraps [ErrSyntax],
// [ErrEncoding] or [ErrDepth]; input without a value is an error too.
//
// The Document takes over b without a copy: the caller must not write to it any more.
func Parse(b []byte) (Document, error) { return Limits{}.Parse(b) }

// MustParse returns the JSON value in text as [Parse] does, for a literal in code. It panics if text is not valid.
func MustParse(text string) Document {
	d, err := Parse([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("document: MustParse(%q): %v", text, err))
	}
	return d
}

// Parse is [Parse] with these limits; the error may wrap [ErrMembers] too.
func (l Limits) Parse(b []byte) (Document, error) {
	s, err := scan(b, l)
	if err != nil {
		return Document{}, err
	}
	raw := b[s.start:s.end:s.end]
	return Document{&node{kind: kindOf(raw[0]), size: len(raw), raw: raw, spans: s.spans}}, nil
}

// DocumentOf returns the JSON that encoding/json makes of v. A Document answers itself, and nil is null.
//
// The error is a [*Error] that wraps the one of encoding/json, or the reason why its output is refused as by
// [Parse], which a json.Marshaler can cause. v can be changed afterwards.
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

// Len returns the number of members of an object, counting equal names each, or of elements of an array. It is 0 for
// anything else.
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

// Members returns the members of an object in their order, with equal names each. It yields nothing for anything else.
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

// Text returns a scalar without quotes: the content of a string, or the literal of a number or bool as it came. It
// returns false for null, arrays, objects and the absent Document.
func (d Document) Text() (string, bool) {
	switch d.Kind() {
	case String:
		return unquote(d.n.bytes()), true
	case Number, Bool:
		return string(d.n.bytes()), true
	}
	return "", false
}

// Decode stores the value in what v points to, by the rules of [json.Unmarshal]. The error is a [*Error] that
// wraps the one of encoding/json, or [ErrAbsent] if d is absent.
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

// AppendJSON appends the JSON text to dst and returns the extended buffer; an absent Document appends nothing. With
// room for [Document.Size] bytes in dst it does not allocate.
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

// Clip returns the same value in memory of its own, exactly as large as its text, so that keeping it keeps nothing else
// alive.
func (d Document) Clip() Document {
	if d.n == nil {
		return d
	}
	return raw(d.n.appendTo(make([]byte, 0, d.n.size)))
}

// String returns the JSON text, and "" if d is absent.
func (d Document) String() string { return string(d.AppendJSON(nil)) }

// MarshalJSON implements [json.Marshaler]. An absent Document is null, unless its field is tagged omitzero.
func (d Document) MarshalJSON() ([]byte, error) {
	if d.n == nil {
		return []byte("null"), nil
	}
	return d.n.appendTo(make([]byte, 0, d.n.size)), nil
}

// UnmarshalJSON implements [json.Unmarshaler]: it replaces d by the value in b, which is copied, as [Parse]
// does. It changes the variable, never the value that other copies of d have.
func (d *Document) UnmarshalJSON(b []byte) error {
	parsed, err := Parse(slices.Clone(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// A node is one value: either its text in one slice, or a rope, the slices that make its text one after another.
// Everything but lazy is set once, before the node is shared.
type node struct {
	kind  Kind
	size  int
	raw   []byte   // the text; nil in a rope
	rope  [][]byte // the text in pieces, none of them empty
	spans []span   // members of an object; nil if not known yet. Offsets are into the text, in a rope too
	lazy  atomic.Pointer[lazy]
}

// A lazy is what a node found out about itself when asked.
type lazy struct {
	raw   []byte
	spans []span
}

// A span is where a member of an object stands: name is at its opening quote, nameEnd behind the closing one.
type span struct{ name, nameEnd, value, end int }

// raw returns the Document whose text is b: valid, without white space around.
func raw(b []byte) Document {
	return Document{&node{kind: kindOf(b[0]), size: len(b), raw: b}}
}

// slice returns the Document whose text is a part of b.
func slice(b []byte, from, to int) Document { return raw(b[from:to:to]) }

func kindOf(first byte) Kind {
	switch first {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

func (n *node) appendTo(dst []byte) []byte {
	if b := n.joined(); b != nil {
		return append(dst, b...)
	}
	dst = slices.Grow(dst, n.size)
	for _, piece := range n.rope {
		dst = append(dst, piece...)
	}
	return dst
}

// appendPieces appends the text from one offset to another as pieces.
func (n *node) appendPieces(dst [][]byte, from, to int) [][]byte {
	if b := n.joined(); b != nil {
		return append(dst, b[from:to:to])
	}
	for _, piece := range n.rope {
		if to <= 0 {
			break
		}
		if from < len(piece) {
			dst = append(dst, piece[max(from, 0):min(to, len(piece))])
		}
		from, to = from-len(piece), to-len(piece)
	}
	return dst
}

// joined returns the text if it is in one slice, else nil.
func (n *node) joined() []byte {
	if n.raw != nil {
		return n.raw
	}
	if l := n.lazy.Load(); l != nil {
		return l.raw
	}
	return nil
}

// part returns a part of the text in one slice.
func (n *node) part(from, to int) []byte {
	if b := n.joined(); b != nil {
		return b[from:to]
	}
	return n.rope[0][from:to] // only Wrap makes a rope that knows its members, and its name is in the first piece
}

// bytes returns the text in one slice, joining a rope once.
func (n *node) bytes() []byte {
	if b := n.joined(); b != nil {
		return b
	}
	return n.learn(n.spans).raw
}

// members returns where the members of an object stand, looking for them once.
func (n *node) members() []span {
	if n.spans != nil {
		return n.spans
	}
	if l := n.lazy.Load(); l != nil && l.spans != nil {
		return l.spans
	}
	b := n.bytes()
	spans := []span{}
	for c := open(b, 0); c.member(); {
		c.skip()
		spans = append(spans, c.span)
	}
	return n.learn(spans).spans
}

// learn publishes what was found out. Two goroutines may do the work twice; either result is right.
func (n *node) learn(spans []span) *lazy {
	l := &lazy{raw: n.raw, spans: spans}
	if old := n.lazy.Load(); old != nil {
		l.raw = old.raw
	}
	if l.raw == nil {
		l.raw = n.appendTo(make([]byte, 0, n.size))
	}
	n.lazy.Store(l)
	return l
}
