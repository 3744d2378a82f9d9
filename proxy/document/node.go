package document

import (
	"slices"
	"sync/atomic"
)

// A node is one value. It holds its text either in one slice or in a rope: slices that make up the
// text one after another. All fields except lazy are set once, before the node is shared.
type node struct {
	kind  Kind
	size  int
	raw   []byte   // the text; nil in a rope
	rope  [][]byte // the text in pieces, none of them empty
	spans []span   // the members of an object by offsets into the whole text; nil if not known yet
	lazy  atomic.Pointer[lazy]
}

// A lazy is what a node has found out about itself on demand.
type lazy struct {
	raw   []byte
	spans []span
}

// A span is where a member of an object is. name is the offset of the opening quote of its name,
// and nameEnd the offset after the closing one.
type span struct{ name, nameEnd, value, end int }

// raw returns the Document whose text is b, which is valid and has no white space around it.
func raw(b []byte) Document {
	return Document{&node{kind: kindOf(b[0]), size: len(b), raw: b}}
}

// slice returns the Document whose text is a part of b.
func slice(b []byte, from, to int) Document { return raw(b[from:to:to]) }

func (n *node) appendTo(dst []byte) []byte {
	if b := n.joined(); b != nil {
		return append(dst, b...)
	}
	dst = slices.Grow(dst, n.size)
	for _, piece := range n.rope {
		dst = append(dst, piece...)
	}
	return dst
}

// appendPieces appends the text between two offsets as pieces.
func (n *node) appendPieces(dst [][]byte, from, to int) [][]byte {
	if b := n.joined(); b != nil {
		return append(dst, b[from:to:to])
	}
	for _, piece := range n.rope {
		if to <= 0 {
			break
		}
		if from < len(piece) {
			dst = append(dst, piece[max(from, 0):min(to, len(piece))])
		}
		from, to = from-len(piece), to-len(piece)
	}
	return dst
}

// joined returns the text if it is in one slice, or nil.
func (n *node) joined() []byte {
	if n.raw != nil {
		return n.raw
	}
	if l := n.lazy.Load(); l != nil {
		return l.raw
	}
	return nil
}

// part returns a part of the text in one slice.
func (n *node) part(from, to int) []byte {
	if b := n.joined(); b != nil {
		return b[from:to]
	}
	// Only Wrap makes a rope with known members, and it puts the name into the first piece.
	return n.rope[0][from:to]
}

// bytes returns the text in one slice. It joins a rope once.
func (n *node) bytes() []byte {
	if b := n.joined(); b != nil {
		return b
	}
	return n.learn(n.spans).raw
}

// members returns where the members of an object are. It looks for them once.
func (n *node) members(w *clock) []span {
	if n.spans != nil {
		return n.spans
	}
	if l := n.lazy.Load(); l != nil && l.spans != nil {
		return l.spans
	}
	b := n.bytes()
	spans := []span{}
	for c := open(b, 0); c.member(); {
		w.tick()
		c.skip()
		spans = append(spans, c.span)
	}
	return n.learn(spans).spans
}

// learn publishes what was found out. Two goroutines may do the same work; either result is right.
func (n *node) learn(spans []span) *lazy {
	l := &lazy{raw: n.raw, spans: spans}
	if old := n.lazy.Load(); old != nil {
		l.raw = old.raw
	}
	if l.raw == nil {
		l.raw = n.appendTo(make([]byte, 0, n.size))
	}
	n.lazy.Store(l)
	return l
}
