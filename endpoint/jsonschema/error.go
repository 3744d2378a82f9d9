package jsonschema

import (
	"errors"
	"fmt"
)

// The reasons why [Body] refuses a request. They come in a [*proxy.Error] of status 400.
var (
	// ErrInvalid says that the body is JSON and does not fit the schema. It comes with an [*Invalid].
	ErrInvalid = errors.New("the body does not fit its schema")

	// ErrEmpty says that the request has no body.
	ErrEmpty = errors.New("there is no body")

	// ErrRepeated says that an object in the body has two members of the same name.
	ErrRepeated = errors.New("an object in the body repeats a name")

	// ErrNumber says that a number in the body has more than 400 digits, or an exponent beyond ±400.
	ErrNumber = errors.New("a number in the body is too long or too large")

	// ErrText says that a text or a name of more than 4096 bytes stands where a pattern or a format
	// applies.
	ErrText = errors.New("a text in the body is too long for its pattern")
)

// maxLocations is how many places an [Invalid] tells.
const maxLocations = 16

// An Invalid says where a value does not fit its schema. It contains no bytes of the value, so it can be
// logged and shown.
type Invalid struct {
	// Locations are the first locations found, 1 to 16 of them. They follow the order of the value and of
	// the schema, but the order may differ between two runs.
	Locations []Location
}

// Error returns the first location on one line.
func (e *Invalid) Error() string {
	if len(e.Locations) == 0 {
		return ErrInvalid.Error()
	}
	first := e.Locations[0]
	text := fmt.Sprintf("%v: %q fails %s", ErrInvalid, first.Pointer, first.Keyword)
	if first.Name != "" {
		text += fmt.Sprintf(" (%q)", first.Name)
	}
	if more := len(e.Locations) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// Unwrap returns [ErrInvalid].
func (e *Invalid) Unwrap() error { return ErrInvalid }

// A Location is a place where a value does not fit its schema.
type Location struct {
	// Pointer says where the value is in the body, as a JSON Pointer (RFC 6901); "" is the whole body. A
	// name that the schema does not mention is a star. A pointer of more than 1024 bytes is cut, and ends
	// with "…".
	Pointer string `json:"pointer"`

	// Keyword is the keyword of the schema that the value fails, or "false" for a value where the schema
	// allows none.
	Keyword string `json:"keyword"`

	// Schema says where the keyword is: a fragment of the schema, such as "#/properties/id/type", or the
	// URL with the fragment if it is in one of the Resources.
	Schema string `json:"schema"`

	// Name is the member that is missing, if the Keyword says that there must be one.
	Name string `json:"name,omitempty"`
}
