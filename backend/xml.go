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

// An XMLSpec says how XML is read. The zero value is that of [XML].
type XMLSpec struct {
	// Arrays names the elements that become an array even where there is only one, so that what reads a list meets no
	// other shape. A name is the one that the member has, without a prefix.
	Arrays []string

	// Limits are those of the JSON that is made. Elements nested deeper are not read on.
	Limits document.Limits
}

// XMLWith returns a decoder that is [XML] read as s says. It keeps nothing of s.
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

// Decode reads the elements into a list of nodes, each once, and writes the JSON from there: both take time in proportion
// to the body, however elements of equal names are mixed.
func (d *xmlDecoder) Decode(contentType string, body []byte) (document.Document, error) {
	if len(body) > math.MaxInt32 {
		return document.Document{}, ErrTooLarge
	}
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		// It counts before the one of the declaration (RFC 7303, section 3).
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
	depth  int  // of elements; less than 0 is no limit
	other  bool // another charset is declared

	nodes []xmlNode
	text  []byte // of all nodes
	names []xmlName
	known map[string]int32 // the index of a name
	open  []xmlOpen
}

// An xmlNode is an element, an attribute, or a piece of text. Indexes refer to the nodes of the reader; 0, where the
// document itself is, stands for none.
type xmlNode struct {
	name int32 // 0 of a piece of text
	next int32 // the next one in the same element
	same int32 // the next one of the same name, which is then not among the others

	child int32 // of an element: the first node in it that is not text
	from  int32 // of an element: its first piece of text; else where the text begins
	to    int32 // of an element: 1 if elements are in it; else where the text ends
}

type xmlName struct {
	text  string // as the member is called
	attr  bool
	array bool

	// The element that was closed last with this name in it, and the last node there that has it.
	owner, tail int32
}

// An xmlOpen is an element whose end has not come.
type xmlOpen struct {
	name       xml.Name // as it is written
	node, last int32
	elements   bool // are in it
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
	r.nodes = make([]xmlNode, 1, 1+bytes.Count(body, []byte("<"))) // enough for elements with text, most of the time
	r.open = []xmlOpen{{}}
	return r
}

// name returns the index of a name. No name of XML begins like an attribute's or like that of text.
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
			return errXML // what the package says quotes the body
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

// add makes a node the last one of the innermost element.
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

// repeats reports whether an element has an attribute twice, which package xml does not see.
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

// chars keeps a piece of text. White space between elements is none.
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
	if last := &r.nodes[top.last]; top.last != 0 && last.name == 0 && last.to == from { // a comment or CDATA is between
		last.to = int32(len(r.text))
	} else {
		r.add(xmlNode{from: from, to: int32(len(r.text))})
	}
	return nil
}

const xmlSpace = " \t\r\n"

func blank(t []byte) bool { return len(bytes.Trim(t, xmlSpace)) == 0 }

// end puts the nodes of equal names in the element that ends behind the first of them, and its text aside.
func (r *xmlReader) end(name xml.Name) error {
	top := r.open[len(r.open)-1]
	if len(r.open) == 1 || name != top.name {
		return errXML
	}
	r.open = r.open[:len(r.open)-1]
	first := r.nodes[top.node].child
	kept, pieces := int32(0), int32(0) // the last ones
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

// An xmlFrame is an object that is being written. It is no level of recursion: who takes away the limit of depth must not
// run out of stack.
type xmlFrame struct {
	node   int32
	group  int32 // the next member
	member int32 // the next element of the array, or the value of the member
	array  bool
	more   bool // in the array already
	empty  bool // the object, so far
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
	if i = r.nodes[i].same; i != 0 { // with elements between
		text = slices.Clone(text)
	}
	for ; i != 0; i = r.nodes[i].same {
		text = append(text, r.text[r.nodes[i].from:r.nodes[i].to]...)
	}
	return document.AppendString(b, text)
}
