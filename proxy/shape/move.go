package shape

import "github.com/sluice-go/sluice/proxy/document"

// Set returns an op that sets the value at a path: a member that is there is replaced and keeps its place, a missing one
// is added at the end, and missing objects on the way are made, arrays never. A wildcard stands for every member and
// element there is. An absent document becomes an object. See [document.Document.Set].
//
// The value is a [document.Document], or anything that encoding/json can encode, and is encoded once, at wiring; one that it
// cannot, and an absent document, are a fault in the plan. A scalar in the way, or an array without that index, is a
// [*document.Error] with its path that wraps [document.ErrNotObject]. The plan shows the path only: a value may be a
// secret.
func Set(path string, value any) Op {
	p, err := document.ParsePath(path)
	errs := []error{err}
	v, err := document.Of(value)
	if err == nil && errs[0] == nil {
		_, err = document.Document{}.Set(p, v) // it looks at the value even so
	}
	return pure("set", path, append(errs, err), func(d document.Document) (document.Document, error) { return d.Set(p, v) })
}

// Delete is [Drop] of one path, for where it stands beside [Move], [Copy] and [Set].
func Delete(path string) Op {
	p, errs := parseAll(document.ParsePaths, 1, []string{path})
	return pure("delete", path, errs, func(d document.Document) (document.Document, error) { return d.Drop(p), nil })
}

// Copy returns an op that sets the value at one path at another one too.
//
//	shape.Copy("user.id", "id")              // a member, into objects that are made if they are missing
//	shape.Copy("items.*.id", "ids")          // the ids of all items, as an array
//	shape.Copy("items.*.sku", "items.*.id")  // within each item: wildcards pair up where both paths begin alike
//	shape.Copy("currency", "items.*.currency") // into every item
//
// Where there is no value nothing is done; what is at the target is replaced. [document.Document.Copy] has the rules.
//
// Wildcards in both paths that do not pair up are a fault in the plan that wraps [document.ErrPath]. A document that does not
// fit is a [*document.Error]: a scalar in the way of the target, or an array without that index, wraps
// [document.ErrNotObject] and has its path, and a value that would be nested too deep wraps [document.ErrDepth].
func Copy(from, to string) Op { return transfer("copy", document.Document.Copy, from, to) }

// Move is [Copy] that takes the value out of where it was: first out, then in, so that an index in the target counts
// the elements that stay. A value moves to one place, so a wildcard of the target that has no pair is a fault. See
// [document.Document.Move].
func Move(from, to string) Op { return transfer("move", document.Document.Move, from, to) }

// Append returns an op that adds the elements of the array at one path to the end of the array at another, which is made
// if it is missing; a value of another kind is added as one element. What was added stays where it was, too. Paths and
// errors are those of [Copy], and a target that is no array wraps [document.ErrNotArray]. See [document.Document.Append].
//
//	shape.Append("pages.*.items.*", "items") // the items of all pages
func Append(from, to string) Op { return transfer("append", document.Document.Append, from, to) }

func transfer(kind string, do func(d document.Document, from, to document.Path) (document.Document, error), from, to string) Op {
	p, err := document.ParsePath(from)
	errs := []error{err}
	q, err := document.ParsePath(to)
	if err == nil && errs[0] == nil {
		_, err = do(document.Document{}, p, q) // it looks at the paths even so
	}
	return pure(kind, from+" → "+to, append(errs, err), func(d document.Document) (document.Document, error) { return do(d, p, q) })
}
