package proxy

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// Decode returns a pipe that calls p and decodes the document of its answer into a T, by the rules of [json.Unmarshal].
// Status and headers of the answer end here; the response is closed.
//
//	user := proxy.Decode[User](users) // pipe.Pipe[*proxy.Request, User]
//
// A document that does not fit T is an [*Error] of status 502 and Op "decode" that wraps the [*DocumentError], with the
// name of p in the plan as its Backend. So is an answer without a document (204), which wraps [ErrAbsent], and null where
// T is a pointer or an interface: nothing is not the same as an empty T, and a pipe without an error has a response. Of a
// T that is [Document] any document will do, the absent one too. A response that is a stream is closed, and the error, of
// status 502 too, wraps [ErrStream].
//
// What is missing in a partial answer goes to [Incomplete], in the end to Err of the response that the innermost [Encode]
// makes. Where nobody collects it, it is the error.
//
// Decode panics if p is nil, or certain to answer with a stream (see [Streams]). A step is opaque in the plan where T has
// an UnmarshalJSON or UnmarshalText of its own.
func Decode[T any](p Proxy) pipe.Pipe[*Request, T] {
	if p == nil {
		panic("proxy: Decode: the proxy is nil")
	}
	if Streams(p) {
		panic("proxy: Decode: the proxy answers with a stream, which cannot be decoded")
	}
	t := reflect.TypeFor[T]()
	m := unmarshalling(t)
	d := &decoder{name: upstreamIn(pipe.PlanOf(p)), code: m.code, nilable: nilable(t),
		narrow: narrowTo(t, m, map[reflect.Type]*narrowing{})}
	call := func(ctx context.Context, req *Request) (T, error) {
		var none T
		res, err := Checked(p(ctx, req))
		if err != nil {
			return none, err
		}
		defer res.Close()
		var v T
		if err := d.decode(res, &v); err != nil {
			reportPanic(ctx, res.Err)
			return none, err
		}
		if res.Err != nil && !Incomplete(ctx, res.Err) {
			return none, &Error{Backend: d.name, Op: "decode", Err: fmt.Errorf("the answer is partial: %w", res.Err)}
		}
		return v, nil
	}
	return pipe.Describe(call, pipe.Step{Kind: "decode", Detail: t.String(), Source: pipe.Here(), Acts: pipe.Out,
		Effects: pipe.CallsOnce | pipe.Buffers | opaqueIf(d.code)}, p)
}

// A decoder is what Decode knows of its proxy and type.
type decoder struct {
	name    string // of the proxy
	code    bool   // decoding runs code of the user
	nilable bool   // null leaves nothing
	narrow  *narrowing

	wide    atomic.Int64 // documents for which narrowing is not tried
	buffers sync.Pool    // of *[]byte
}

// decode stores the document in what v points to.
func (d *decoder) decode(res *Response, v any) error {
	if res.open() {
		return d.failed(ErrStream)
	}
	doc := res.Document
	if to, ok := v.(*Document); ok {
		*to = doc
		return nil
	}
	switch {
	case doc.IsZero() || d.nilable && doc.Kind() == Null:
		return d.failed(&DocumentError{Err: ErrAbsent})
	}
	if err := d.unmarshal(doc.n.bytes(), v); err != nil {
		return d.failed(&DocumentError{Err: err})
	}
	return nil
}

// unmarshal decodes the text of a document. encoding/json copies what it keeps, but a method of the user may keep or write
// to its input.
func (d *decoder) unmarshal(text []byte, v any) error {
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

func (d *decoder) failed(err error) error {
	return &Error{Status: http.StatusBadGateway, Backend: d.name, Op: "decode", Err: err}
}

// Encode returns a proxy that calls p and answers with the JSON that [json.Marshal] makes of its value; a [Document] is
// answered as it is. The status is 200 and there are no headers.
//
//	page := proxy.Encode(flow.Join2(user, orders, render))
//
// What [Incomplete] was told below it is joined in Err of the response, in the order in which it was told, unless p
// fails. A value that has no JSON is an [*Error] of status 500 and Op "encode", and so is nil where T is a pointer or an
// interface: that wraps [ErrNoResponse].
//
// Encode panics if p is nil, or if T is *[Response]: then a Decode was forgotten. A step is opaque in the plan where encoding a T may run a method of the user.
func Encode[T any](p pipe.Pipe[*Request, T]) Proxy {
	if p == nil {
		panic("proxy: Encode: the pipe is nil")
	}
	t := reflect.TypeFor[T]()
	if t == reflect.TypeFor[*Response]() {
		panic("proxy: Encode: the pipe answers with a *Response, which is no value: decode it first")
	}
	m := marshalling(t)
	e := encoder{strict: m.code || m.loop, nilable: nilable(t)}
	call := func(ctx context.Context, req *Request) (*Response, error) {
		var c collector
		c.Context = ctx
		v, err := p(&c, req)
		missing := c.end()
		var doc Document
		if err == nil {
			doc, err = e.encode(v)
		}
		if err != nil {
			reportPanic(ctx, missing)
			return nil, err
		}
		return &Response{Status: http.StatusOK, Header: headerFor(Described(ctx)), Document: doc, Err: missing}, nil
	}
	return pipe.Describe(call, pipe.Step{Kind: "encode", Detail: t.String(), Source: pipe.Here(), Acts: pipe.Out,
		Effects: pipe.CallsOnce | pipe.Buffers | opaqueIf(m.code)}, p)
}

// An encoder is what Encode knows of its type.
type encoder struct {
	strict  bool // what encoding/json makes of it has to be checked
	nilable bool
}

func (e *encoder) encode(v any) (Document, error) {
	if e.nilable && isNil(v) {
		return Document{}, &Error{Status: http.StatusInternalServerError, Op: "encode", Err: ErrNoResponse}
	}
	var doc Document
	var err error
	if _, ok := v.(Document); ok || e.strict {
		doc, err = DocumentOf(v)
	} else {
		doc, err = ownJSON(v)
	}
	return doc, wrapError("encode", http.StatusInternalServerError, err)
}

// ownJSON is DocumentOf for a value whose JSON is sure to be a document: it need not be read again.
func ownJSON(v any) (Document, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Document{}, &DocumentError{Err: err}
	}
	return raw(b), nil
}

func nilable(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface
}

func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

func opaqueIf(code bool) pipe.Effects {
	if code {
		return pipe.Opaque
	}
	return 0
}

// upstreamIn returns the first name in a plan that is not that of a decorator, or "" where there is none before the plan
// forks.
func upstreamIn(plan *pipe.Step) string {
	for step := range plan.All() {
		leaf := len(step.Steps) == 0 && step.Source != "" // else the name of a function is the place where it is written
		if step.Name != "" && (step.Kind != "func" || leaf) {
			return step.Name
		}
		if len(step.Steps) > 1 && step.Layout != pipe.Around {
			return ""
		}
	}
	return ""
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
