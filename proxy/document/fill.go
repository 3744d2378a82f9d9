package document

import "bytes"

// Defaults are the members that [Document.Fill] adds where they are missing. Make them with
// [DefaultsOf], at wiring. They never change, so any number of goroutines may use them at once. The
// zero value adds nothing.
type Defaults struct{ f *filler }

// A filler holds defaults ready to be appended.
type filler struct {
	doc   Document
	names []string
	texts [][]byte       // the texts of the members, each with a comma before it
	index map[string]int // the index of a name in names
	size  int            // the length of all texts
}

// DefaultsOf returns the members of an object as defaults. Of members with equal names the last one
// counts. If d is not an object, or is absent, the error is a [*Error] that wraps [ErrNotObject].
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

// Document returns the defaults as an object, which is {} for the zero value.
func (d Defaults) Document() Document {
	if d.f == nil {
		return raw([]byte("{}"))
	}
	return d.f.doc
}

// Fill returns the object with the defaults that it lacks, added at its end in their order. A
// member that exists stays, even if it is null, and Fill adds nothing inside it. It takes time in
// proportion to the members of both.
//
// The absent Document becomes the object of all defaults. For any other kind the error is a
// [*Error] that wraps [ErrNotObject].
func (d Document) Fill(with Defaults) (Document, error) { return d.fill(new(clock), with) }

func (d Document) fill(w *clock, with Defaults) (Document, error) {
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
	spans, b := d.n.members(w), d.n.bytes()
	var room [32]bool // on the stack
	found, missing := room[:], len(f.names)
	if missing > len(room) {
		found = make([]bool, missing)
	}
	for i := range spans {
		w.tick()
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
	return splice(w, b, edit{from: end, to: end, head: text}), nil
}
