package compress

import (
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A coding is a content coding, with encoders that wait for the next answer.
type coding struct {
	name     string
	magic    string // the first bytes of what is coded
	encoders sync.Pool
}

// An encoder writes what it has compressed to the writer that it was reset to.
type encoder interface {
	io.Writer
	Flush() error
	Close() error
	Reset(io.Writer)
}

const (
	gzipLevel  = 5
	zstdWindow = 256 << 10 // RFC 9659 allows up to 8 MiB; it is the memory of an encoder and of a client
)

// newCodings makes the codings in the order of their constants.
func newCodings() (all [2]*coding, err error) {
	makers := [2]func() (encoder, error){
		zstdCoding: func() (encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		},
		gzipCoding: func() (encoder, error) { return gzip.NewWriterLevel(nil, gzipLevel) },
	}
	all = [2]*coding{zstdCoding: {name: "zstd", magic: "\x28\xb5\x2f\xfd"}, gzipCoding: {name: "gzip", magic: "\x1f\x8b\x08"}}
	for i, c := range all {
		first, err := makers[i]()
		if err != nil { // of the options, so the next would fail too
			return all, err
		}
		c.encoders.New = func() any {
			e, _ := makers[i]()
			return e
		}
		c.encoders.Put(first)
	}
	return all, nil
}

func (c *coding) encoder(w io.Writer) encoder {
	e := c.encoders.Get().(encoder)
	e.Reset(w)
	return e
}

// keep takes an encoder back, whatever it has left unfinished.
func (c *coding) keep(e encoder) {
	e.Reset(io.Discard)
	c.encoders.Put(e)
}
