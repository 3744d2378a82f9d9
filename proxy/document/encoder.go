package document

import (
	"encoding/json"
	"reflect"
)

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
