package document

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// A Decoder decodes documents into values of one type, for code that does so repeatedly. It gives
// encoding/json only the members that the type can use. If a document holds much more than that,
// this is several times faster.
//
// Make a Decoder with [DecoderOf], once per type. It is safe for concurrent use. It keeps buffers
// of up to 1 MiB between calls, and must not be copied.
type Decoder[T any] struct {
	code       bool // decoding runs code of the user
	by         *methods
	projection *projection // nil if T can use all of a document

	wide    atomic.Int64 // how many more documents to decode without projection
	buffers sync.Pool    // of *[]byte
}

// DecoderOf returns a decoder for T. It inspects the type, which is slow, so call it at wiring.
func DecoderOf[T any]() *Decoder[T] {
	t := reflect.TypeFor[T]()
	m := unmarshalMethods(t)
	return &Decoder[T]{code: m.code, by: m, projection: projectionOf(t, m, map[reflect.Type]*projection{})}
}

// RunsCode reports whether decoding may run code of a user, which may be slow or panic: an
// UnmarshalJSON or UnmarshalText method of T or of a type in it. The methods of Document,
// [time.Time], [big.Int] and the types of [net/netip] do not count.
func (d *Decoder[T]) RunsCode() bool { return d.code }

// Decode stores the document in the value that v points to, by the rules of [json.Unmarshal]. It
// does what [Document.Decode] does, with the same errors, except that a T that is [Document] takes
// any document, including the absent one, and is the document itself, not a copy.
func (d *Decoder[T]) Decode(doc Document, v *T) error {
	return d.DecodeContext(context.Background(), doc, v)
}

// DecodeContext is Decode until ctx ends, with the error of ctx, not wrapped; see [Work.Decode].
func (d *Decoder[T]) DecodeContext(ctx context.Context, doc Document, v *T) (err error) {
	c := clock{ctx: ctx}
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end(new(Document), &err)
	if to, ok := any(v).(*Document); ok && to != nil {
		*to = doc
		return nil
	}
	if doc.IsZero() {
		return &Error{Err: ErrAbsent}
	}
	if err := d.unmarshal(&c, doc.n.bytes(), v); err != nil {
		return &Error{Err: err}
	}
	return nil
}

// unmarshal decodes the text of a document. encoding/json copies what it keeps, but a method of the
// user may keep its input or write to it.
func (d *Decoder[T]) unmarshal(c *clock, text []byte, v *T) error {
	if d.projection == nil || d.wide.Load() > 0 && d.wide.Add(-1) >= 0 {
		if d.code {
			text = slices.Clone(text)
		}
		return unmarshal(c, text, v, d.by)
	}
	buf, _ := d.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	*buf, _ = d.projection.append(c, (*buf)[:0], text, 0, deepest)
	if len(*buf) > len(text)/4*3 {
		d.wide.Store(wideFor)
	}
	err := unmarshal(c, *buf, v, d.by)
	if !d.code && cap(*buf) <= maxPooled {
		d.buffers.Put(buf)
	}
	return err
}

// wideFor is how many documents are decoded without projection after a document of which projection
// kept most.
const wideFor = 31

// maxPooled is the largest buffer that is kept, so that one huge document does not stay in memory.
const maxPooled = 1 << 20
