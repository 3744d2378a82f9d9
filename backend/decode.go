package backend

import (
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
	// XML is one XML document (1.0, strictly, in UTF-8 or US-ASCII), read as an object in the way
	// that the package documentation shows. Only the five entities that XML defines exist: a
	// document type declaration is refused. [XMLWith] has options.
	XML
)

var errStream = errors.New("a passthrough is not decoded")
var errUTF8 = errors.New("the text is not UTF-8")

// Decode returns the document that body contains; see [Decoder]. With Passthrough it returns an
// error.
func (f Format) Decode(contentType string, body []byte) (document.Document, error) {
	switch f {
	case JSON:
		return document.Parse(body)
	case Text:
		if !utf8.Valid(body) {
			return document.Document{}, errUTF8
		}
		return document.Of(string(body))
	case Passthrough:
		return document.Document{}, errStream
	case XML:
		return (&xmlDecoder{}).Decode(contentType, body)
	}
	return document.Document{}, fmt.Errorf("unknown %s", f)
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

func (l jsonLimits) Decode(_ string, body []byte) (document.Document, error) {
	return document.Limits(l).Parse(body)
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
