package shape

import (
	"math"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Limits makes the ops whose result can be far larger than the document: those that put one value,
// text or name into many places. Each of them fails before it adds too much, so that a small
// message of a sender cannot fill the memory.
//
//	shape.Limits{Bytes: 64 << 20}.Copy("currency", "items.*.currency")
//
// The functions of the same names are those of the zero value, whose limit is 8 MiB. An op that
// would add more fails with a [*document.Error] that wraps [document.ErrSize]. No other op of this
// package makes a document whose size is more than the sum of what it is given.
type Limits struct {
	// Bytes is how many bytes an op may add to a document, or a body to its template. 0 means 8 MiB
	// ([document.DefaultGrowth]), negative no limit.
	Bytes int
}

// Copy is the function [Copy] with this limit.
func (l Limits) Copy(from, to string) Op { return transfer(l, "copy", document.Work.Copy, from, to) }

// Append is the function [Append] with this limit.
func (l Limits) Append(from, to string) Op {
	return transfer(l, "append", document.Work.Append, from, to)
}

// Set is the function [Set] with this limit.
func (l Limits) Set(path string, value any) Op { return set(l, path, value) }

// Rename is the function [Rename] with this limit.
func (l Limits) Rename(pairs ...string) Op { return rename(l, pairs...) }

// Replace is the function [Replace] with this limit.
func (l Limits) Replace(path, old, by string) Op { return replace(l, path, old, by) }

// Body is the function [Body] with this limit.
func (l Limits) Body(template string) proxy.Decorator { return body(l, template) }

func (l Limits) document() document.Limits { return document.Limits{Growth: l.Bytes} }

// bytes returns the limit, which is as large as possible for none.
func (l Limits) bytes() int {
	switch {
	case l.Bytes == 0:
		return document.DefaultGrowth
	case l.Bytes < 0:
		return math.MaxInt
	}
	return l.Bytes
}
