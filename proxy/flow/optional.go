package flow

// A Maybe is the value of an [Optional] node: the value of the node inside, or the reason why there
// is none.
type Maybe[T any] struct {
	Value T     // the zero value unless OK
	Err   error // why there is no value; nil if OK
	OK    bool  // there is a value
}

// Or returns the value, or other if there is none.
func (m Maybe[T]) Or(other T) T {
	if m.OK {
		return m.Value
	}
	return other
}

// Optional returns a node that has a value even if a fails: the [Maybe] says whether a has a value,
// and why not. Nodes that are needed only through Optional are not required; see the package
// comment. Optional marks the edge, not the node: if a required node also uses a directly, a is
// required.
//
// Optional is not a step of the plan. The plan shows the nodes that are not required as optional.
func Optional[T any](a Node[T]) Node[Maybe[T]] {
	n := newNode("Optional", "optional", false, a.n)
	n.pure = func(t *task) any { return Maybe[T]{Value: in[T](t, 0), OK: true} }
	n.absent = func(err error) any { return Maybe[T]{Err: err} }
	return Node[Maybe[T]]{n: n}
}
