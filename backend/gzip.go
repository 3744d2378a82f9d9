package backend

import (
	"bufio"
	"compress/gzip"
	"io"
	"strings"
)

// isGzip reports whether a Content-Encoding is gzip, once, by its name or the old one (RFC 9110, section 8.4.1.3).
func isGzip(coding []string) bool {
	return len(coding) == 1 && (strings.EqualFold(coding[0], "gzip") || strings.EqualFold(coding[0], "x-gzip"))
}

// gunzip returns the decompressed body, at most max bytes. A failure of the connection is of the phase "read", one of
// the coding of "decode".
func (l *leaf) gunzip(body io.Reader, max int64) (b []byte, op string, err error) {
	left := int64(maxInt64)
	if max < maxInt64-max>>8-1<<10 {
		left = max + max>>8 + 1<<10 // what cannot be compressed grows a little; what grows more is an attack
	}
	g := l.gunzipper(body, left)
	if err = g.start(); err == nil {
		b, err = readUnknown(&g.z, max)
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

// gunzipSome returns the beginning of the decompressed body, as far as there is one.
func (l *leaf) gunzipSome(body io.Reader, max int64) (b []byte) {
	g := l.gunzipper(body, maxDrain)
	if g.start() == nil {
		b, _ = io.ReadAll(io.LimitReader(&g.z, max))
	}
	l.release(g)
	return b
}

// A gunzipper decompresses one body after the other. Its tables are large, so it is used again.
type gunzipper struct {
	source compressed
	in     bufio.Reader // of source; else gzip would make one for each body
	z      gzip.Reader
}

func (l *leaf) gunzipper(body io.Reader, left int64) *gunzipper {
	g, ok := l.gunzippers.Get().(*gunzipper)
	if !ok {
		g = &gunzipper{}
	}
	g.source = compressed{r: body, left: left}
	g.in.Reset(&g.source)
	return g
}

// start reads the beginning of the body.
func (g *gunzipper) start() error { return g.z.Reset(&g.in) }

// release lets another call use g, which keeps nothing alive but its tables: a body holds a connection.
func (l *leaf) release(g *gunzipper) {
	g.source = compressed{}
	l.gunzippers.Put(g)
}

// compressed is the body as the upstream sends it, so that the failures of the connection can be told from those of the
// coding, and an endless one that holds nothing ends.
type compressed struct {
	r    io.Reader
	n    int64
	left int64
	err  error
}

func (c *compressed) Read(p []byte) (int, error) {
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
