package document

// DefaultDepth is how deep arrays and objects may be nested if [Limits] sets no depth.
const DefaultDepth = 512

// DefaultMembers is how many members the root of a merged object may have if [Merge] gets a max of
// 0.
const DefaultMembers = 100_000

// Limits bounds what [Limits.Parse] accepts. The zero value is the default. Limits does not bound
// the size in bytes; the code that reads the bytes must do that.
type Limits struct {
	// Depth is how deep arrays and objects may be nested: 1 allows [] but not [[]]. 0 means 512
	// ([DefaultDepth]), negative no limit. No function here exhausts the stack, however deep a
	// document is; Decode and MergeDeep refuse what is nested deeper than 10,000.
	Depth int
	// Members is how many members the root may have if it is an object; each of several with equal
	// names counts. 0 and negative mean no limit: the number of bytes bounds a parsed document, and
	// [Merge] has a limit of its own.
	Members int
}

// Parse is the function [Parse] with these limits. Its error may also wrap [ErrMembers].
func (l Limits) Parse(b []byte) (Document, error) {
	s, err := scan(b, l)
	if err != nil {
		return Document{}, err
	}
	raw := b[s.start:s.end:s.end]
	return Document{&node{kind: kindOf(raw[0]), size: len(raw), raw: raw, spans: s.spans}}, nil
}
