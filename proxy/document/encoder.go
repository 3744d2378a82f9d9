package document

import (
	"context"
	"encoding/json"
	"reflect"
)

// An Encoder makes documents of values of one type, for code that does so repeatedly. Make it with
// [EncoderOf], once per type. It is safe for concurrent use.
type Encoder[T any] struct {
	code   bool // encoding runs code of the user
	strict bool // the JSON that encoding/json makes must be checked
}

// EncoderOf returns an encoder for T. It inspects the type, which is slow, so call it at wiring.
func EncoderOf[T any]() *Encoder[T] {
	m := marshalMethods(reflect.TypeFor[T]())
	return &Encoder[T]{code: m.code, strict: m.code || m.loop}
}

// RunsCode reports whether encoding may run code of a user, which may be slow or panic: a
// MarshalJSON, MarshalText or IsZero method of T or of a type in it, with the exceptions of
// [Decoder.RunsCode]. An interface in T may hold any type, so it makes the result true.
func (e *Encoder[T]) RunsCode() bool { return e.code }

// Encode returns what [Of] returns, with the same errors. JSON that encoding/json alone has written
// is not checked again.
func (e *Encoder[T]) Encode(v T) (Document, error) {
	return e.EncodeContext(context.Background(), v)
}

// EncodeContext is Encode until ctx ends, with the error of ctx, not wrapped. It looks at ctx
// before and after encoding/json has encoded v, which nothing can end.
func (e *Encoder[T]) EncodeContext(ctx context.Context, v T) (Document, error) {
	if err := ctx.Err(); err != nil {
		return Document{}, err
	}
	d, err := e.encode(ctx, v)
	if ended := ctx.Err(); ended != nil {
		return Document{}, ended
	}
	return d, err
}

func (e *Encoder[T]) encode(ctx context.Context, v T) (Document, error) {
	if _, ok := any(v).(Document); ok || e.strict {
		return of(Work{Context: ctx}, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return Document{}, &Error{Err: err}
	}
	return raw(b), nil
}
