package document

// DefaultDepth is how deep the arrays and objects of a document may be nested when [Limits] say
// nothing.
const DefaultDepth = 512

// DefaultMembers is how many members the root of a merged object may have when [Merge] is told
// nothing.
const DefaultMembers = 100_000

// Limits bound what [Limits.Parse] accepts. The zero value is the default. The size in bytes is for
// whoever reads them to bound.
type Limits struct {
	// Depth is how deep arrays and objects may be nested: 1 allows [] but not [[]]. 0 means 512
	// ([DefaultDepth]), less than 0 no limit. No function here exhausts the stack, however deep a
	// document is; Decode and MergeDeep refuse what is nested deeper than 10,000.
	Depth int
	// Members is how many members the root may have if it is an object; equal names count each. 0
	// and less mean no limit: a parsed document is bounded by its bytes, and [Merge] has its own
	// limit.
	Members int
}

// Parse is the function [Parse] with these limits; the error may wrap [ErrMembers] too.
func (l Limits) Parse(b []byte) (Document, error) {
	s, err := scan(b, l)
	if err != nil {
		return Document{}, err
	}
	raw := b[s.start:s.end:s.end]
	return Document{&node{kind: kindOf(raw[0]), size: len(raw), raw: raw, spans: s.spans}}, nil
}
