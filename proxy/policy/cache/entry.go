package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-go/sluice/proxy/document"
)

// An Entry is what a [Store] keeps: an answer, or what the cache needs to find and to purge answers.
// What is in it is for the cache alone. An Entry is never changed once it was made, apart from
// [Entry.UnmarshalBinary] into a new one, and is safe for concurrent use.
//
// It may hold what an upstream said to one client alone, such as an answer that varies by its
// cookie: a Store is to be protected like the upstream itself.
type Entry struct {
	kind kind

	// gen is the generation of a mark. In other entries it is that of the mark of their target when
	// their call began: they hold only as long as the mark has it.
	gen uint64

	variants []variant // of an index, the newest first
	answer   answer    // of an answer
	size     int
}

type kind uint8

const (
	kindMark   kind = 1 + iota // tells the generation of a target or tag
	kindIndex                  // tells where the variants of an answer are
	kindAnswer                 // is an answer
)

// A variant is where an answer is that varies by header fields of the request.
type variant struct {
	names []string // canonical and sorted
	key   string   // of the answer, which has the values of the fields in it
}

// An answer is an answer that can be given again.
type answer struct {
	status   int
	header   http.Header // for the client
	origin   http.Header // of a Document; nil if it had none
	trailer  http.Header // of a stream
	stream   bool
	document document.Document
	body     []byte // of a stream
	tags     []tag

	at      time.Time     // when it was received, or validated
	age     time.Duration // how old it was then
	control freshness     // what its header says about its use
}

// A tag is a name by which an answer can be purged, and the generation of its mark.
type tag struct {
	name string
	gen  uint64
}

// epoch is what times in the binary form count from.
var epoch = time.Unix(0, 0)

// entryOverhead is about what an entry takes in memory besides what it holds: itself, its maps, and
// its place in a store.
const entryOverhead = 640

// sized sets the size of an entry that is complete, and returns it.
func (e *Entry) sized() *Entry {
	a := &e.answer
	n := entryOverhead + len(a.body) + a.document.Size() + sizeOf(a.header) + sizeOf(a.origin) + sizeOf(a.trailer)
	for _, v := range e.variants {
		n += 64 + len(v.key)
		for _, name := range v.names {
			n += 16 + len(name)
		}
	}
	for _, t := range a.tags {
		n += 32 + len(t.name)
	}
	e.size = n
	return e
}

func sizeOf(h http.Header) int {
	n := 0
	for name, values := range h {
		n += 64 + len(name)
		for _, value := range values {
			n += 16 + len(value)
		}
	}
	return n
}

// Size returns about how many bytes the entry takes in memory, with what a Store needs to keep it
// and without its key.
func (e *Entry) Size() int { return e.size }

// entryVersion is the first byte of the binary form. A form that is read in another way has another
// one, so that processes of two versions can share a Store.
const entryVersion = 1

// MarshalBinary returns the binary form of the entry, for a [Store] that keeps bytes.
func (e *Entry) MarshalBinary() ([]byte, error) {
	return e.AppendBinary(make([]byte, 0, e.size))
}

// AppendBinary appends the binary form of the entry to b.
func (e *Entry) AppendBinary(b []byte) ([]byte, error) {
	w := writer(append(b, entryVersion, byte(e.kind)))
	w = binary.BigEndian.AppendUint64(w, e.gen)
	switch e.kind {
	case kindMark:
	case kindIndex:
		w.count(len(e.variants))
		for _, v := range e.variants {
			w.list(v.names)
			w.text(v.key)
		}
	case kindAnswer:
		e.answer.appendTo(&w)
	default:
		return nil, errors.New("cache: the entry is empty")
	}
	return w, nil
}

func (a *answer) appendTo(w *writer) {
	w.number(int64(a.status))
	w.header(a.header)
	w.header(a.origin)
	w.header(a.trailer)
	w.flag(a.stream)
	if a.stream {
		w.text(string(a.body))
	} else {
		w.text(string(a.document.AppendJSON(nil)))
	}
	w.count(len(a.tags))
	for _, t := range a.tags {
		w.text(t.name)
		*w = binary.BigEndian.AppendUint64(*w, t.gen)
	}
	w.number(int64(a.at.Sub(epoch))) // by the wall, which other processes have too
	w.number(int64(a.age))
	a.control.appendTo(w)
}

// UnmarshalBinary makes a new Entry, the zero value, what its binary form says. It keeps no part of
// b. Bytes that are no entry, or one of another version, are an error; they never make the answer of
// another key.
func (e *Entry) UnmarshalBinary(b []byte) error {
	r := reader{b: b}
	version, kind := r.byte(), kind(r.byte())
	if r.err == nil && version != entryVersion {
		return fmt.Errorf("cache: the entry has version %d, want %d", version, entryVersion)
	}
	read := Entry{kind: kind, gen: r.uint64()}
	switch kind {
	case kindMark:
	case kindIndex:
		for range r.count(2) {
			read.variants = append(read.variants, variant{names: r.list(), key: r.text()})
		}
	case kindAnswer:
		read.answer.readFrom(&r)
	default:
		r.fail()
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	if r.err != nil {
		return r.err
	}
	*e = *read.sized()
	return nil
}

func (a *answer) readFrom(r *reader) {
	a.status = int(r.number())
	a.header, a.origin, a.trailer = r.header(), r.header(), r.header()
	a.stream = r.flag()
	text := r.text()
	if a.stream {
		a.body = []byte(text)
	} else if text != "" && r.err == nil {
		doc, err := document.Limits{Depth: -1}.Parse([]byte(text))
		if err != nil {
			r.err = fmt.Errorf("cache: the entry has no valid document: %w", err)
			return
		}
		a.document = doc
	}
	for range r.count(9) {
		a.tags = append(a.tags, tag{name: r.text(), gen: r.uint64()})
	}
	a.at = epoch.Add(time.Duration(r.number()))
	a.age = time.Duration(r.number())
	a.control.readFrom(r)
	if a.status < 200 || a.status > 999 || a.age < 0 {
		r.fail()
	}
}

// A writer appends the parts of a binary form.
type writer []byte

func (w *writer) number(n int64) { *w = binary.AppendVarint(*w, n) }

func (w *writer) count(n int) { *w = binary.AppendUvarint(*w, uint64(n)) }

func (w *writer) flag(b bool) {
	var c byte
	if b {
		c = 1
	}
	*w = append(*w, c)
}

func (w *writer) text(s string) {
	w.count(len(s))
	*w = append(*w, s...)
}

func (w *writer) list(texts []string) {
	w.count(len(texts))
	for _, text := range texts {
		w.text(text)
	}
}

// header appends a header, of which nil and empty differ.
func (w *writer) header(h http.Header) {
	w.flag(h != nil)
	if h == nil {
		return
	}
	w.count(len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		w.text(name)
		w.list(h[name])
	}
}

var errEntry = errors.New("cache: the bytes are not an entry")

// A reader reads the parts of a binary form. After an error it reads zero values.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.b = nil
	if r.err == nil {
		r.err = errEntry
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) flag() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) number() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads how many parts follow, of at least least bytes each: no more than there are bytes.
func (r *reader) count(least int) int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)/least) {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

func (r *reader) text() string {
	n := r.count(1)
	if n > len(r.b) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) list() []string {
	n := r.count(1)
	texts := make([]string, 0, n)
	for range n {
		texts = append(texts, r.text())
	}
	return texts
}

func (r *reader) header() http.Header {
	if !r.flag() {
		return nil
	}
	n := r.count(2)
	h := make(http.Header, n)
	for range n {
		name := r.text()
		h[name] = r.list()
	}
	return h
}
