package document

import (
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// A Decoder decodes documents into values of one type, for code that does so again and again. It
// gives encoding/json only the members that the type can use, which is several times faster where a
// document holds more than that.
//
// It is made by [DecoderOf], once for a type, and safe for concurrent use. It keeps buffers of up
// to 1 MiB for its next calls, and must not be copied.
type Decoder[T any] struct {
	code   bool // decoding runs code of the user
	narrow *narrowing

	wide    atomic.Int64 // documents for which narrowing is not tried
	buffers sync.Pool    // of *[]byte
}

// DecoderOf returns a decoder for T. It looks into the type, so it is for wiring.
func DecoderOf[T any]() *Decoder[T] {
	t := reflect.TypeFor[T]()
	m := unmarshalling(t)
	return &Decoder[T]{code: m.code, narrow: narrowTo(t, m, map[reflect.Type]*narrowing{})}
}

// RunsCode reports whether decoding may run code of a user, which may take its time or panic: an
// UnmarshalJSON or UnmarshalText of T, or of a type in it. Those of Document, [time.Time], [big.Int]
// and the types of [net/netip] do not count.
func (d *Decoder[T]) RunsCode() bool { return d.code }

// Decode stores the document in what v points to, by the rules of [json.Unmarshal]. It does what
// [Document.Decode] does, with the same errors, except that a T that is [Document] takes any
// document, the absent one too.
func (d *Decoder[T]) Decode(doc Document, v *T) error {
	if to, ok := any(v).(*Document); ok && to != nil {
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

// unmarshal decodes the text of a document. encoding/json copies what it keeps, but a method of the
// user may keep or write to its input.
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
	*buf, _ = d.narrow.append((*buf)[:0], text, 0, deepest)
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
