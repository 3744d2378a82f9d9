package document

// An edit replaces a part of a text by head, the value with or its text, and tail.
type edit struct {
	from, to int
	head     []byte
	with     *node // may be nil
	text     []byte
	tail     []byte
}

// A splicer makes edits in b. They come in order and do not overlap. The result is a rope, or one
// text if the rope would have too many pieces. No list of edits is kept, which would need many times
// the memory of the text.
type splicer struct {
	clock clock

	b    []byte
	once bool // the edits can come only once; else many of them are counted first
	at   int  // the offset after the last edit
	made bool // there was an edit

	rope   [][]byte // nil once there are too many pieces
	pieces int
	size   int    // of all pieces
	out    []byte // what they are copied to; nil while they are in the rope, or counted
}

// run makes the edits for which f calls edit, and returns the result. Unless the edits come once, it
// calls f again if there are many, and f must do the same then. Without an edit the result is d,
// whose text is b.
func (s *splicer) run(d Document, f func() error) (Document, error) {
	if err := f(); err != nil {
		return Document{}, err
	}
	if !s.made {
		return d, nil
	}
	s.piece(s.b[s.at:])
	switch {
	case s.out != nil:
		return raw(s.out), nil
	case s.pieces <= manyPieces:
		return roped(&s.clock, s.rope), nil
	}
	s.out, s.at = make([]byte, 0, s.size), 0
	if err := f(); err != nil {
		return Document{}, err
	}
	s.piece(s.b[s.at:])
	return raw(s.out), nil
}

// edit makes an edit.
func (s *splicer) edit(e edit) {
	s.clock.tick()
	s.piece(s.b[s.at:e.from])
	s.piece(e.head)
	if e.with != nil {
		s.node(e.with)
	}
	s.piece(e.text)
	s.piece(e.tail)
	s.at, s.made = e.to, true
}

// node puts in a value.
func (s *splicer) node(n *node) {
	if b := n.joined(); b != nil {
		s.piece(b)
		return
	}
	for _, p := range n.rope {
		s.piece(p)
	}
}

func (s *splicer) piece(p []byte) {
	switch {
	case len(p) == 0:
		return
	case s.out != nil:
		s.out = append(s.out, p...)
		return
	}
	s.size += len(p)
	s.pieces++
	switch {
	case s.pieces <= manyPieces:
		s.rope = append(s.rope, p)
		return
	case s.once:
		s.out = make([]byte, 0, s.size+len(s.b))
		for _, inRope := range s.rope {
			s.out = append(s.out, inRope...)
		}
		s.out = append(s.out, p...)
	}
	s.rope = nil
}

// splice returns b with one edit made.
func splice(w *clock, b []byte, e edit) Document {
	s := splicer{clock: *w, b: b, rope: make([][]byte, 0, 5)}
	d, _ := s.run(Document{}, func() error { s.edit(e); return nil })
	return d
}

// manyPieces is the most that a rope has.
const manyPieces = 64

// roped returns the Document whose text is in these pieces. It joins them if they are many.
func roped(w *clock, rope [][]byte) Document {
	n := &node{kind: kindOf(rope[0][0]), rope: rope}
	for _, p := range rope {
		n.size += len(p)
	}
	if len(rope) > manyPieces {
		n.raw, n.rope = make([]byte, 0, n.size), nil
		for _, p := range rope {
			w.tick()
			n.raw = append(n.raw, p...)
		}
	}
	return Document{n}
}

// Pieces of ropes. They are never written to.
var (
	braces = []byte("{}")
	comma  = []byte(",")
)
