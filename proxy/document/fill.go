package document

import "bytes"

// Defaults are the members that [Document.Fill] adds where they are missing. They are made by
// [DefaultsOf], at wiring, and never change, so any number of goroutines may use them at once. The
// zero value adds nothing.
type Defaults struct{ f *filler }

// A filler holds defaults ready to be appended.
type filler struct {
	doc   Document
	names []string
	texts [][]byte       // of the members, each with a comma before it
	index map[string]int // of a name
	size  int            // of all texts
}

// DefaultsOf returns the members of an object as defaults. Of equal names the last one counts.
// Where d is anything else, also absent, the error is a [*Error] that wraps [ErrNotObject].
func DefaultsOf(d Document) (Defaults, error) {
	if d.Kind() != Object {
		return Defaults{}, &Error{Err: ErrNotObject}
	}
	d, _ = Merge(-1, d) // each name once; an object always merges
	f := &filler{doc: d.Clip(), index: map[string]int{}}
	for name, value := range d.Members() {
		text := value.AppendJSON(append(AppendString([]byte{','}, name), ':'))
		f.index[name] = len(f.names)
		f.names, f.texts = append(f.names, name), append(f.texts, text)
		f.size += len(text)
	}
	return Defaults{f}, nil
}

// Document returns the defaults as an object, {} for the zero value.
func (d Defaults) Document() Document {
	if d.f == nil {
		return raw([]byte("{}"))
	}
	return d.f.doc
}

// Fill returns the object with the defaults that it lacks, added at its end in their order. A
// member that is there stays, even null, and nothing is added inside it. It takes time in
// proportion to the members of both.
//
// The absent Document becomes the object of all defaults. Any other kind is a [*Error] that wraps
// [ErrNotObject].
func (d Document) Fill(with Defaults) (Document, error) {
	switch d.Kind() {
	case Object:
	case Absent:
		return with.Document(), nil
	default:
		return Document{}, &Error{Err: ErrNotObject}
	}
	f := with.f
	if f == nil {
		return d, nil
	}
	spans, b := d.n.members(), d.n.bytes()
	var room [32]bool // of the stack
	found, missing := room[:], len(f.names)
	if missing > len(room) {
		found = make([]bool, missing)
	}
	for i := range spans {
		name := b[spans[i].name+1 : spans[i].nameEnd-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = appendUnescaped(nil, name)
		}
		if k, ok := f.index[string(name)]; ok && !found[k] {
			found[k] = true
			missing--
		}
	}
	if missing == 0 {
		return d, nil
	}
	text := make([]byte, 0, f.size)
	for k := range f.texts {
		if !found[k] {
			text = append(text, f.texts[k]...)
		}
	}
	if len(spans) == 0 {
		text = text[1:] // no comma before the first
	}
	end := len(b) - 1
	return splice(b, []edit{{from: end, to: end, head: text}}), nil
}
