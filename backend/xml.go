package backend

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"slices"
	"strings"

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
	errXMLCharset = errors.New("a charset other than UTF-8 and US-ASCII is not accepted")
)

// Decode first reads the elements into a list of nodes, each once, and then writes the JSON. Both
// take time in proportion to the body, however elements of the same name are mixed with others.
func (d *xmlDecoder) Decode(contentType string, body []byte) (document.Document, error) {
	if len(body) > math.MaxInt32 {
		return document.Document{}, ErrTooLarge
	}
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		// It takes precedence over the charset of the XML declaration (RFC 7303, section 3).
		if charset, there := params["charset"]; there && !isCharset(charset) {
			return document.Document{}, fmt.Errorf("xml: %w", errXMLCharset)
		}
	}
	r := newXMLReader(d, body)
	if err := r.read(); err != nil {
		line, _ := r.tokens.InputPos()
		return document.Document{}, fmt.Errorf("xml: line %d: %w", line, err)
	}
	return d.limits.Parse(r.write())
}

func isCharset(name string) bool {
	return strings.EqualFold(name, "utf-8") || strings.EqualFold(name, "us-ascii")
}

// An xmlReader holds one document while it is read.
type xmlReader struct {
	tokens *xml.Decoder
	depth  int  // the limit for elements; negative is no limit
	other  bool // the XML declares another charset

	nodes []xmlNode
	text  []byte // the text of all nodes
	names []xmlName
	known map[string]int32 // the index in names
	open  []xmlOpen
}

// An xmlNode is an element, an attribute, or a piece of text. The fields refer to other nodes by
// their index. Index 0 is the document itself, and means none in these fields.
type xmlNode struct {
	name int32 // 0 for a piece of text
	next int32 // the next node in the same element
	same int32 // the next node of the same name, once end has taken it out of the next chain

	child int32 // element: the first node in it that is not text
	from  int32 // element: its first piece of text; others: where their text begins
	to    int32 // element: 1 if it has child elements; others: where their text ends
}

type xmlName struct {
	text  string // the name of the member
	attr  bool
	array bool

	// The last closed element that has this name in it, and the last node there of this name.
	owner, tail int32
}

// An xmlOpen is an element whose end tag has not come yet.
type xmlOpen struct {
	name       xml.Name // as written
	node, last int32
	elements   bool // it has child elements
}

func newXMLReader(d *xmlDecoder, body []byte) *xmlReader {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	r := &xmlReader{tokens: xml.NewDecoder(bytes.NewReader(body)), known: map[string]int32{}}
	r.depth = d.limits.Depth
	if r.depth == 0 {
		r.depth = document.DefaultDepth
	}
	r.tokens.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		r.other = !isCharset(charset)
		return in, nil
	}
	r.names = []xmlName{{text: "#text", owner: -1}}
	for _, name := range d.arrays {
		r.names[r.name(name, false)].array = true
	}
	r.nodes = make([]xmlNode, 1, 1+bytes.Count(body, []byte("<"))) // usually enough for elements with text
	r.open = []xmlOpen{{}}
	return r
}

// name returns the index of a name. No XML name begins with the "@" of attributes or the "#" of
// text.
func (r *xmlReader) name(local string, attr bool) int32 {
	if attr {
		local = "@" + local
	}
	i, there := r.known[local]
	if !there {
		i = int32(len(r.names))
		r.names = append(r.names, xmlName{text: local, attr: attr, owner: -1})
		r.known[local] = i
	}
	return i
}

func (r *xmlReader) read() error {
	for first := true; ; first = false {
		token, err := r.tokens.RawToken() // Token allocates twice as much, for namespaces
		switch {
		case err == io.EOF && len(r.open) > 1:
			return errXML
		case err == io.EOF && r.nodes[0].child != 0:
			return nil
		case err == io.EOF:
			return errXMLRoot
		case err != nil:
			return errXML // the text of err would quote the body
		case r.other:
			return errXMLCharset
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = r.start(t)
		case xml.EndElement:
			err = r.end(t.Name)
		case xml.CharData:
			err = r.chars(t)
		case xml.Directive:
			err = errXMLDoctype
		case xml.ProcInst:
			if t.Target == "xml" && !first {
				err = errXML
			}
		}
		if err != nil {
			return err
		}
	}
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

func (r *xmlReader) start(t xml.StartElement) error {
	switch {
	case len(r.open) == 1 && r.nodes[0].child != 0:
		return errXMLRoot
	case r.depth > 0 && len(r.open) > r.depth:
		return document.ErrDepth
	}
	r.open[len(r.open)-1].elements = true
	node := r.add(xmlNode{name: r.name(t.Name.Local, false)})
	r.open = append(r.open, xmlOpen{name: t.Name, node: node})
	if len(t.Attr) > 1 && repeats(t.Attr) {
		return errXML
	}
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		from := int32(len(r.text))
		r.text = append(r.text, a.Value...)
		r.add(xmlNode{name: r.name(a.Name.Local, true), from: from, to: int32(len(r.text))})
	}
	return nil
}

// repeats reports whether an element has an attribute twice, which package xml does not check.
func repeats(attrs []xml.Attr) bool {
	if len(attrs) < 16 {
		for i := range attrs {
			for j := range i {
				if attrs[i].Name == attrs[j].Name {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[xml.Name]bool, len(attrs))
	for i := range attrs {
		if seen[attrs[i].Name] {
			return true
		}
		seen[attrs[i].Name] = true
	}
	return false
}

// chars keeps a piece of text. White space between elements is not text.
func (r *xmlReader) chars(t []byte) error {
	top := &r.open[len(r.open)-1]
	if len(r.open) == 1 || top.elements {
		if blank(t) {
			return nil
		}
		if len(r.open) == 1 {
			return errXMLRoot
		}
	}
	from := int32(len(r.text))
	r.text = append(r.text, t...)
	// A comment or the border of a CDATA section splits one piece of text into two tokens.
	if last := &r.nodes[top.last]; top.last != 0 && last.name == 0 && last.to == from {
		last.to = int32(len(r.text))
	} else {
		r.add(xmlNode{from: from, to: int32(len(r.text))})
	}
	return nil
}

const xmlSpace = " \t\r\n"

func blank(t []byte) bool { return len(bytes.Trim(t, xmlSpace)) == 0 }

// end closes the innermost element. In each group of its nodes with the same name it chains the
// later ones to the first by same, and it moves the text to a chain of its own.
func (r *xmlReader) end(name xml.Name) error {
	top := r.open[len(r.open)-1]
	if len(r.open) == 1 || name != top.name {
		return errXML
	}
	r.open = r.open[:len(r.open)-1]
	first := r.nodes[top.node].child
	kept, pieces := int32(0), int32(0) // the last node of each chain
	r.nodes[top.node].child = 0
	for i := first; i != 0; {
		n := &r.nodes[i]
		next := n.next
		n.next = 0
		name := &r.names[n.name]
		switch {
		case n.name == 0 && top.elements && pieces == 0 && blank(r.text[n.from:n.to]):
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
			n.from += int32(len(r.text[n.from:n.to]) - len(bytes.TrimLeft(r.text[n.from:n.to], xmlSpace)))
			n = &r.nodes[pieces]
			n.to = n.from + int32(len(bytes.TrimRight(r.text[n.from:n.to], xmlSpace)))
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
func (r *xmlReader) write() []byte {
	b := make([]byte, 0, len(r.text)+len(r.nodes)*8)
	b = append(b, '{')
	frames := []xmlFrame{{group: r.nodes[0].child, empty: true}}
	for len(frames) > 0 {
		f := &frames[len(frames)-1]
		switch {
		case f.member != 0:
			n := f.member
			f.member = r.nodes[n].same
			if f.more {
				b = append(b, ',')
			}
			f.more = true
			if r.names[r.nodes[n].name].attr {
				b = document.AppendString(b, r.text[r.nodes[n].from:r.nodes[n].to])
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
			name := &r.names[r.nodes[g].name]
			b = f.writeName(b, name.text)
			f.array = name.array || r.nodes[g].same != 0
			if f.array {
				b = append(b, '[')
			}
			f.group, f.member, f.more = r.nodes[g].next, g, false
		default:
			if i := r.nodes[f.node].from; i != 0 && (r.nodes[i].to > r.nodes[i].from || r.nodes[i].same != 0) {
				b = r.writeText(f.writeName(b, r.names[0].text), f.node)
			}
			b = append(b, '}')
			frames = frames[:len(frames)-1]
		}
	}
	return b
}

func (f *xmlFrame) writeName(b []byte, name string) []byte {
	if !f.empty {
		b = append(b, ',')
	}
	f.empty = false
	return append(document.AppendString(b, name), ':')
}

// writeText writes the text of an element as one string.
func (r *xmlReader) writeText(b []byte, element int32) []byte {
	i := r.nodes[element].from
	if i == 0 {
		return append(b, '"', '"')
	}
	text := r.text[r.nodes[i].from:r.nodes[i].to]
	if i = r.nodes[i].same; i != 0 { // the pieces have elements between them
		text = slices.Clone(text)
	}
	for ; i != 0; i = r.nodes[i].same {
		text = append(text, r.text[r.nodes[i].from:r.nodes[i].to]...)
	}
	return document.AppendString(b, text)
}
