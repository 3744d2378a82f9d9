package backend

import (
	"bytes"
	"hash/maphash"
	"strings"
	"unicode/utf8"
)

// An xmlSpan is a part of the body.
type xmlSpan struct{ from, to int32 }

// An xmlScanner reads the tokens of XML 1.0 (fifth edition) in UTF-8, as strictly as encoding/xml.
// It allocates nothing, which encoding/xml does for every token.
type xmlScanner struct {
	b     []byte
	i     int // where the next token begins, or where reading failed
	moved int // how many line breaks unescape has added to or removed from b

	foreign bool // reading failed at bytes that are not UTF-8
}

// line returns the line of i.
func (s *xmlScanner) line() int {
	return 1 + bytes.Count(s.b[:min(s.i, len(s.b))], []byte("\n")) - s.moved
}

// peek returns the next byte, or 0 at the end.
func (s *xmlScanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *xmlScanner) space() {
	for s.i < len(s.b) && strings.IndexByte(xmlSpace, s.b[s.i]) >= 0 {
		s.i++
	}
}

// name reads a name, which has at most one colon.
func (s *xmlScanner) name() (name xmlSpan, ok bool) {
	from, ascii, colons := s.i, true, 0
	for ; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		switch {
		case c == ':':
			colons++
		case c >= utf8.RuneSelf:
			ascii = false
		case !isNameByte(c):
			goto end
		}
	}
end:
	text := s.b[from:s.i]
	if len(text) == 0 || colons > 1 || isNameByte(text[0]) && !isNameStart(rune(text[0])) {
		return xmlSpan{}, false
	}
	for i := 0; !ascii && i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if s.foreign = n == 1 && r == utf8.RuneError; s.foreign || !isNameStart(r) && (i == 0 || !isNameRune(r)) {
			return xmlSpan{}, false
		}
		i += n
	}
	return xmlSpan{int32(from), int32(s.i)}, true
}

// local returns a name without its prefix.
func (s *xmlScanner) local(name xmlSpan) xmlSpan {
	text := s.b[name.from:name.to]
	if i := bytes.IndexByte(text, ':'); i > 0 && i < len(text)-1 {
		name.from += int32(i + 1)
	}
	return name
}

// text reads text up to the next tag.
func (s *xmlScanner) text() (xmlSpan, bool) {
	from := s.i
	if n := bytes.IndexByte(s.b[from:], '<'); n >= 0 {
		s.i = from + n
	} else {
		s.i = len(s.b)
	}
	if bytes.Contains(s.b[from:s.i], []byte("]]>")) {
		return xmlSpan{}, false
	}
	return s.unescape(from, s.i, true)
}

// quoted reads the value of an attribute.
func (s *xmlScanner) quoted() (xmlSpan, bool) {
	quote := s.peek()
	if quote != '"' && quote != '\'' {
		return xmlSpan{}, false
	}
	from := s.i + 1
	n := bytes.IndexByte(s.b[from:], quote)
	if n < 0 || bytes.IndexByte(s.b[from:from+n], '<') >= 0 {
		return xmlSpan{}, false
	}
	s.i = from + n + 1
	return s.unescape(from, from+n, true)
}

func (s *xmlScanner) cdata() (xmlSpan, bool) {
	from := s.i + len("<![CDATA[")
	n := bytes.Index(s.b[from:], []byte("]]>"))
	if n < 0 {
		return xmlSpan{}, false
	}
	s.i = from + n + len("]]>")
	return s.unescape(from, from+n, false)
}

func (s *xmlScanner) comment() error {
	from := s.i + len("<!--")
	n := bytes.Index(s.b[from:], []byte("--"))
	if n < 0 || from+n+2 >= len(s.b) || s.b[from+n+2] != '>' {
		return errXML
	}
	s.i = from + n + len("-->")
	return nil
}

// instruction reads a processing instruction. The XML declaration may only be the first token.
func (s *xmlScanner) instruction(first bool) error {
	s.i += len("<?")
	target, ok := s.name()
	n := bytes.Index(s.b[s.i:], []byte("?>"))
	if !ok || n < 0 {
		return errXML
	}
	if string(s.b[target.from:target.to]) == "xml" {
		version := declaredIn(s.b[s.i:s.i+n], "version")
		if !first || version != "" && version != "1.0" {
			return errXML
		}
	}
	s.i += n + len("?>")
	return nil
}

// unescape checks the text between two offsets. It replaces references and line ends in place,
// which makes the text shorter, never longer.
func (s *xmlScanner) unescape(from, to int, references bool) (xmlSpan, bool) {
	text := s.b[from:to]
	ascii, plain := true, true
	for _, c := range text {
		switch {
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '&':
			plain = plain && !references
		case c >= ' ', c == '\t', c == '\n':
		case c == '\r':
			plain = false
		default:
			return xmlSpan{}, false
		}
	}
	if s.foreign = !ascii && !utf8.Valid(text); s.foreign {
		return xmlSpan{}, false
	}
	if !ascii && (bytes.Contains(text, []byte("\ufffe")) || bytes.Contains(text, []byte("\uffff"))) {
		return xmlSpan{}, false
	}
	if plain {
		return xmlSpan{int32(from), int32(to)}, true
	}
	lines := bytes.Count(text, []byte("\n"))
	out := text[:0]
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '&' && references:
			r, n := reference(text[i:])
			if n == 0 {
				return xmlSpan{}, false
			}
			out = utf8.AppendRune(out, r)
			i += n
		case c == '\r':
			out = append(out, '\n')
			if i++; i < len(text) && text[i] == '\n' {
				i++
			}
		default:
			out = append(out, c)
			i++
		}
	}
	for i := len(out); i < len(text); i++ {
		text[i] = ' '
	}
	s.moved += bytes.Count(text, []byte("\n")) - lines
	return xmlSpan{int32(from), int32(from + len(out))}, true
}

// entities are the references that XML defines. They are only read.
var entities = [...]struct {
	text string
	r    rune
}{{"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&apos;", '\''}, {"&quot;", '"'}}

// reference returns the character of the reference that text begins with, and the length of the
// reference, which is 0 if there is none.
func reference(text []byte) (r rune, n int) {
	for i := range entities {
		if e := &entities[i]; bytes.HasPrefix(text, []byte(e.text)) {
			return e.r, len(e.text)
		}
	}
	if !bytes.HasPrefix(text, []byte("&#")) {
		return 0, 0
	}
	i, base := len("&#"), rune(10)
	if i < len(text) && text[i] == 'x' {
		i, base = i+1, 16
	}
	for first := i; i < len(text); i++ {
		c := text[i]
		switch {
		case c == ';' && i > first && isXMLRune(r):
			return r, i + 1
		case '0' <= c && c <= '9':
			r = r*base + rune(c-'0')
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r*base + rune(c|0x20-'a') + 10
		default:
			return 0, 0
		}
		if r > utf8.MaxRune {
			return 0, 0
		}
	}
	return 0, 0
}

// isXMLRune reports whether a document may hold a character (XML 1.0, section 2.2).
func isXMLRune(r rune) bool {
	return r >= ' ' && r != 0xfffe && r != 0xffff || r == '\t' || r == '\n' || r == '\r'
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' || c == ':'
}

// isNameStart reports whether a name may begin with a character (XML 1.0, section 2.3).
func isNameStart(r rune) bool {
	switch {
	case r < 0xc0:
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r == ':'
	case r <= 0x2ff:
		return r != 0xd7 && r != 0xf7
	case r <= 0x1fff:
		return r >= 0x370 && r != 0x37e
	case r <= 0x218f:
		return r >= 0x2070 || r == 0x200c || r == 0x200d
	case r <= 0xd7ff:
		return r >= 0x2c00 && r <= 0x2fef || r >= 0x3001
	case r <= 0xfffd:
		return r >= 0xf900 && r <= 0xfdcf || r >= 0xfdf0
	}
	return r >= 0x10000 && r <= 0xeffff
}

// isNameRune reports whether a character may be in a name, but not at its beginning.
func isNameRune(r rune) bool {
	return r < utf8.RuneSelf && isNameByte(byte(r)) || r == 0xb7 || 0x300 <= r && r <= 0x36f || r == 0x203f || r == 0x2040
}

// An xmlName is the name of a member, which is that of an attribute after an "@". Nodes refer to it
// by its index.
type xmlName struct {
	xmlSpan // in the body, or if from is negative, the index -from-1 in fixed

	// The last closed element that has this name in it, and the last node there of this name.
	owner, tail int32
	in          int32 // the last element that has this attribute, as written
	attr, array bool
}

// xmlNames holds each name once. It is a hash table with open addressing, which needs less memory
// than a map. The names are in blocks, so that they are never copied.
type xmlNames struct {
	body   []byte
	fixed  []string // the names that are not in the body
	blocks [][]xmlName
	n      int32
	length int // the JSON of all names, once each
	slots  []int32
	seed   maphash.Seed
}

const xmlBlock = 64

func (t *xmlNames) at(i int32) *xmlName { return &t.blocks[i/xmlBlock][i%xmlBlock] }

func (t *xmlNames) text(n *xmlName) []byte {
	if n.from < 0 {
		return []byte(t.fixed[-n.from-1])
	}
	return t.body[n.from:n.to]
}

// fix returns the index of a name that is not in the body. No XML name begins with the "#" of text.
func (t *xmlNames) fix(name string, attr bool) int32 {
	t.fixed = append(t.fixed, name)
	return t.index(xmlSpan{from: -int32(len(t.fixed))}, attr)
}

// index returns the index of a name.
func (t *xmlNames) index(span xmlSpan, attr bool) int32 {
	if 4*int(t.n+1) > 3*len(t.slots) {
		t.grow()
	}
	n := xmlName{xmlSpan: span, attr: attr, owner: -1, in: -1}
	text := t.text(&n)
	i := t.hash(text, attr)
	for ; t.slots[i] != 0; i = (i + 1) & (len(t.slots) - 1) {
		if there := t.at(t.slots[i] - 1); there.attr == attr && bytes.Equal(text, t.text(there)) {
			return t.slots[i] - 1
		}
	}
	if t.n%xmlBlock == 0 {
		t.blocks = append(t.blocks, make([]xmlName, xmlBlock))
	}
	*t.at(t.n) = n
	t.n++
	t.slots[i] = t.n
	t.length += len(text) + 6
	return t.n - 1
}

// hash returns the slot of a name. Nobody can choose names of the same slot.
func (t *xmlNames) hash(text []byte, attr bool) int {
	h := maphash.Bytes(t.seed, text)
	if attr {
		h = ^h
	}
	return int(h & uint64(len(t.slots)-1))
}

func (t *xmlNames) grow() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
	}
	t.slots = make([]int32, max(xmlBlock, 2*len(t.slots)))
	for k := range t.n {
		n := t.at(k)
		i := t.hash(t.text(n), n.attr)
		for t.slots[i] != 0 {
			i = (i + 1) & (len(t.slots) - 1)
		}
		t.slots[i] = k + 1
	}
}
