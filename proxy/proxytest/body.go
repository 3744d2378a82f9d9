package proxytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
)

// A Body is the body of a request or response, and counts how often it is read and closed. It is
// safe for concurrent use.
type Body struct {
	mu     sync.Mutex // guards what follows
	text   string     // still to be read
	err    error      // of a read once the text is read
	ctx    context.Context
	hangs  bool // once the text is read, until ctx is done
	reads  int
	closes int
}

// NewBody returns a body with a text. A read after Close fails, as for the bodies of net/http.
func NewBody(text string) *Body { return &Body{text: text, err: io.EOF} }

// NewBrokenBody returns a body that fails with err once the text is read.
func NewBrokenBody(text string, err error) *Body { return &Body{text: text, err: err} }

// Read reads the text. After Close it returns [http.ErrBodyReadAfterClose].
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	if b.closes > 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.ctx != nil && b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	if b.text == "" && b.hangs {
		b.mu.Unlock()
		<-b.ctx.Done()
		b.mu.Lock()
		return 0, b.ctx.Err()
	}
	if b.text == "" {
		return 0, b.err
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// Close counts its calls. Every call after the first returns an error.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closes++
	if b.closes > 1 {
		return errors.New("proxytest: the body is already closed")
	}
	return nil
}

// Reads returns how often the body was read.
func (b *Body) Reads() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads
}

// Closes returns how often the body was closed.
func (b *Body) Closes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closes
}

// AssertClosedOnce fails the test unless the body was closed once.
func (b *Body) AssertClosedOnce(t testing.TB) {
	t.Helper()
	if n := b.Closes(); n != 1 {
		t.Errorf("the body was closed %s, want once", times(n))
	}
}

// AssertOpen fails the test if the body was closed.
func (b *Body) AssertOpen(t testing.TB) {
	t.Helper()
	if n := b.Closes(); n != 0 {
		t.Errorf("the body was closed %s, want it open", times(n))
	}
}
