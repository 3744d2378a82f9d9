package flow

// A Maybe is the value of an [Optional] node: the value of the node inside, or why there is none.
type Maybe[T any] struct {
	Value T     // the zero value unless OK
	Err   error // nil if OK
	OK    bool
}

// Or returns the value, or other where there is none.
func (m Maybe[T]) Or(other T) T {
	if m.OK {
		return m.Value
	}
	return other
}

// Optional returns a node that is there whatever becomes of a: its value says whether a is there, and why not. What is
// needed through it alone is not required; see the package comment. It is the edge that is optional, not the node: a that
// is also used without it is required.
//
// It is no step of the plan, which shows the nodes that are not required as optional.
func Optional[T any](a Node[T]) Node[Maybe[T]] {
	n := newNode("Optional", "optional", false, a.n)
	n.pure = func(t *task) any { return Maybe[T]{Value: in[T](t, 0), OK: true} }
	n.absent = func(err error) any { return Maybe[T]{Err: err} }
	return Node[Maybe[T]]{n: n}
}
