package endpoint

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// An Encoder writes a document as the body of an answer. It is safe for concurrent use.
//
// One that could not be made keeps its fault and has a method Fault() error, nil for none: New
// refuses a Spec with it.
type Encoder interface {
	// ContentTypes returns the values of Content-Type that the body may have, the preferred first.
	// The media type of each, without parameters, is what an Accept of the client is compared with.
	// It is called at wiring.
	ContentTypes() []string

	// Encode appends the body to dst and returns the extended buffer, which it does not keep. The
	// document is never absent. It is called before a byte of the answer is written, so an error is
	// a problem: of status 500, or 406 where Spec.Encode lets the client choose and the error wraps
	// ErrNotAcceptable. It must not wait for anything; see ContextEncoder.
	Encode(dst []byte, d document.Document) ([]byte, error)

	// String returns the name of the format in the plan, as in "xml".
	String() string
}

// A ContextEncoder is an [Encoder] that keeps an eye on the time. An encoder that may need more
// than a few milliseconds for the largest document should be one: the deadline of a call then holds
// while its answer is written, too. The encoders of sluice are.
type ContextEncoder interface {
	Encoder

	// EncodeContext is Encode, which is not called then. It looks at ctx every few thousand steps
	// and, once ctx is done, returns its error. The answer is then a problem of status 504, or none
	// if the client has gone.
	EncodeContext(ctx context.Context, dst []byte, d document.Document) ([]byte, error)
}

// encode calls an encoder.
func encode(ctx context.Context, e Encoder, dst []byte, d document.Document) ([]byte, error) {
	if e, ok := e.(ContextEncoder); ok {
		return e.EncodeContext(ctx, dst, d)
	}
	return e.Encode(dst, d)
}

// ErrNotAcceptable is why a client gets 406: it accepts none of the formats of Spec.Encode, or the
// one it chose cannot hold the document.
var ErrNotAcceptable = errors.New("no acceptable format")

// A Format is an [Encoder] of this package. The zero value is JSON.
type Format uint8

// The formats.
const (
	// JSON is the document as it is, as application/json.
	JSON Format = iota
	// XML is XML 1.0, as application/xml or text/xml; the package documentation shows how members
	// become elements. Whatever the document is can be written. An object of one member that is no
	// array gives the root element its name; any other root stands in an element "document".
	// [XMLRoot] names it, so that it is the same also where something is missing.
	//
	// XML of more than 32 MiB, and of more than four times the JSON, is an error: a long name is
	// repeated for every element of an array.
	XML
	// Text is the content of a string, or a number or bool, as text/plain. Any other document is an
	// error that wraps ErrNotAcceptable.
	Text
)

// ContentTypes returns what the format is called in HTTP.
func (f Format) ContentTypes() []string {
	switch f {
	case JSON:
		return []string{"application/json"}
	case XML:
		return []string{"application/xml", "text/xml"}
	case Text:
		return []string{"text/plain; charset=utf-8"}
	}
	return nil
}

// Encode appends the document in the format.
func (f Format) Encode(dst []byte, d document.Document) ([]byte, error) {
	return f.EncodeContext(context.Background(), dst, d)
}

// EncodeContext is Encode with a context; see [ContextEncoder].
func (f Format) EncodeContext(ctx context.Context, dst []byte, d document.Document) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	switch f {
	case JSON:
		return d.AppendJSON(dst), nil
	case XML:
		return appendXML(ctx, dst, d, "")
	case Text:
		text, ok := d.Text()
		if !ok {
			return dst, fmt.Errorf("text: %w for %s", ErrNotAcceptable, d.Kind())
		}
		return append(dst, text...), nil
	}
	return dst, fmt.Errorf("unknown %s", f)
}

// String returns the name of the format.
func (f Format) String() string {
	switch f {
	case JSON:
		return "json"
	case XML:
		return "xml"
	case Text:
		return "text"
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// XMLRoot returns the encoder [XML] whose root element always has this name; what is at the root of
// the document stands in it. A name that is not an ASCII name of XML without a colon is the Fault
// of the encoder: [New] refuses a Spec with it.
func XMLRoot(name string) Encoder {
	r := xmlRoot{name: name}
	beyond := strings.ContainsFunc(name, func(r rune) bool { return r > '~' })
	if name == "" || beyond || string(new(xmlWriter).appendName(nil, name, false)) != name {
		r.fault = fmt.Errorf("endpoint: XMLRoot: %q is not the name of an element", name)
	}
	return r
}

type xmlRoot struct {
	name  string
	fault error
}

func (r xmlRoot) Fault() error { return r.fault }

func (r xmlRoot) ContentTypes() []string { return XML.ContentTypes() }

func (r xmlRoot) Encode(dst []byte, d document.Document) ([]byte, error) {
	return r.EncodeContext(context.Background(), dst, d)
}

func (r xmlRoot) EncodeContext(ctx context.Context, dst []byte, d document.Document) ([]byte, error) {
	if r.fault != nil {
		return dst, r.fault
	}
	return appendXML(ctx, dst, d, r.name)
}

func (r xmlRoot) String() string { return "xml (" + r.name + ")" }

// Collection returns an encoder that answers, as application/json, with the array that the object
// has under a member, and nothing around it. Where the member is missing, as when the optional part
// that gives it has failed, that is an empty array. A document that is an array itself is written
// as it is. A value of another kind is an error.
func Collection(member string) Encoder {
	return collection{member, document.PathOf(member)}
}

type collection struct {
	member string
	path   document.Path
}

func (c collection) ContentTypes() []string { return JSON.ContentTypes() }

func (c collection) Encode(dst []byte, d document.Document) ([]byte, error) {
	return c.EncodeContext(context.Background(), dst, d)
}

func (c collection) EncodeContext(ctx context.Context, dst []byte, d document.Document) ([]byte, error) {
	if d.Kind() == document.Object {
		var err error
		if d, err = (document.Work{Context: ctx}).Get(d, c.path); err != nil {
			return dst, err
		}
		if d.IsZero() {
			return append(dst, '[', ']'), nil
		}
	}
	if d.Kind() != document.Array {
		return dst, fmt.Errorf("collection: want an array, got %s", d.Kind())
	}
	return d.AppendJSON(dst), nil
}

func (c collection) String() string { return "collection (" + c.member + ")" }

// A format is one media type that an endpoint answers with.
type format struct {
	encoder     Encoder
	contentType string
	main, sub   string // in lower case
	ours        bool   // runs no code of a user
}

// isOurs reports whether an encoder is sluice's.
func isOurs(e Encoder) bool {
	switch e.(type) {
	case Format, xmlRoot, collection:
		return true
	}
	return mark.On(e) // of a module of its own
}

// formatsOf returns the formats of a Spec in their order, and what is wrong with them. nil is JSON
// alone.
func formatsOf(encoders []Encoder) (formats []format, faults []error) {
	if len(encoders) == 0 || len(encoders) == 1 && encoders[0] == JSON {
		return nil, nil
	}
	for i, e := range encoders {
		if e == nil {
			faults = append(faults, fmt.Errorf("Encode %d is nil", i+1))
			continue
		}
		if f, ok := e.(interface{ Fault() error }); ok && f.Fault() != nil {
			faults = append(faults, fmt.Errorf("Encode %d: %w", i+1, f.Fault()))
			continue
		}
		types := e.ContentTypes()
		if len(types) == 0 {
			faults = append(faults, fmt.Errorf("Encode %d (%s) has no content type", i+1, e))
		}
		for _, contentType := range types {
			media, _, err := mime.ParseMediaType(contentType)
			main, sub, ok := strings.Cut(media, "/")
			if err != nil || !ok || strings.Contains(media, "*") || !field.IsValue(contentType) {
				faults = append(faults, fmt.Errorf("Encode %d (%s): %q is not a media type", i+1, e, contentType))
				continue
			}
			if slices.ContainsFunc(formats, func(f format) bool { return f.main == main && f.sub == sub }) {
				faults = append(faults, fmt.Errorf("Encode %d (%s): %s is there twice", i+1, e, media))
				continue
			}
			formats = append(formats, format{e, contentType, main, sub, isOurs(e)})
		}
	}
	return formats, faults
}

// formatNames tells a reader of the plan how the answer is written.
func formatNames(encoders []Encoder) string {
	names := make([]string, len(encoders))
	for i, e := range encoders {
		names[i] = e.String()
	}
	return strings.Join(names, " or ")
}

// chooseFormat returns the format of the answer, or nil for JSON, by the Accept of the client. If
// the client has a choice it adds Vary to header.
func (h *handler) chooseFormat(header http.Header, accept []string) (*format, error) {
	if len(h.formats) == 0 {
		return nil, nil
	}
	f := &h.formats[0]
	if len(h.spec.Encode) > 1 {
		header["Vary"] = append(slices.Clip(header["Vary"]), "Accept")
		if f = negotiate(accept, h.formats); f == nil {
			return nil, &proxy.Error{Status: http.StatusNotAcceptable, Op: "endpoint", Err: ErrNotAcceptable}
		}
	}
	if f.encoder == JSON {
		return nil, nil
	}
	return f, nil
}

// encode writes the document in a format other than JSON. A user's encoder gets a buffer of its
// own, since it may keep it.
func (h *handler) encode(ctx context.Context, f *format, d document.Document) (*[]byte, error) {
	var buf *[]byte
	var b []byte
	var err error
	if f.ours {
		buf = h.documentBuffer()
		b, err = encode(ctx, f.encoder, (*buf)[:0], d)
	} else {
		buf = new([]byte)
		if bug := apart(func() { b, err = encode(ctx, f.encoder, nil, d) }); bug != nil {
			return nil, hookError("encode", bug)
		}
	}
	if err == nil {
		*buf = b
		return buf, nil
	}
	status := http.StatusInternalServerError
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		status = 0 // that of the context
	}
	if len(h.spec.Encode) > 1 && errors.Is(err, ErrNotAcceptable) {
		status = http.StatusNotAcceptable
	}
	return nil, &proxy.Error{Status: status, Op: "encode", Err: err}
}
