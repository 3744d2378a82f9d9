package backend

import (
	"compress/gzip"
	"io"
)

// gunzip returns the decompressed body, at most max bytes. A failure of the connection is of the phase "read", one of
// the coding of "decode".
func (l *leaf) gunzip(body io.Reader, max int64) (b []byte, op string, err error) {
	source := &compressed{r: body, left: maxInt64}
	if max < maxInt64-max>>8-1<<10 {
		source.left = max + max>>8 + 1<<10 // what cannot be compressed grows a little; what grows more is an attack
	}
	z, err := l.gunzipper(source)
	if err == nil {
		b, err = readUnknown(z, max)
		l.gunzippers.Put(z)
	}
	switch {
	case err == nil:
		return b, "", nil
	case err == io.EOF && source.n == 0:
		return nil, "", nil // an empty body
	case source.err != nil:
		return nil, "read", source.err
	case err == ErrTooLarge:
		return nil, "read", err
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, "decode", err
}

// gunzipSome returns the beginning of the decompressed body, as far as there is one.
func (l *leaf) gunzipSome(body io.Reader, max int64) []byte {
	z, err := l.gunzipper(&compressed{r: body, left: maxDrain})
	if err != nil {
		return nil
	}
	defer l.gunzippers.Put(z)
	b, _ := io.ReadAll(io.LimitReader(z, max))
	return b
}

// gunzipper returns a reader that decompresses r. Its tables are large, so it is used again.
func (l *leaf) gunzipper(r io.Reader) (*gzip.Reader, error) {
	if z, ok := l.gunzippers.Get().(*gzip.Reader); ok {
		if err := z.Reset(r); err != nil {
			l.gunzippers.Put(z)
			return nil, err
		}
		return z, nil
	}
	return gzip.NewReader(r)
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
