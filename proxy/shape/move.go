package shape

import "github.com/sluice-go/sluice/proxy/document"

// Set returns an op that sets the value at a path. An existing member is replaced and keeps its
// place, and a missing one is added at the end. Missing objects on the way are made, but never
// arrays. A wildcard stands for every existing member and element. An absent document becomes an
// object. See [document.Document.Set].
//
// The value is a [document.Document], or anything that encoding/json can encode. It is encoded
// once, at wiring. A value that cannot be encoded, or an absent document, is a fault in the plan. A
// scalar in the way, or an array without that index, is a [*document.Error] with its path that
// wraps [document.ErrNotObject]. The plan shows only the path, because the value may be a secret.
// Where a wildcard stands for many places, see [Limits].
func Set(path string, value any) Op { return set(Limits{}, path, value) }

func set(l Limits, path string, value any) Op {
	p, err := document.ParsePath(path)
	errs := []error{err}
	v, err := document.Of(value)
	if err == nil && errs[0] == nil {
		_, err = document.Document{}.Set(p, v) // refuses an invalid value on any document
	}
	return pure("set", path, append(errs, err), func(w document.Work, d document.Document) (document.Document, error) {
		w.Limits = l.document()
		return w.Set(d, p, v)
	})
}

// Delete is [Drop] of one path. It reads better beside [Move], [Copy] and [Set].
func Delete(path string) Op {
	p, errs := parseAll(document.ParsePaths, 1, []string{path})
	return pure("delete", path, errs, func(w document.Work, d document.Document) (document.Document, error) {
		return w.Drop(d, p)
	})
}

// Copy returns an op that copies the value at one path to another path.
//
//	shape.Copy("user.id", "id")                // a member; missing objects on the way are made
//	shape.Copy("items.*.id", "ids")            // the ids of all items, as an array
//	shape.Copy("items.*.sku", "items.*.id")    // within each item: see below
//	shape.Copy("currency", "items.*.currency") // into every item
//
// Wildcards pair up where both paths begin alike. If there is no value, Copy does nothing. A value
// at the target is replaced. See [document.Document.Copy] for the rules.
//
// If both paths have wildcards that do not pair up, that is a fault in the plan that wraps
// [document.ErrPath]. If a document does not fit, the error is a [*document.Error]. A scalar in the
// way of the target, or an array without that index, wraps [document.ErrNotObject] and has its
// path. A value that would be nested too deep wraps [document.ErrDepth]. Copies that would add more
// than 8 MiB wrap [document.ErrSize]; see [Limits].
func Copy(from, to string) Op { return Limits{}.Copy(from, to) }

// Move is [Copy] that also removes the value from its old path. It removes the value first, so an
// index in the target counts only the elements that stay. A value moves to one place, so a wildcard
// of the target without a pair is a fault. See [document.Document.Move].
func Move(from, to string) Op { return transfer(Limits{}, "move", document.Work.Move, from, to) }

// Append returns an op that adds the elements of the array at one path to the end of the array at
// another. A missing target is made. A value that is not an array is added as one element. The
// source stays as it was. Paths and errors are those of [Copy]; in addition, a target that is not
// an array wraps [document.ErrNotArray]. See [document.Document.Append].
//
//	shape.Append("pages.*.items.*", "items") // the items of all pages
func Append(from, to string) Op { return Limits{}.Append(from, to) }

func transfer(l Limits, kind string, do func(w document.Work, d document.Document, from, to document.Path) (document.Document, error), from, to string) Op {
	p, err := document.ParsePath(from)
	errs := []error{err}
	q, err := document.ParsePath(to)
	if err == nil && errs[0] == nil {
		_, err = do(document.Work{}, document.Document{}, p, q) // refuses invalid paths on any document
	}
	return pure(kind, from+" → "+to, append(errs, err), func(w document.Work, d document.Document) (document.Document, error) {
		w.Limits = l.document()
		return do(w, d, p, q)
	})
}
