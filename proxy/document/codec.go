package document

import (
	"encoding"
	"encoding/json"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Decoder decodes documents into values of one type, for code that does so again and again. It gives encoding/json only
// the members that the type can use, which is several times faster where a document holds more than that. It is made by
// [DecoderOf] and safe for concurrent use.
type Decoder[T any] struct {
	code   bool // decoding runs code of the user
	narrow *narrowing

	wide    atomic.Int64 // documents for which narrowing is not tried
	buffers sync.Pool    // of *[]byte
}

// DecoderOf returns the decoder for T.
func DecoderOf[T any]() *Decoder[T] {
	t := reflect.TypeFor[T]()
	m := unmarshalling(t)
	return &Decoder[T]{code: m.code, narrow: narrowTo(t, m, map[reflect.Type]*narrowing{})}
}

// RunsCode reports whether decoding may run code of a user: an UnmarshalJSON or UnmarshalText of T, or of a type in it.
func (d *Decoder[T]) RunsCode() bool { return d.code }

// Decode stores the document in what v points to, by the rules of [json.Unmarshal], as [Document.Decode] does; the error
// is the same too.
func (d *Decoder[T]) Decode(doc Document, v *T) error {
	if to, ok := any(v).(*Document); ok {
		*to = doc
		return nil
	}
	if doc.IsZero() {
		return &Error{Err: ErrAbsent}
	}
	if err := d.unmarshal(doc.n.bytes(), v); err != nil {
		return &Error{Err: err}
	}
	return nil
}

// unmarshal decodes the text of a document. encoding/json copies what it keeps, but a method of the user may keep or write
// to its input.
func (d *Decoder[T]) unmarshal(text []byte, v *T) error {
	if d.narrow == nil || d.wide.Load() > 0 && d.wide.Add(-1) >= 0 {
		if d.code {
			text = slices.Clone(text)
		}
		return json.Unmarshal(text, v)
	}
	buf, _ := d.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	*buf, _ = d.narrow.append((*buf)[:0], text, 0)
	if len(*buf) > len(text)/4*3 {
		d.wide.Store(wideFor)
	}
	err := json.Unmarshal(*buf, v)
	if !d.code && cap(*buf) <= maxPooled {
		d.buffers.Put(buf)
	}
	return err
}

// wideFor is how many documents are decoded as they are after one of which narrowing left most.
const wideFor = 31

// maxPooled is the largest buffer that is kept: one huge document must not stay in memory.
const maxPooled = 1 << 20

// An Encoder makes documents of values of one type. It is made by [EncoderOf] and safe for concurrent use.
type Encoder[T any] struct {
	code   bool // encoding runs code of the user
	strict bool // what encoding/json makes of a value has to be checked
}

// EncoderOf returns the encoder for T.
func EncoderOf[T any]() *Encoder[T] {
	m := marshalling(reflect.TypeFor[T]())
	return &Encoder[T]{code: m.code, strict: m.code || m.loop}
}

// RunsCode reports whether encoding may run code of a user: a MarshalJSON, MarshalText or IsZero of T, or of what is in it.
func (e *Encoder[T]) RunsCode() bool { return e.code }

// Encode returns what [Of] does. Where encoding/json alone has written the JSON it is not checked again.
func (e *Encoder[T]) Encode(v T) (Document, error) {
	if _, ok := any(v).(Document); ok || e.strict {
		return Of(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Document{}, &Error{Err: err}
	}
	return raw(b), nil
}

// A methods is what a type is searched for: how encoding/json may run code of the user for a value of it.
type methods struct {
	by   []reflect.Type // interfaces
	any  bool           // in an interface there may be a value of any type
	code bool           // found
	loop bool           // found: the type contains itself or raw JSON, so what is made of it may be no document
	seen map[reflect.Type]bool
}

func unmarshalling(t reflect.Type) *methods {
	m := &methods{seen: map[reflect.Type]bool{},
		by: []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}}
	m.search(t, nil)
	return m
}

func marshalling(t reflect.Type) *methods {
	m := &methods{any: true, seen: map[reflect.Type]bool{},
		by: []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](),
			reflect.TypeFor[interface{ IsZero() bool }]()}}
	m.search(t, nil)
	return m
}

// known are types whose methods return, keep nothing of what they read, and write what ParseDocument accepts.
var known = []reflect.Type{reflect.TypeFor[Document](), reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int](),
	reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix]()}

// has reports whether t has such a method itself.
func (m *methods) has(t reflect.Type) bool {
	return slices.ContainsFunc(m.by, func(i reflect.Type) bool { return t.Implements(i) || reflect.PointerTo(t).Implements(i) })
}

// search looks into t, which stands inside the types given.
func (m *methods) search(t reflect.Type, inside []reflect.Type) {
	switch {
	case slices.Contains(known, t):
		return
	case t == reflect.TypeFor[json.RawMessage](), slices.Contains(inside, t):
		m.loop = true
		return
	case m.seen[t]:
		return
	}
	m.seen[t] = true
	m.code = m.code || m.has(t)
	inside = append(inside, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		m.search(t.Elem(), inside)
	case reflect.Map:
		m.search(t.Key(), inside)
		m.search(t.Elem(), inside)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" {
				m.search(f.Type, inside)
			}
		}
	case reflect.Interface:
		m.code = m.code || m.any
	}
}
