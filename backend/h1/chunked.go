package h1

import (
	"bytes"
	"io"
	"maps"

	"github.com/sluice-go/sluice/internal/field"
)

const (
	// maxChunkLine bounds the line before a chunk, with its extensions.
	maxChunkLine = 4 << 10

	// maxExcess bounds how many bytes of a body in chunks may be no data, beyond 16 for each chunk and
	// twice the data, as in net/http. So extensions cost no more than linear in what is read.
	maxExcess = 16 << 10
)

// readChunks reads a body in chunks. It goes on to the next chunk as long as that needs no waiting.
func (x *exchange) readChunks(p []byte) (n int, err error) {
	for {
		if !x.data || x.left == 0 {
			if n > 0 && !x.nextArrived() {
				return n, nil
			}
			if err := x.nextChunk(); err != nil || x.ended {
				return n, err
			}
			continue
		}
		if n == len(p) || n > 0 && x.conn.r == x.conn.w {
			return n, nil
		}
		m, err := x.take(p[n:][:min(int64(len(p)-n), x.left)])
		n += m
		x.left -= int64(m)
		if err != nil {
			return n, unexpected(err)
		}
	}
}

// unexpected returns the error of a body that ends too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// nextArrived reports whether all that stands before the next data is in the buffer.
func (x *exchange) nextArrived() bool {
	b := x.conn.buf[x.conn.r:x.conn.w]
	if x.data {
		if len(b) < 2 {
			return false
		}
		b = b[2:]
	}
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return false
	}
	if len(bytes.TrimLeft(b[:i], "0")) > 1 { // more than the CR: not the last chunk, or extensions
		return true
	}
	return bytes.HasPrefix(b[i+1:], []byte("\r\n")) || bytes.Contains(b[i+1:], []byte("\r\n\r\n"))
}

// nextChunk reads what stands between two chunks: the CRLF behind the data, and the size of the next
// chunk. Behind the last chunk it reads the trailers, and sets ended.
func (x *exchange) nextChunk() error {
	c := x.conn
	if x.data {
		for c.buffered() < 2 {
			if err := x.fill(); err != nil {
				return err
			}
		}
		if c.buf[c.r] != '\r' || c.buf[c.r+1] != '\n' {
			return malformed("chunk data without its CRLF", nil)
		}
		c.r += 2
		x.data = false
	}
	line, err := x.chunkLine()
	if err != nil {
		return err
	}
	size, err := chunkSize(line)
	if err != nil {
		return err
	}
	x.excess = max(x.excess+int64(len(line))+4-16-2*min(size, maxExcess), 0)
	if x.excess > maxExcess {
		return malformed("more chunk extensions than data", nil)
	}
	x.left, x.data = size, true
	if size > 0 {
		return nil
	}
	return x.trailers()
}

// chunkLine reads the line before a chunk, without its CRLF. It is valid until the next read.
func (x *exchange) chunkLine() ([]byte, error) {
	c := x.conn
	for seen := 0; ; {
		i := bytes.IndexByte(c.buf[c.r+seen:c.w], '\n')
		if end := seen + i; i >= 0 && end <= maxChunkLine {
			line := c.buf[c.r : c.r+end]
			c.r += end + 1
			if end == 0 || line[end-1] != '\r' {
				return nil, malformed("bare LF behind a chunk size", nil)
			}
			return line[:end-1], nil
		}
		if seen = c.buffered(); seen > maxChunkLine {
			return nil, malformed("line of a chunk is too long", nil)
		}
		if err := x.fill(); err != nil {
			return nil, err
		}
	}
}

// chunkSize returns the size in the line before a chunk: up to 16 hexadecimal digits, and extensions
// or none.
func chunkSize(line []byte) (size int64, err error) {
	digits, extensions, _ := bytes.Cut(line, []byte{';'})
	if len(digits) == 0 || len(digits) > 16 || !field.IsValue(string(extensions)) {
		return 0, malformed("chunk size", nil)
	}
	for _, d := range digits {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		case 'A' <= d && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, malformed("chunk size", nil)
		}
		if size>>59 != 0 {
			return 0, malformed("chunk size", nil)
		}
		size = size<<4 | int64(d)
	}
	return size, nil
}

// trailers reads what stands behind the last chunk.
func (x *exchange) trailers() error {
	left := limit(x.transport.MaxHeaderBytes, 256<<10)
	s, err := x.section(false, &left)
	if err != nil {
		return err
	}
	if s.lines > 0 {
		trailer, _ := fields(s.text, s.lines)
		for name := range trailer {
			if reserved(name) {
				return malformed("trailer", []byte(name))
			}
		}
		if x.resp.Trailer == nil {
			x.resp.Trailer = trailer
		} else {
			maps.Copy(x.resp.Trailer, trailer)
		}
	}
	x.ended = true
	return nil
}
