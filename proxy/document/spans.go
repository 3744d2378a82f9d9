package document

// A spans collects members. The first ones cost no allocation. left is how much of the text there
// is still to come.
type spans struct {
	n     int
	first [24]span // with more, the stack of a new goroutine would have to grow for a small document
	more  []span
}

func (s *spans) add(m span, left int) {
	if s.n < len(s.first) {
		s.first[s.n] = m
	} else {
		if len(s.more) == cap(s.more) {
			s.grow(m, left)
		}
		s.more = append(s.more, m)
	}
	s.n++
}

// grow makes room for more members. It expects the left bytes of the text to hold members as long
// as those so far, so that a text of very many short members is not copied over and over.
func (s *spans) grow(m span, left int) {
	expected := int(float64(left)*float64(s.n)/float64(m.end)) + s.n/16 + 1
	more := make([]span, 0, s.n+max(3*len(s.first), min(expected, 4*s.n)))
	if s.more == nil {
		s.more = append(more, s.first[:]...)
	} else {
		s.more = append(more, s.more...)
	}
}

// smallMembers is how many members a small object has at most.
const smallMembers = 8

// A smallObject is a node together with its members, which saves an allocation: an eighth of
// the time that Parse takes for 200 bytes.
type smallObject struct {
	node
	members [smallMembers]span
}

// node returns a node with the members in memory of their own. For an object they are not nil.
func (s *spans) node(object bool) *node {
	switch {
	case !object:
		return new(node)
	case s.more != nil:
		return &node{spans: s.more}
	}
	if smallMembers/2 < s.n && s.n <= smallMembers { // with fewer, most of the room would be wasted
		o := new(smallObject)
		o.spans = append(o.members[:0:s.n], s.first[:s.n]...)
		return &o.node
	}
	return &node{spans: append(make([]span, 0, s.n), s.first[:s.n]...)}
}
