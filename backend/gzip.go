package backend

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"strings"

	"github.com/sluice-go/sluice/internal/lend"
)

// isGzip reports whether a Content-Encoding is gzip, applied once, under its present or its old
// name (RFC 9110, section 8.4.1.3).
func isGzip(coding []string) bool {
	return len(coding) == 1 && (strings.EqualFold(coding[0], "gzip") || strings.EqualFold(coding[0], "x-gzip"))
}

// gunzip returns the decompressed body, at most max bytes of it, unless ctx ends before. If it fails, op is the phase:
// "read" if the connection failed or the body is too large, "decode" if the coding is broken.
func (l *leaf) gunzip(ctx context.Context, body io.Reader, max int64, arena *lend.Arena) (b []byte, op string, err error) {
	left := int64(maxInt64)
	if max < maxInt64-max>>8-1<<10 {
		// gzip makes incompressible data a little longer; a body that is longer still is an attack.
		left = max + max>>8 + 1<<10
	}
	g := l.gunzipper(ctx, body, left)
	if err = g.start(); err == nil {
		b, err = readUnknown(&g.z, max, arena)
	}
	came, broken := g.source.n, g.source.err
	l.release(g)
	switch {
	case err == nil:
		return b, "", nil
	case err == io.EOF && came == 0:
		return nil, "", nil // an empty body
	case broken != nil:
		return nil, "read", broken
	case err == ErrTooLarge:
		return nil, "read", err
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, "decode", err
}

// gunzipSome returns as much of the beginning of the decompressed body as there is, up to max
// bytes.
func (l *leaf) gunzipSome(ctx context.Context, body io.Reader, max int64) (b []byte) {
	g := l.gunzipper(ctx, body, maxDrain)
	if g.start() == nil {
		b, _ = io.ReadAll(io.LimitReader(&g.z, max))
	}
	l.release(g)
	return b
}

// A gunzipper decompresses one body after another. It is reused because its tables are large.
type gunzipper struct {
	source compressed
	in     bufio.Reader // reads source; without it gzip would allocate one for each body
	z      gzip.Reader
}

func (l *leaf) gunzipper(ctx context.Context, body io.Reader, left int64) *gunzipper {
	g, ok := l.gunzippers.Get().(*gunzipper)
	if !ok {
		g = &gunzipper{}
	}
	g.source = compressed{ctx: ctx, r: body, left: left}
	g.in.Reset(&g.source)
	return g
}

// start reads the gzip header of the body.
func (g *gunzipper) start() error { return g.z.Reset(&g.in) }

// release lets another call use g. It drops the body, which holds a connection, so that g keeps
// only its tables alive.
func (l *leaf) release(g *gunzipper) {
	g.source = compressed{}
	l.gunzippers.Put(g)
}

// A compressed is the body as the upstream sends it. It tells failures of the connection from those
// of the coding, and it bounds a body that never ends and decompresses to nothing. It looks at the
// context, because a body that has arrived already may take long to decompress.
type compressed struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	left int64
	err  error
}

func (c *compressed) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		c.err = err
		return 0, err
	}
	if c.left <= 0 {
		c.err = ErrTooLarge
		return 0, c.err
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.left -= int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
