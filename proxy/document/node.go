package document

import (
	"slices"
	"sync/atomic"
)

// A node is one value: either its text in one slice, or a rope, the slices that make its text one
// after another. Everything but lazy is set once, before the node is shared.
type node struct {
	kind  Kind
	size  int
	raw   []byte   // the text; nil in a rope
	rope  [][]byte // the text in pieces, none of them empty
	spans []span   // members of an object; nil if not known yet. Offsets are into the text, in a rope too
	lazy  atomic.Pointer[lazy]
}

// A lazy is what a node found out about itself when asked.
type lazy struct {
	raw   []byte
	spans []span
}

// A span is where a member of an object stands: name is at its opening quote, nameEnd behind the
// closing one.
type span struct{ name, nameEnd, value, end int }

// raw returns the Document whose text is b: valid, without white space around.
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

// appendPieces appends the text from one offset to another as pieces.
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

// joined returns the text if it is in one slice, else nil.
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
	return n.rope[0][from:to] // only Wrap makes a rope that knows its members, and its name is in the first piece
}

// bytes returns the text in one slice, joining a rope once.
func (n *node) bytes() []byte {
	if b := n.joined(); b != nil {
		return b
	}
	return n.learn(n.spans).raw
}

// members returns where the members of an object stand, looking for them once.
func (n *node) members() []span {
	if n.spans != nil {
		return n.spans
	}
	if l := n.lazy.Load(); l != nil && l.spans != nil {
		return l.spans
	}
	b := n.bytes()
	spans := []span{}
	for c := open(b, 0); c.member(); {
		c.skip()
		spans = append(spans, c.span)
	}
	return n.learn(spans).spans
}

// learn publishes what was found out. Two goroutines may do the work twice; either result is right.
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
