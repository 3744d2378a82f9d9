// Package form writes and reads binary forms of what is kept outside of a process: the entries of a
// cache, and answers under an idempotency key. A form has no names and no version of its own; whoever
// reads one knows what is in it.
package form

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
)

// A Writer is a binary form to which parts are appended.
type Writer []byte

// Number appends a number.
func (w *Writer) Number(n int64) { *w = binary.AppendVarint(*w, n) }

// Count appends how many parts follow.
func (w *Writer) Count(n int) { *w = binary.AppendUvarint(*w, uint64(n)) }

// Flag appends a bool.
func (w *Writer) Flag(b bool) {
	var c byte
	if b {
		c = 1
	}
	*w = append(*w, c)
}

// Text appends a text.
func (w *Writer) Text(s string) {
	w.Count(len(s))
	*w = append(*w, s...)
}

// List appends a list of texts.
func (w *Writer) List(texts []string) {
	w.Count(len(texts))
	for _, text := range texts {
		w.Text(text)
	}
}

// Header appends a header, of which nil and empty differ.
func (w *Writer) Header(h http.Header) {
	w.Flag(h != nil)
	if h == nil {
		return
	}
	w.Count(len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		w.Text(name)
		w.List(h[name])
	}
}

// ErrForm is why bytes cannot be read.
var ErrForm = errors.New("the bytes are not what was written")

// A Reader reads the parts of a binary form, in the order in which they were appended. After an error it
// reads zero values.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b, which it does not change. It keeps no part of b in what it returns.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail has the reader fail with err, or with [ErrForm] if err is nil, unless it has failed before.
func (r *Reader) Fail(err error) {
	r.b = nil
	if err == nil {
		err = ErrForm
	}
	if r.err == nil {
		r.err = err
	}
}

// Err returns why the reader has failed, or nil.
func (r *Reader) Err() error { return r.err }

// End returns why the reader has failed, or [ErrForm] if there are bytes left to read.
func (r *Reader) End() error {
	if len(r.b) > 0 {
		r.Fail(nil)
	}
	return r.err
}

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.Fail(nil)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// Flag reads a bool.
func (r *Reader) Flag() bool {
	c := r.Byte()
	if c > 1 {
		r.Fail(nil)
	}
	return c == 1
}

// Uint64 reads a number of eight bytes, the highest first.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 {
		r.Fail(nil)
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// Number reads a number.
func (r *Reader) Number() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.Fail(nil)
		return 0
	}
	r.b = r.b[size:]
	return n
}

// Count reads how many parts follow, of at least least bytes each: no more than there are bytes.
func (r *Reader) Count(least int) int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > uint64(len(r.b)/least) {
		r.Fail(nil)
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

// Text reads a text.
func (r *Reader) Text() string {
	n := r.Count(1)
	if n > len(r.b) {
		r.Fail(nil)
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// List reads a list of texts.
func (r *Reader) List() []string {
	n := r.Count(1)
	texts := make([]string, 0, n)
	for range n {
		texts = append(texts, r.Text())
	}
	return texts
}

// Header reads a header.
func (r *Reader) Header() http.Header {
	if !r.Flag() {
		return nil
	}
	n := r.Count(2)
	h := make(http.Header, n)
	for range n {
		name := r.Text()
		h[name] = r.List()
	}
	return h
}
