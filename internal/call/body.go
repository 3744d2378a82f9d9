package call

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/internal/mark"
)

// InMemory returns a body that reads b. The body of no bytes is http.NoBody, because net/http would
// have to read any other to find out that it is empty.
func InMemory(b []byte) io.ReadCloser {
	if len(b) == 0 {
		return http.NoBody
	}
	m := new(memory)
	m.Reset(b)
	return m
}

// A memory is a body in memory.
type memory struct{ bytes.Reader }

// Close does nothing.
func (*memory) Close() error { return nil }

// Mark says that no code of a user runs in it.
func (*memory) Mark() mark.Type { return mark.TypeOf[*memory]() }

// InMemory says that reading it cannot block.
func (*memory) InMemory() bool { return true }

// IsInMemory reports whether body is sluice's own and reading it cannot block.
func IsInMemory(body any) bool {
	m, ok := body.(interface{ InMemory() bool })
	return ok && mark.On(body) && m.InMemory()
}

// GuardsItself reports whether c may be read and closed anywhere: it is sluice's own, which honours
// its context and survives what it reads, or http.NoBody.
func GuardsItself(c any) bool { return c == http.NoBody || mark.On(c) }

// A Body stands before a body that may be code of a user where that is read on a goroutine of
// net/http or must not be waited for. It reads on goroutines of its own, one for each Read, and
// into a buffer of its own. So a panic or runtime.Goexit in the body is an error of Read, a Read
// that outlives the context is abandoned, and a Read that lies about what it has read is an error.
// After an error Read does not call the body again.
type Body struct {
	ctx   context.Context
	bound *Bound
	body  io.ReadCloser
	buf   []byte
	err   error
}

// NewBody returns a [Body] before body, or body itself if no code of a user can be in it.
func NewBody(ctx context.Context, bound *Bound, body io.ReadCloser) io.ReadCloser {
	if GuardsItself(body) || Described(ctx) {
		return body
	}
	return &Body{ctx: ctx, bound: bound, body: body}
}

// guardedSize is the most that one Read of a Body reads.
const guardedSize = 16 << 10

var errCount = errors.New("Read returned an impossible count")

// Read reads from the body until the context ends.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	want := min(len(p), guardedSize)
	if len(b.buf) < want {
		b.buf = make([]byte, want)
	}
	buf := b.buf[:want]
	n, err := Guard(b.ctx, b.bound, nil, func() (n int, err error) {
		if n, err = b.body.Read(buf); n < 0 || n > len(buf) {
			return 0, errCount
		}
		return n, err
	})
	b.err = err
	return copy(p, buf[:n]), err
}

// Close closes the body as [Discard] does.
func (b *Body) Close() error { return CloseWithin(b.ctx, nil, b.body) }

// Mark says that it guards what it reads.
func (*Body) Mark() mark.Type { return mark.TypeOf[*Body]() }
