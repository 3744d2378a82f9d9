package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/internal/form"
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

var errEntry = errors.New("cache: the bytes are not an entry")

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
	w := form.Writer(append(b, entryVersion, byte(e.kind)))
	w = binary.BigEndian.AppendUint64(w, e.gen)
	switch e.kind {
	case kindMark:
	case kindIndex:
		w.Count(len(e.variants))
		for _, v := range e.variants {
			w.List(v.names)
			w.Text(v.key)
		}
	case kindAnswer:
		e.answer.appendTo(&w)
	default:
		return nil, errors.New("cache: the entry is empty")
	}
	return w, nil
}

func (a *answer) appendTo(w *form.Writer) {
	w.Number(int64(a.status))
	w.Header(a.header)
	w.Header(a.origin)
	w.Header(a.trailer)
	w.Flag(a.stream)
	if a.stream {
		w.Text(string(a.body))
	} else {
		w.Text(string(a.document.AppendJSON(nil)))
	}
	w.Count(len(a.tags))
	for _, t := range a.tags {
		w.Text(t.name)
		*w = binary.BigEndian.AppendUint64(*w, t.gen)
	}
	w.Number(int64(a.at.Sub(epoch))) // by the wall, which other processes have too
	w.Number(int64(a.age))
	a.control.appendTo(w)
}

// UnmarshalBinary makes a new Entry, the zero value, what its binary form says. It keeps no part of
// b. Bytes that are no entry, or one of another version, are an error; they never make the answer of
// another key.
func (e *Entry) UnmarshalBinary(b []byte) error {
	r := form.NewReader(b)
	version, kind := r.Byte(), kind(r.Byte())
	if r.Err() == nil && version != entryVersion {
		return fmt.Errorf("cache: the entry has version %d, want %d", version, entryVersion)
	}
	read := Entry{kind: kind, gen: r.Uint64()}
	switch kind {
	case kindMark:
	case kindIndex:
		for range r.Count(2) {
			read.variants = append(read.variants, variant{names: r.List(), key: r.Text()})
		}
	case kindAnswer:
		read.answer.readFrom(r)
	default:
		r.Fail(nil)
	}
	switch err := r.End(); {
	case err == form.ErrForm:
		return errEntry
	case err != nil:
		return err
	}
	*e = *read.sized()
	return nil
}

func (a *answer) readFrom(r *form.Reader) {
	a.status = int(r.Number())
	a.header, a.origin, a.trailer = r.Header(), r.Header(), r.Header()
	a.stream = r.Flag()
	text := r.Text()
	if a.stream {
		a.body = []byte(text)
	} else if text != "" && r.Err() == nil {
		doc, err := document.Limits{Depth: -1}.Parse([]byte(text))
		if err != nil {
			r.Fail(fmt.Errorf("cache: the entry has no valid document: %w", err))
			return
		}
		a.document = doc
	}
	for range r.Count(9) {
		a.tags = append(a.tags, tag{name: r.Text(), gen: r.Uint64()})
	}
	a.at = epoch.Add(time.Duration(r.Number()))
	a.age = time.Duration(r.Number())
	a.control.readFrom(r)
	if a.status < 200 || a.status > 999 || a.age < 0 {
		r.Fail(nil)
	}
}
