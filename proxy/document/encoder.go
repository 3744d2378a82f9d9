package document

import (
	"encoding/json"
	"reflect"
)

// An Encoder makes documents of values of one type, for code that does so again and again. It is
// made by [EncoderOf], once for a type, and safe for concurrent use.
type Encoder[T any] struct {
	code   bool // encoding runs code of the user
	strict bool // what encoding/json makes of a value has to be checked
}

// EncoderOf returns an encoder for T. It looks into the type, so it is for wiring.
func EncoderOf[T any]() *Encoder[T] {
	m := marshalMethods(reflect.TypeFor[T]())
	return &Encoder[T]{code: m.code, strict: m.code || m.loop}
}

// RunsCode reports whether encoding may run code of a user, which may take its time or panic: a
// MarshalJSON, MarshalText or IsZero of T, or of a type in it, with the exceptions of
// [Decoder.RunsCode]. An interface in T may hold any type, so there it is true.
func (e *Encoder[T]) RunsCode() bool { return e.code }

// Encode returns what [Of] does, with the same errors. Where encoding/json alone has written the
// JSON it is not checked again.
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
