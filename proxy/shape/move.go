package shape

import "github.com/sluice-go/sluice/proxy"

// Set returns an op that sets the value at a path: a member that is there is replaced and keeps its place, a missing one
// is added at the end, and missing objects on the way are made, arrays never. A wildcard stands for every member and
// element there is. An absent document becomes an object. See [proxy.Document.Set].
//
// The value is a [proxy.Document], or anything that encoding/json can encode, and is encoded once, at wiring; one that it
// cannot, and an absent document, are a fault in the plan. A scalar in the way, or an array without that index, is a
// [*proxy.DocumentError] with its path that wraps [proxy.ErrNotObject]. The plan shows the path only: a value may be a
// secret.
func Set(path string, value any) Op {
	p, err := proxy.ParsePath(path)
	errs := []error{err}
	v, err := proxy.DocumentOf(value)
	if err == nil && errs[0] == nil {
		_, err = proxy.Document{}.Set(p, v) // it looks at the value even so
	}
	return pure("set", path, append(errs, err), func(d proxy.Document) (proxy.Document, error) { return d.Set(p, v) })
}

// Delete is [Drop] of one path, for where it stands beside [Move], [Copy] and [Set].
func Delete(path string) Op {
	p, errs := parseAll(proxy.ParsePaths, 1, []string{path})
	return pure("delete", path, errs, func(d proxy.Document) (proxy.Document, error) { return d.Drop(p), nil })
}

// Copy returns an op that sets the value at one path at another one too.
//
//	shape.Copy("user.id", "id")              // a member, into objects that are made if they are missing
//	shape.Copy("items.*.id", "ids")          // the ids of all items, as an array
//	shape.Copy("items.*.sku", "items.*.id")  // within each item: wildcards pair up where both paths begin alike
//	shape.Copy("currency", "items.*.currency") // into every item
//
// Where there is no value nothing is done; what is at the target is replaced. [proxy.Document.Copy] has the rules.
//
// Wildcards in both paths that do not pair up are a fault in the plan that wraps [proxy.ErrPath]. A document that does not
// fit is a [*proxy.DocumentError]: a scalar in the way of the target, or an array without that index, wraps
// [proxy.ErrNotObject] and has its path, and a value that would be nested too deep wraps [proxy.ErrDepth].
func Copy(from, to string) Op { return transfer("copy", proxy.Document.Copy, from, to) }

// Move is [Copy] that takes the value out of where it was: first out, then in, so that an index in the target counts
// the elements that stay. A value moves to one place, so a wildcard of the target that has no pair is a fault. See
// [proxy.Document.Move].
func Move(from, to string) Op { return transfer("move", proxy.Document.Move, from, to) }

// Append returns an op that adds the elements of the array at one path to the end of the array at another, which is made
// if it is missing; a value of another kind is added as one element. What was added stays where it was, too. Paths and
// errors are those of [Copy], and a target that is no array wraps [proxy.ErrNotArray]. See [proxy.Document.Append].
//
//	shape.Append("pages.*.items.*", "items") // the items of all pages
func Append(from, to string) Op { return transfer("append", proxy.Document.Append, from, to) }

func transfer(kind string, do func(d proxy.Document, from, to proxy.Path) (proxy.Document, error), from, to string) Op {
	p, err := proxy.ParsePath(from)
	errs := []error{err}
	q, err := proxy.ParsePath(to)
	if err == nil && errs[0] == nil {
		_, err = do(proxy.Document{}, p, q) // it looks at the paths even so
	}
	return pure(kind, from+" → "+to, append(errs, err), func(d proxy.Document) (proxy.Document, error) { return do(d, p, q) })
}
