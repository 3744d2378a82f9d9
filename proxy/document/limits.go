package document

import "math"

// DefaultDepth is how deep arrays and objects may be nested if [Limits] sets no depth.
const DefaultDepth = 512

// DefaultMembers is how many members the root of a merged object may have if [Merge] gets a max of
// 0.
const DefaultMembers = 100_000

// DefaultGrowth is how many bytes an operation may add to a document if [Limits] sets no growth:
// 8 MiB.
const DefaultGrowth = 8 << 20

// Limits bounds what [Limits.Parse] accepts, and what an operation makes whose result can be far
// larger than the document. The zero value is the default. Limits does not bound the size in bytes
// of what is parsed; the code that reads the bytes must do that.
type Limits struct {
	// Depth is how deep arrays and objects may be nested: 1 allows [] but not [[]]. 0 means 512
	// ([DefaultDepth]), negative no limit. No function here exhausts the stack, however deep a
	// document is; Decode and MergeDeep refuse what is nested deeper than 10,000.
	Depth int
	// Members is how many members the root may have if it is an object; each of several with equal
	// names counts. 0 and negative mean no limit: the number of bytes bounds a parsed document, and
	// [Merge] has a limit of its own.
	Members int
	// Growth is how many bytes [Limits.Copy], [Limits.Append] and [Limits.Set] may add if a
	// wildcard puts one value into many places. 0 means 8 MiB ([DefaultGrowth]), negative no limit.
	// Parse ignores it.
	Growth int
}

// growth returns the limit of Growth.
func (l Limits) growth() int {
	switch {
	case l.Growth == 0:
		return DefaultGrowth
	case l.Growth < 0:
		return math.MaxInt
	}
	return l.Growth
}

// Parse is the function [Parse] with these limits. Its error may also wrap [ErrMembers].
func (l Limits) Parse(b []byte) (Document, error) {
	return l.parse(new(clock), b)
}

func (l Limits) parse(c *clock, b []byte) (Document, error) {
	s, err := scan(c, b, l)
	if err != nil {
		return Document{}, err
	}
	raw := b[s.start:s.end:s.end]
	s.node.kind, s.node.size, s.node.raw = kindOf(raw[0]), len(raw), raw
	return Document{s.node}, nil
}
