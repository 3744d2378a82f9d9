// Package mark says what is sluice's own: steps of plans, decoders and encoders. Whether the maps of a request may be
// shared, and whether a call may stay on the goroutine of its caller, is decided by it, so nobody outside sluice can make a
// mark or copy one.
//
// It is the one internal package that nested modules import.
package mark

import "reflect"

// A Mark on a step says that sluice has described it and that its functions are sluice's. The zero value says nothing.
type Mark struct{ ours bool }

// Ours returns the mark of sluice.
func Ours() Mark { return Mark{ours: true} }

// Ours reports whether the mark is that of sluice.
func (m Mark) Ours() bool { return m.ours }

// A Type is what a type of sluice answers with a method Mark, so that [On] knows its values:
//
//	func (Decoder) Mark() mark.Type { return mark.TypeOf[Decoder]() }
type Type struct{ of reflect.Type }

// TypeOf returns the mark of the type T.
func TypeOf[T any]() Type { return Type{of: reflect.TypeFor[T]()} }

// On reports whether v is a value of a type of sluice. A user's type that embeds one has its method, but not its mark.
func On(v any) bool {
	m, ok := v.(interface{ Mark() Type })
	return ok && m.Mark().of == reflect.TypeOf(v)
}
