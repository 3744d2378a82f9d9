// Package mark marks what is sluice's own: steps of plans, decoders and encoders. Where every step
// of a plan has it, the maps of a request may be shared, and a decoder or an encoder that has it
// costs no goroutine. So no code outside sluice can make or copy one. It also marks which failures
// of an upstream are written for clients.
//
// It is the only internal package that nested modules import.
package mark

import (
	"fmt"
	"reflect"
)

// A Mark on a step says that sluice has described it and that its functions are sluice's. The zero
// value says nothing.
type Mark struct{ ours, borrows bool }

// Ours returns the mark of sluice. A step that has it counts as one that keeps responses; see
// [Borrows].
func Ours() Mark { return Mark{ours: true} }

// Borrows returns the mark of a step of sluice that keeps no part of a response once it has
// returned, nor hands one to code that could. It is for a step whose code was read for that.
func Borrows() Mark { return Mark{ours: true, borrows: true} }

// Ours reports whether the mark is that of sluice.
func (m Mark) Ours() bool { return m.ours }

// Borrows reports whether the mark says that the step keeps no part of a response.
func (m Mark) Borrows() bool { return m.borrows }

// A Type is what the method Mark of a sluice type returns, so that [On] recognizes its values:
//
//	func (Decoder) Mark() mark.Type { return mark.TypeOf[Decoder]() }
type Type struct{ of reflect.Type }

// TypeOf returns the mark of the type T.
func TypeOf[T any]() Type { return Type{of: reflect.TypeFor[T]()} }

// On reports whether v is a value of a sluice type. A user's type that embeds a sluice type has its
// method, but not its mark.
func On(v any) bool {
	m, ok := v.(interface{ Mark() Type })
	return ok && m.Mark().of == reflect.TypeOf(v)
}

// A Passed is the Err of a proxy.Error whose Upstream is the answer that a client may get. A
// backend that was told to pass on failures makes it, and an endpoint looks for it.
type Passed struct{ Status int } // of the upstream's answer

// Error says what the upstream answered.
func (p Passed) Error() string { return fmt.Sprintf("upstream answered %d", p.Status) }
