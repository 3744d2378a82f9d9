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

// list returns the members in memory of their own. For an object it is not nil.
func (s *spans) list(object bool) []span {
	switch {
	case !object:
		return nil
	case s.more != nil:
		return s.more
	}
	return append(make([]span, 0, s.n), s.first[:s.n]...)
}
