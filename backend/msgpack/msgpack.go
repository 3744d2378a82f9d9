// Package msgpack decodes the answers of upstreams that speak MessagePack.
//
//	p, err := backend.New(backend.Spec{
//		Name: "stock", URL: "http://stock:8080/{id}", Decode: msgpack.Decoder{},
//	})
//
// For upstreams that also speak another format, use backend.Auto:
//
//	Decode: backend.Auto(map[string]backend.Decoder{"application/msgpack": msgpack.Decoder{}})
//
// # How values are mapped
//
//	nil, bool           null, true, false
//	int, uint           the number
//	float 32, float 64  the shortest number that reads back the same; NaN and infinities are errors
//	str                 a string; it must be UTF-8
//	bin                 a string in base64 (RFC 4648, section 4)
//	array, map          array, object, in the order of the source
//	timestamp           a string (RFC 3339, in UTC) with as many decimals as it needs,
//	                    for the years 0 to 9999
//	other extensions    an error
//
// The key of a map is a str, or an integer or bool, which becomes the string of its text. Any other
// key is an error. The body is one value; bytes after it are an error. The JSON is at most eight
// times as long as the body.
package msgpack

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/tinylib/msgp/msgp"
)

const maxDepth = 10_000 // each level recurses

// A Decoder is a backend.Decoder. It is safe for concurrent use.
type Decoder struct {
	// Depth is how deep arrays and maps may be nested. 0 means 512; a negative value means the
	// maximum, 10,000.
	Depth int
}

// String returns "msgpack".
func (d Decoder) String() string { return "msgpack" }

// Mark says that the decoder is part of sluice, so that a call needs no goroutine to guard against
// it.
func (Decoder) Mark() mark.Type { return mark.TypeOf[Decoder]() }

var (
	errSyntax    = errors.New("not MessagePack")
	errTrailing  = errors.New("bytes after the value")
	errUTF8      = errors.New("a string is not UTF-8")
	errNumber    = errors.New("a number that JSON does not have")
	errKey       = errors.New("a key that is neither string, integer nor bool")
	errExtension = errors.New("an extension that is not a timestamp")
	errTime      = errors.New("a timestamp outside the years 0 to 9999")
)

// Decode returns the document that body contains. It ignores the content type.
func (d Decoder) Decode(contentType string, body []byte) (document.Document, error) {
	return d.DecodeContext(context.Background(), contentType, body)
}

// DecodeContext is Decode with a context; see backend.ContextDecoder.
func (d Decoder) DecodeContext(ctx context.Context, _ string, body []byte) (document.Document, error) {
	limit := d.Depth
	switch {
	case limit == 0:
		limit = document.DefaultDepth
	case limit < 0 || limit > maxDepth:
		limit = maxDepth
	}
	r := reader{ctx: ctx, size: len(body), in: body, out: make([]byte, 0, len(body)+len(body)/4), limit: limit}
	err := r.value(0)
	if err == nil && len(r.in) > 0 {
		err = errTrailing
	}
	if err != nil {
		return document.Document{}, fmt.Errorf("msgpack: offset %d: %w", len(body)-len(r.in), err)
	}
	return document.Work{Context: ctx, Limits: document.Limits{Depth: limit}}.Parse(r.out)
}

// A reader writes the values that it reads as JSON. It never allocates by the length that a header
// announces, but only for what the body contains.
type reader struct {
	ctx   context.Context
	steps int
	size  int    // of the body
	in    []byte // the rest of the body
	out   []byte
	limit int
}

func (r *reader) value(depth int) error {
	if r.steps++; r.steps%1024 == 0 && r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	r.room(64)
	switch msgp.NextType(r.in) {
	case msgp.NilType:
		r.in = r.in[1:]
		r.out = append(r.out, "null"...)
		return nil
	case msgp.BinType:
		b, rest, err := msgp.ReadBytesZC(r.in)
		if err != nil {
			return errSyntax
		}
		r.in = rest
		r.out = append(base64.StdEncoding.AppendEncode(append(r.out, '"'), b), '"')
		return nil
	case msgp.Float32Type:
		f, rest, err := msgp.ReadFloat32Bytes(r.in)
		return r.float(float64(f), 32, rest, err)
	case msgp.Float64Type:
		f, rest, err := msgp.ReadFloat64Bytes(r.in)
		return r.float(f, 64, rest, err)
	case msgp.ArrayType:
		return r.array(depth + 1)
	case msgp.MapType:
		return r.object(depth + 1)
	case msgp.StrType:
		return r.text()
	case msgp.BoolType, msgp.IntType, msgp.UintType:
		return r.plain()
	case msgp.InvalidType:
		return errSyntax
	}
	return r.timestamp()
}

// room makes room for n bytes. It expects that the rest grows as what was read did.
func (r *reader) room(n int) {
	if cap(r.out)-len(r.out) < n {
		read := r.size - len(r.in) + 1
		r.out = slices.Grow(r.out, n+int(float64(len(r.out))*1.1/float64(read)*float64(len(r.in))))
	}
}

// plain appends an integer or a bool.
func (r *reader) plain() (err error) {
	var rest []byte
	switch msgp.NextType(r.in) {
	case msgp.BoolType:
		var b bool
		if b, rest, err = msgp.ReadBoolBytes(r.in); err == nil {
			r.out = strconv.AppendBool(r.out, b)
		}
	case msgp.UintType:
		var n uint64
		if n, rest, err = msgp.ReadUint64Bytes(r.in); err == nil {
			r.out = strconv.AppendUint(r.out, n, 10)
		}
	default:
		var n int64
		if n, rest, err = msgp.ReadInt64Bytes(r.in); err == nil {
			r.out = strconv.AppendInt(r.out, n, 10)
		}
	}
	if err != nil {
		return errSyntax
	}
	r.in = rest
	return nil
}

func (r *reader) float(f float64, bits int, rest []byte, err error) error {
	switch {
	case err != nil:
		return errSyntax
	case math.IsNaN(f), math.IsInf(f, 0):
		return errNumber
	}
	r.in = rest
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) { // as encoding/json does
		format = 'e'
	}
	r.out = strconv.AppendFloat(r.out, f, format, -1, bits)
	return nil
}

func (r *reader) text() error {
	s, rest, err := msgp.ReadStringZC(r.in)
	switch {
	case err != nil:
		return errSyntax
	case !utf8.Valid(s):
		return errUTF8
	}
	n := len(s) + 2
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' {
			n += len(`\u0000`) - 1
		}
	}
	r.room(n)
	r.in = rest
	r.out, err = document.AppendStringContext(r.ctx, r.out, s)
	return err
}

func (r *reader) array(depth int) error {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.in)
	switch {
	case err != nil:
		return errSyntax
	case depth > r.limit:
		return document.ErrDepth
	}
	r.in = rest
	r.out = append(r.out, '[')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.value(depth); err != nil {
			return err
		}
	}
	r.out = append(r.out, ']')
	return nil
}

func (r *reader) object(depth int) error {
	n, rest, err := msgp.ReadMapHeaderBytes(r.in)
	switch {
	case err != nil:
		return errSyntax
	case depth > r.limit:
		return document.ErrDepth
	}
	r.in = rest
	r.out = append(r.out, '{')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.key(); err != nil {
			return err
		}
		r.out = append(r.out, ':')
		if err := r.value(depth); err != nil {
			return err
		}
	}
	r.out = append(r.out, '}')
	return nil
}

func (r *reader) key() error {
	switch msgp.NextType(r.in) {
	case msgp.StrType:
		return r.text()
	case msgp.BoolType, msgp.IntType, msgp.UintType:
		r.out = append(r.out, '"')
		err := r.plain()
		r.out = append(r.out, '"')
		return err
	case msgp.InvalidType:
		return errSyntax
	}
	return errKey
}

// timestamp appends the extension of type -1. The other extensions that the library knows are its
// own, not part of MessagePack.
func (r *reader) timestamp() error {
	const ext8, timestampType = 0xc7, 0xff
	at := 1 // the offset of the type: after the first byte, or after the length
	if r.in[0] == ext8 {
		at = 2
	}
	if len(r.in) <= at {
		return errSyntax
	}
	if r.in[at] != timestampType {
		return errExtension
	}
	t, rest, err := msgp.ReadTimeUTCBytes(r.in)
	if err != nil {
		return errSyntax
	}
	if t.Year() < 0 || t.Year() > 9999 {
		return errTime
	}
	r.in = rest
	r.out = append(t.AppendFormat(append(r.out, '"'), time.RFC3339Nano), '"')
	return nil
}
