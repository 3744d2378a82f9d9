package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sluice-go/sluice/proxy/document"
)

// An XMLSpec says how XML is read. The zero value is how [XML] reads it.
type XMLSpec struct {
	// Arrays names the elements that become an array even if there is only one, so that a reader of
	// the list always finds the same shape. A name is that of the member, without a prefix.
	Arrays []string

	// Limits bounds the JSON that is made. Reading stops at an element that is nested deeper.
	Limits document.Limits
}

// XMLWith returns a decoder that is [XML] with the settings of s. It keeps nothing of s.
func XMLWith(s XMLSpec) Decoder {
	return &xmlDecoder{arrays: slices.Clone(s.Arrays), limits: s.Limits}
}

type xmlDecoder struct {
	arrays []string
	limits document.Limits
}

func (d *xmlDecoder) String() string { return "xml" }

var (
	errXML        = errors.New("not well-formed")
	errXMLRoot    = errors.New("want one element at the root")
	errXMLDoctype = errors.New("a document type declaration is not accepted")
)

// Decode is [Decoder.Decode].
func (d *xmlDecoder) Decode(contentType string, body []byte) (document.Document, error) {
	return d.DecodeContext(context.Background(), contentType, body)
}

// DecodeContext first reads the elements into a list of nodes, each once, and then writes the JSON.
// Both take time in proportion to the body, however elements of the same name are mixed with
// others. Texts are unescaped in their place in the body, so that none is copied before it is
// written.
func (d *xmlDecoder) DecodeContext(ctx context.Context, contentType string, body []byte) (document.Document, error) {
	body, from, err := utf8XML(ctx, contentType, body)
	switch {
	case err != nil:
		return document.Document{}, fmt.Errorf("xml: %w", err)
	case len(body) > math.MaxInt32:
		return document.Document{}, ErrTooLarge
	}
	r := newXMLReader(ctx, d, body)
	if err := r.read(); err != nil {
		if ctx.Err() != nil {
			return document.Document{}, fmt.Errorf("xml: %w", err)
		}
		if err == errXML && r.foreign {
			err = fmt.Errorf("the bytes do not fit their charset, which is %s %s", from.name, from.by)
		}
		return document.Document{}, fmt.Errorf("xml: line %d: %w", r.line(), err)
	}
	out, err := r.write()
	if err != nil {
		return document.Document{}, fmt.Errorf("xml: %w", err)
	}
	return document.Work{Context: ctx, Limits: d.limits}.Parse(out)
}

// An xmlReader holds one document while it is read.
type xmlReader struct {
	xmlScanner
	ctx   context.Context
	err   error // of ctx, once it has ended
	steps int   // how many tokens, attributes and children were looked at
	depth int   // the limit for elements; negative is no limit

	nodes []xmlNode
	names xmlNames
	open  []xmlOpen
}

// An xmlNode is an element, an attribute, or a piece of text. The fields refer to other nodes by
// their index. Index 0 is the document itself, and means none in these fields.
type xmlNode struct {
	name int32 // 0 for a piece of text
	next int32 // the next node in the same element
	same int32 // the next node of the same name, once end has taken it out of the next chain

	child int32 // element: the first node in it that is not text
	from  int32 // element: its first piece of text; others: where their text begins in the body
	to    int32 // element: 1 if it has child elements; others: where their text ends
}

// An xmlOpen is an element whose end tag has not come yet.
type xmlOpen struct {
	name       xmlSpan // as written
	node, last int32
	elements   bool // it has child elements
}

func newXMLReader(ctx context.Context, d *xmlDecoder, body []byte) *xmlReader {
	r := &xmlReader{ctx: ctx, depth: d.limits.Depth}
	r.b = body
	r.names.body = body
	if r.depth == 0 {
		r.depth = document.DefaultDepth
	}
	r.names.fix("#text", false)
	for _, name := range d.arrays {
		r.names.at(r.names.fix(name, false)).array = true
	}
	r.nodes = make([]xmlNode, 1, 1+countNodes(body))
	r.open = []xmlOpen{{}}
	return r
}

// countNodes returns about how many nodes a body has, and not many fewer: a list that grows costs
// several times as much.
func countNodes(body []byte) (n int) {
	var before byte = '>'
	for i, c := range body {
		switch {
		case c == '<':
			if before != '>' {
				n++ // a text ends here
			}
			if i+1 < len(body) && body[i+1] != '/' && body[i+1] != '?' && (body[i+1] != '!' || i+2 < len(body) && body[i+2] == '[') {
				n++ // an element, or a CDATA section
			}
		case c == '=' && i+1 < len(body) && (body[i+1] == '"' || body[i+1] == '\'' || body[i+1] <= ' '):
			n++ // an attribute
		}
		before = c
	}
	return n
}

// ticks is how many steps pass between two looks at the context.
const ticks = 1 << 10

func (r *xmlReader) read() error {
	for n := 0; ; n++ {
		if err := r.step(); err != nil {
			return err
		}
		if r.i == len(r.b) {
			switch {
			case len(r.open) > 1:
				return errXML
			case r.nodes[0].child == 0:
				return errXMLRoot
			}
			return nil
		}
		if err := r.token(n == 0); err != nil {
			return err
		}
	}
}

// step counts a step, and now and then returns the error of the context.
func (r *xmlReader) step() error {
	if r.steps++; r.steps%ticks == 1 {
		return r.ctx.Err()
	}
	return nil
}

// token reads one token.
func (r *xmlReader) token(first bool) error {
	rest := r.b[r.i:]
	switch {
	case rest[0] != '<':
		return r.chars(r.text())
	case len(rest) < 2:
		return errXML
	case rest[1] == '/':
		return r.end()
	case rest[1] == '?':
		return r.instruction(first)
	case bytes.HasPrefix(rest, []byte("<!--")):
		return r.comment()
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		return r.chars(r.cdata())
	case rest[1] != '!':
		return r.start()
	case len(rest) > 2 && (rest[2] == '-' || rest[2] == '['):
		return errXML
	}
	return errXMLDoctype
}

// add adds a node at the end of the innermost element.
func (r *xmlReader) add(n xmlNode) int32 {
	i := int32(len(r.nodes))
	r.nodes = append(r.nodes, n)
	top := &r.open[len(r.open)-1]
	if top.last == 0 {
		r.nodes[top.node].child = i
	} else {
		r.nodes[top.last].next = i
	}
	top.last = i
	return i
}

func (r *xmlReader) start() error {
	r.i++
	name, ok := r.name()
	switch {
	case !ok:
		return errXML
	case len(r.open) == 1 && r.nodes[0].child != 0:
		return errXMLRoot
	case r.depth > 0 && len(r.open) > r.depth:
		return document.ErrDepth
	}
	r.open[len(r.open)-1].elements = true
	node := r.add(xmlNode{name: r.names.index(r.local(name), false)})
	r.open = append(r.open, xmlOpen{name: name, node: node})
	for {
		if err := r.step(); err != nil {
			return err
		}
		r.space()
		switch r.peek() {
		case '>':
			r.i++
			return nil
		case '/':
			r.i++
			if r.peek() != '>' {
				return errXML
			}
			r.i++
			return r.close()
		}
		if err := r.attribute(node); err != nil {
			return err
		}
	}
}

// attribute reads an attribute of an element, which must not have it twice.
func (r *xmlReader) attribute(element int32) error {
	name, ok := r.name()
	if !ok {
		return errXML
	}
	r.space()
	if r.peek() != '=' {
		return errXML
	}
	r.i++
	r.space()
	value, ok := r.quoted()
	if !ok {
		return errXML
	}
	written := r.names.index(name, true)
	if in := &r.names.at(written).in; *in == element {
		return errXML
	} else {
		*in = element
	}
	local := r.local(name)
	switch text := r.b[name.from:name.to]; {
	case string(text) == "xmlns", local != name && string(r.b[name.from:local.from-1]) == "xmlns":
		return nil
	case local != name:
		written = r.names.index(local, true)
	}
	r.add(xmlNode{name: written, from: value.from, to: value.to})
	return nil
}

// chars keeps a piece of text. White space between elements is not text.
func (r *xmlReader) chars(t xmlSpan, ok bool) error {
	if !ok {
		return errXML
	}
	top := &r.open[len(r.open)-1]
	if len(r.open) == 1 || top.elements {
		if blank(r.b[t.from:t.to]) {
			return nil
		}
		if len(r.open) == 1 {
			return errXMLRoot
		}
	}
	r.add(xmlNode{from: t.from, to: t.to})
	return nil
}

const xmlSpace = " \t\r\n"

func blank(t []byte) bool { return len(bytes.Trim(t, xmlSpace)) == 0 }

// end reads an end tag.
func (r *xmlReader) end() error {
	r.i += len("</")
	name, ok := r.name()
	r.space()
	if !ok || r.peek() != '>' {
		return errXML
	}
	r.i++
	top := r.open[len(r.open)-1].name
	if len(r.open) == 1 || !bytes.Equal(r.b[name.from:name.to], r.b[top.from:top.to]) {
		return errXML
	}
	return r.close()
}

// close closes the innermost element. In each group of its nodes with the same name it chains the
// later ones to the first by same, and it moves the text to a chain of its own.
func (r *xmlReader) close() error {
	top := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	first := r.nodes[top.node].child
	kept, pieces := int32(0), int32(0) // the last node of each chain
	black := int32(0)                  // the last piece of text that is not blank
	r.nodes[top.node].child = 0
	for i := first; i != 0; {
		if err := r.step(); err != nil {
			return err
		}
		n := &r.nodes[i]
		next := n.next
		n.next = 0
		name := r.names.at(n.name)
		white := n.name == 0 && top.elements && blank(r.b[n.from:n.to])
		if n.name == 0 && !white {
			black = i
		}
		switch {
		case white && pieces == 0:
		case n.name == 0 && pieces == 0:
			r.nodes[top.node].from, pieces = i, i
		case n.name == 0:
			r.nodes[pieces].same, pieces = i, i
		case name.owner == top.node:
			r.nodes[name.tail].same, name.tail = i, i
		default:
			name.owner, name.tail = top.node, i
			if kept == 0 {
				r.nodes[top.node].child = i
			} else {
				r.nodes[kept].next = i
			}
			kept = i
		}
		i = next
	}
	if top.elements {
		r.nodes[top.node].to = 1
		if head := r.nodes[top.node].from; head != 0 {
			n := &r.nodes[head]
			n.from += int32(len(r.b[n.from:n.to]) - len(bytes.TrimLeft(r.b[n.from:n.to], xmlSpace)))
			n = &r.nodes[black]
			n.same = 0
			n.to = n.from + int32(len(bytes.TrimRight(r.b[n.from:n.to], xmlSpace)))
		}
	}
	return nil
}

// An xmlFrame is an object that is being written. Frames replace recursion, because a document
// without a limit of depth must not exhaust the stack.
type xmlFrame struct {
	node   int32
	group  int32 // the first node of the next member
	member int32 // the next element of the array, or the value of the member
	array  bool
	more   bool // the array has an element already
	empty  bool // the object has no member yet
}

// write returns the document as JSON.
func (r *xmlReader) write() ([]byte, error) {
	b := append(make([]byte, 0, r.room()), '{')
	frames := []xmlFrame{{group: r.nodes[0].child, empty: true}}
	for len(frames) > 0 && r.err == nil {
		if err := r.step(); err != nil {
			return nil, err
		}
		f := &frames[len(frames)-1]
		switch {
		case f.member != 0:
			n := f.member
			f.member = r.nodes[n].same
			if f.more {
				b = append(b, ',')
			}
			f.more = true
			if r.names.at(r.nodes[n].name).attr {
				b = r.quote(b, r.b[r.nodes[n].from:r.nodes[n].to])
			} else if r.nodes[n].child == 0 {
				b = r.writeText(b, n)
			} else {
				b = append(b, '{')
				frames = append(frames, xmlFrame{node: n, group: r.nodes[n].child, empty: true})
			}
		case f.array:
			b = append(b, ']')
			f.array = false
		case f.group != 0:
			g := f.group
			name := r.names.at(r.nodes[g].name)
			b = r.writeName(f, b, name)
			f.array = name.array || r.nodes[g].same != 0
			if f.array {
				b = append(b, '[')
			}
			f.group, f.member, f.more = r.nodes[g].next, g, false
		default:
			if i := r.nodes[f.node].from; i != 0 && (r.nodes[i].to > r.nodes[i].from || r.nodes[i].same != 0) {
				b = r.writeText(r.writeName(f, b, r.names.at(0)), f.node)
			}
			b = append(b, '}')
			frames = frames[:len(frames)-1]
		}
	}
	return b, r.err
}

// room returns about how long the JSON is.
func (r *xmlReader) room() int {
	n := 16 + r.names.length
	for i := range r.nodes {
		if node := &r.nodes[i]; node.name == 0 || r.names.at(node.name).attr {
			n += int(node.to-node.from) + 3
		} else {
			n += 5
		}
	}
	return n
}

// quote appends a text as a string. If the context ends meanwhile, it sets err.
func (r *xmlReader) quote(b, text []byte) []byte {
	b, err := document.AppendStringContext(r.ctx, b, text)
	if err != nil {
		r.err = err
		b = append(b, '"')
	}
	return b
}

func (r *xmlReader) writeName(f *xmlFrame, b []byte, name *xmlName) []byte {
	if !f.empty {
		b = append(b, ',')
	}
	f.empty = false
	b = append(b, '"')
	if name.attr {
		b = append(b, '@')
	}
	return append(r.join(b, r.names.text(name)), ':')
}

// join appends a text to the string that b ends in, whose closing quote is still missing, and then
// that quote.
func (r *xmlReader) join(b, text []byte) []byte {
	at := len(b)
	b = r.quote(b, text)
	copy(b[at:], b[at+1:]) // over its opening quote
	return b[:len(b)-1]
}

// writeText writes the text of an element as one string.
func (r *xmlReader) writeText(b []byte, element int32) []byte {
	i := r.nodes[element].from
	if i == 0 {
		return append(b, '"', '"')
	}
	b = r.quote(b, r.b[r.nodes[i].from:r.nodes[i].to])
	for i = r.nodes[i].same; i != 0; i = r.nodes[i].same { // the pieces have elements or comments between them
		b = r.join(b[:len(b)-1], r.b[r.nodes[i].from:r.nodes[i].to])
	}
	return b
}
