package document

// Concat returns one array with the elements of all arrays ds, in the order given. Absent documents
// add nothing; if there are no elements, the result is []. If a document is not an array, the error
// is a [*MergeError] with the index of the first such document that wraps [ErrNotArray].
func Concat(ds ...Document) (Document, error) {
	rope := append(make([][]byte, 0, 2*len(ds)+1), brackets[:1])
	for i, d := range ds {
		switch d.Kind() {
		case Absent:
			continue
		case Array:
		default:
			return Document{}, &MergeError{Index: i, Err: ErrNotArray}
		}
		b := d.n.bytes()
		if b[skipSpace(b, 1)] == ']' {
			continue
		}
		if len(rope) > 1 {
			rope = append(rope, comma)
		}
		rope = append(rope, b[1:len(b)-1:len(b)-1])
	}
	return roped(new(clock), append(rope, brackets[1:])), nil
}

var brackets = []byte("[]")
