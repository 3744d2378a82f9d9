package backend

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Decoder makes a Document of the body of an upstream's answer. It is safe for concurrent use.
//
// A decoder that was configured wrongly reports that with a method Fault() error, which returns nil
// if nothing is wrong. New refuses a Spec whose decoder has a fault.
type Decoder interface {
	// Decode returns the document that body contains. The body is whole, decompressed, not empty
	// and at most Spec.MaxBytes long; it belongs to the decoder. contentType is the Content-Type of
	// the answer, as sent. An error fails the call with 502; its text must not repeat the body.
	Decode(contentType string, body []byte) (document.Document, error)

	// String returns the name of the format in the plan, such as "json".
	String() string
}

// A ContextDecoder is a [Decoder] that keeps an eye on the time. A decoder that may need more than
// a few milliseconds for the largest body should be one: the deadline of a call then holds while
// the body is decoded, too. The decoders of sluice are.
//
// A decoder of yours that is no ContextDecoder cannot be interrupted. The deadline holds
// nevertheless, but the abandoned work goes on; see [proxy.Hold].
type ContextDecoder interface {
	Decoder

	// DecodeContext is Decode, which is not called then. It looks at ctx every few thousand steps
	// and, once ctx is done, returns an error. The call fails with the error of ctx.
	DecodeContext(ctx context.Context, contentType string, body []byte) (document.Document, error)
}

// decode calls a decoder.
func decode(ctx context.Context, d Decoder, contentType string, body []byte) (document.Document, error) {
	if d, ok := d.(ContextDecoder); ok {
		return d.DecodeContext(ctx, contentType, body)
	}
	return d.Decode(contentType, body)
}

// A Format is a [Decoder] of this package. The zero value is JSON.
type Format uint8

// The formats.
const (
	// JSON is one JSON text, strictly by RFC 8259; see [document.Parse]. It ignores the content
	// type. [JSONWith] sets other limits.
	JSON Format = iota
	// Text makes a JSON string of the body, which must be UTF-8.
	Text
	// Passthrough makes no document: the answer is a stream. It has the upstream's status,
	// end-to-end headers, bytes and trailers as they come. It also passes on informational answers
	// (RFC 9110, section 15.2), and an upgraded connection (section 7.8) if the client asked for
	// it.
	Passthrough
	// XML is one XML document (1.0, strictly, in UTF-8, US-ASCII, ISO-8859-1 or windows-1252), read
	// as an object in the way that the package documentation shows. Only the five entities that XML
	// defines exist: a document type declaration is refused. [XMLWith] has options.
	XML
)

var errStream = errors.New("a passthrough is not decoded")
var errUTF8 = errors.New("the text is not UTF-8")

// Decode returns the document that body contains; see [Decoder]. With Passthrough it returns an
// error.
func (f Format) Decode(contentType string, body []byte) (document.Document, error) {
	return f.DecodeContext(context.Background(), contentType, body)
}

// DecodeContext is Decode with a context; see [ContextDecoder].
func (f Format) DecodeContext(ctx context.Context, contentType string, body []byte) (document.Document, error) {
	switch f {
	case JSON:
		return document.Work{Context: ctx}.Parse(body)
	case Text:
		if !utf8.Valid(body) {
			return document.Document{}, errUTF8
		}
		text, err := quoted(ctx, body)
		if err != nil {
			return document.Document{}, err
		}
		return document.Work{Context: ctx}.Parse(text)
	case Passthrough:
		return document.Document{}, errStream
	case XML:
		return (&xmlDecoder{}).DecodeContext(ctx, contentType, body)
	}
	return document.Document{}, fmt.Errorf("unknown %s", f)
}

// quoted returns a text as a JSON string, in memory of the right size.
func quoted(ctx context.Context, text []byte) ([]byte, error) {
	n := len(`""`) + len(text)
	for _, c := range text {
		switch {
		case c == '"', c == '\\', c == '\b', c == '\f', c == '\n', c == '\r', c == '\t':
			n += len(`\n`) - 1
		case c < ' ':
			n += len(`\u0000`) - 1
		}
	}
	return document.AppendStringContext(ctx, make([]byte, 0, n), text)
}

// String returns the name of the format.
func (f Format) String() string {
	switch f {
	case JSON:
		return "json"
	case Text:
		return "text"
	case Passthrough:
		return "passthrough"
	case XML:
		return "xml"
	}
	return fmt.Sprintf("format %d", uint8(f))
}

// JSONWith returns a decoder that is [JSON] with these limits of depth and members. [XMLWith] is
// its counterpart for XML.
func JSONWith(l document.Limits) Decoder { return jsonLimits(l) }

type jsonLimits document.Limits

func (l jsonLimits) Decode(contentType string, body []byte) (document.Document, error) {
	return l.DecodeContext(context.Background(), contentType, body)
}

func (l jsonLimits) DecodeContext(ctx context.Context, _ string, body []byte) (document.Document, error) {
	return document.Work{Context: ctx, Limits: document.Limits(l)}.Parse(body)
}

func (l jsonLimits) String() string { return "json" }

// faultsOf returns the faults of a decoder, one by one.
func faultsOf(d Decoder) []error {
	if f, ok := d.(Format); ok && f > XML {
		return []error{fmt.Errorf("there is no %s", f)}
	}
	f, ok := d.(interface{ Fault() error })
	if !ok {
		return nil
	}
	err := f.Fault()
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if all := joined.Unwrap(); errors.Join(all...) != nil {
			return all
		}
	}
	return []error{err}
}

// isOurs reports whether a decoder is part of sluice and runs no code of a user.
func isOurs(d Decoder) bool {
	switch d := d.(type) {
	case Format, jsonLimits, *xmlDecoder:
		return true
	case *auto:
		return d.areOurs()
	}
	return mark.On(d) // a decoder of one of our nested modules
}
