package document

// Map returns d with every value that the path leads to replaced by the result of f for it. It
// calls f for the values in their order, including each of several members with equal names. A path
// that leads nowhere changes nothing. f must be a pure function, and quick.
//
// An error of f is returned unchanged. If f returns an absent document, or one that would be nested
// deeper than [DefaultDepth], the error is a [*Error] with the path that wraps [ErrAbsent] or
// [ErrDepth].
func (d Document) Map(p Path, f func(Document) (Document, error)) (Document, error) {
	return d.mapped(new(clock), p, f)
}

func (d Document) mapped(w *clock, p Path, f func(Document) (Document, error)) (Document, error) {
	if d.n == nil {
		return d, nil
	}
	b := d.n.bytes()
	s := splicer{clock: *w, b: b, once: true}
	return s.run(d, func() error {
		_, err := each(w, b, 0, p.steps, func(i int) (int, error) {
			end := skipValue(b, i)
			old := slice(b, i, end)
			v, err := f(old)
			switch {
			case err != nil:
				return 0, err
			case v.n == nil:
				return 0, &Error{Path: p.String(), Err: ErrAbsent}
			case v.n == old.n:
				return end, nil
			case tooDeep(v, len(p.steps)):
				return 0, &Error{Path: p.String(), Err: ErrDepth}
			}
			s.edit(edit{from: i, to: end, with: v.n})
			return end, nil
		})
		return err
	})
}
