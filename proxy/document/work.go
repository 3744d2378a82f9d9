package document

import "context"

// A Work runs operations of this package until a context ends. The operations are those of
// [Document] and the functions of the same names. They take time in proportion to their input, and
// a sender chooses the input, so code that serves a request runs them in a Work:
//
//	d, err := document.Work{Context: ctx}.Keep(d, paths)
//
// An operation looks at the context before it begins and then every thousand members or elements.
// Once the context has ended, it returns the absent Document and the error of the context, not
// wrapped. What takes only a few milliseconds for 8 MiB, such as [Document.AppendJSON], is not
// here.
//
// A Work is a small value to make and use at once. The zero Work never ends, and has the default
// limits.
type Work struct {
	Context context.Context // nil never ends
	Limits  Limits          // of Parse, Set, Copy and Append
}

// Err returns the error of the context, or nil if it has not ended.
func (w Work) Err() error {
	if w.Context == nil {
		return nil
	}
	return w.Context.Err()
}

// Parse is [Limits.Parse].
func (w Work) Parse(b []byte) (d Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&d, &err)
		d, err = w.Limits.parse(&c, b)
	}
	return d, err
}

// Get is [Document.Get].
func (w Work) Get(d Document, p Path) (got Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&got, &err)
		got = d.get(&c, p)
	}
	return got, err
}

// Keep is [Document.Keep].
func (w Work) Keep(d Document, p Paths) (kept Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&kept, &err)
		kept = d.filter(&c, p.root, true)
	}
	return kept, err
}

// Drop is [Document.Drop].
func (w Work) Drop(d Document, p Paths) (left Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&left, &err)
		left = d.filter(&c, p.root, false)
	}
	return left, err
}

// RenameAll is [Document.RenameAll].
func (w Work) RenameAll(d Document, r Renames) (renamed Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&renamed, &err)
		renamed = d.rename(&c, r.root)
	}
	return renamed, err
}

// Set is [Limits.Set].
func (w Work) Set(d Document, p Path, v Document) (made Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&made, &err)
		made, err = w.Limits.set(&c, d, p, v)
	}
	return made, err
}

// Copy is [Limits.Copy].
func (w Work) Copy(d Document, from, to Path) (made Document, err error) {
	return w.transfer(d, transfer{from: from, to: to, growth: w.Limits.growth()})
}

// Append is [Limits.Append].
func (w Work) Append(d Document, from, to Path) (made Document, err error) {
	return w.transfer(d, transfer{from: from, to: to, list: true, growth: w.Limits.growth()})
}

// Move is [Document.Move].
func (w Work) Move(d Document, from, to Path) (made Document, err error) {
	return w.transfer(d, transfer{from: from, to: to, move: true})
}

func (w Work) transfer(d Document, t transfer) (made Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&made, &err)
		made, err = d.transfer(&c, t)
	}
	return made, err
}

// Map is [Document.Map].
func (w Work) Map(d Document, p Path, f func(Document) (Document, error)) (made Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&made, &err)
		made, err = d.mapped(&c, p, f)
	}
	return made, err
}

// Fill is [Document.Fill].
func (w Work) Fill(d Document, with Defaults) (filled Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&filled, &err)
		filled, err = d.fill(&c, with)
	}
	return filled, err
}

// Unwrap is [Document.Unwrap].
func (w Work) Unwrap(d Document, name string) (inner Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&inner, &err)
		inner, err = d.unwrap(&c, name)
	}
	return inner, err
}

// Merge is the function [Merge].
func (w Work) Merge(max int, ds ...Document) (merged Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&merged, &err)
		merged, err = mergeObjects(&c, max, false, ds)
	}
	return merged, err
}

// MergeDisjoint is the function [MergeDisjoint].
func (w Work) MergeDisjoint(max int, ds ...Document) (merged Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&merged, &err)
		merged, err = mergeObjects(&c, max, true, ds)
	}
	return merged, err
}

// MergeDeep is the function [MergeDeep].
func (w Work) MergeDeep(max int, ds ...Document) (merged Document, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(&merged, &err)
		merged, err = mergeDeep(&c, max, ds)
	}
	return merged, err
}

// Decode is [Document.Decode]. While encoding/json decodes a large document, Decode looks at the
// context every 64 KiB, except in a value whose type has an UnmarshalJSON or UnmarshalText method,
// and in a member whose name fits several fields of a struct. The first error ends it; offsets and
// fields in it are counted from the part of the document that was being decoded.
func (w Work) Decode(d Document, v any) (err error) {
	c := clock{ctx: w.Context}
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end(new(Document), &err)
	return d.decode(&c, v)
}

// Cursor is [Document.Cursor]. A writer of another format looks at the context itself.
func (w Work) Cursor(d Document) (at Cursor, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(new(Document), &err)
		at = d.cursor(&c)
	}
	return at, err
}

// Repeats is [Document.Repeats].
func (w Work) Repeats(d Document) (repeats bool, err error) {
	c := clock{ctx: w.Context}
	if err = c.begin(); err == nil {
		defer c.end(new(Document), &err)
		repeats = d.repeats(&c)
	}
	return repeats, err
}

// Concat is the function [Concat].
func (w Work) Concat(ds ...Document) (Document, error) {
	if err := w.Err(); err != nil {
		return Document{}, err
	}
	return Concat(ds...)
}
