package document

// An edit replaces a part of a text by head, the value with or its text, and tail.
type edit struct {
	from, to int
	head     []byte
	with     *node // may be nil
	text     []byte
	tail     []byte
}

// splice returns b with the edits made. They are in order and do not overlap. The result is a rope,
// or one text if the rope would have too many pieces.
func splice(w *clock, b []byte, edits []edit) Document {
	rope := make([][]byte, 0, 3*len(edits)+2)
	piece := func(p []byte) {
		if len(p) > 0 {
			rope = append(rope, p)
		}
	}
	at := 0
	for _, e := range edits {
		w.tick()
		piece(b[at:e.from])
		piece(e.head)
		if e.with != nil {
			rope = e.with.appendPieces(rope, 0, e.with.size)
		}
		piece(e.text)
		piece(e.tail)
		at = e.to
	}
	piece(b[at:])
	return roped(w, rope)
}

// roped returns the Document whose text is in these pieces. It joins them if they are many.
func roped(w *clock, rope [][]byte) Document {
	const many = 64
	n := &node{kind: kindOf(rope[0][0]), rope: rope}
	for _, p := range rope {
		n.size += len(p)
	}
	if len(rope) > many {
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
