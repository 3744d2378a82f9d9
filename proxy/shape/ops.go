package shape

import (
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy/document"
)

var emptyObject, _ = document.Parse([]byte("{}")) // immutable

// Target returns an op that returns only the value at a path: with "data.user",
// {"data":{"user":{"id":1}}} becomes {"id":1}. The value may be of any kind, including null. A path
// with a wildcard selects an array; see [document.Document.Get].
//
// If there is no value, the op fails with a [*document.Error] that wraps [document.ErrAbsent].
// [TargetOrEmpty] does not fail.
func Target(path string) Op {
	p, err := document.ParsePath(path)
	return pure("target", path, []error{err}, func(w document.Work, d document.Document) (document.Document, error) {
		v, err := w.Get(d, p)
		if err == nil && v.IsZero() {
			err = &document.Error{Path: path, Err: document.ErrAbsent}
		}
		return v, err
	})
}

// TargetOrEmpty is [Target], but returns the empty object, {}, if there is no value at the path.
func TargetOrEmpty(path string) Op {
	p, err := document.ParsePath(path)
	return pure("target", path+", or empty", []error{err}, func(w document.Work, d document.Document) (document.Document, error) {
		v, err := w.Get(d, p)
		if err == nil && v.IsZero() {
			v = emptyObject
		}
		return v, err
	})
}

// Keep returns an op that keeps the values at the paths and nothing else, in the order of the
// document, as [document.Document.Keep] does. Objects and arrays on the way stay, even if they end
// up empty. A path into a scalar selects nothing. Without paths, Keep selects nothing at all.
func Keep(paths ...string) Op {
	p, errs := parseAll(document.ParsePaths, 1, paths)
	return pure("keep", strings.Join(paths, ", "), errs, func(w document.Work, d document.Document) (document.Document, error) {
		return w.Keep(d, p)
	})
}

// Drop returns an op that removes the values at the paths, as [document.Document.Drop] does. The
// remaining elements of an array close up. A path that leads nowhere removes nothing.
func Drop(paths ...string) Op {
	p, errs := parseAll(document.ParsePaths, 1, paths)
	return pure("drop", strings.Join(paths, ", "), errs, func(w document.Work, d document.Document) (document.Document, error) {
		return w.Drop(d, p)
	})
}

// Rename returns an op that renames members. Each pair is the path to a member and its new name,
// which is a plain name and not a path:
//
//	shape.Rename("user.mail", "email", "items.*.sku", "id")
//
// All paths refer to the document before the renaming, so the pairs "a", "b", "b", "a" swap two
// members. To rename a renamed member, use a second Rename. A renamed member keeps its place and
// value, and replaces a member that already has the new name. See [document.Document.RenameAll].
// Where a wildcard stands for many members, see [Limits].
func Rename(pairs ...string) Op { return rename(Limits{}, pairs...) }

func rename(l Limits, pairs ...string) Op {
	r, errs := parseAll(document.ParseRenames, 2, pairs)
	detail := r.String()
	if errs != nil {
		detail = strings.Join(pairs, ", ")
	}
	return pure("rename", detail, errs, func(w document.Work, d document.Document) (document.Document, error) {
		renamed, err := w.RenameAll(d, r)
		if err == nil && renamed.Size()-d.Size() > l.bytes() {
			return document.Document{}, &document.Error{Err: document.ErrSize}
		}
		return renamed, err
	})
}

// Group returns an op that returns an object whose only member has that name and holds the
// document, whatever its kind. An absent document stays absent. The name is taken literally: a dot
// in it is a dot. Group does not check how deep the document is nested already.
func Group(name string) Op {
	return pure("group", name, nil, func(w document.Work, d document.Document) (document.Document, error) {
		return d.Wrap(name), w.Err()
	})
}

// Ungroup returns an op that undoes [Group]. If the member of that name is the only member, the op
// returns its value, whatever its kind. If there are other members, the members of its value take
// its place; if names are then equal, the first member determines the place and the last the value.
// A document without such a member stays as it is. See [document.Document.Unwrap].
//
// If there are other members and the value is not an object, the error is a [*document.Error] that
// wraps [document.ErrNotObject].
func Ungroup(name string) Op {
	return pure("ungroup", name, nil, func(w document.Work, d document.Document) (document.Document, error) {
		return w.Unwrap(d, name)
	})
}

// parseAll returns what parse makes of the texts, or all their mistakes. parse reports only the
// first mistake, so parseAll calls it again for every n texts.
func parseAll[T any](parse func(...string) (T, error), n int, texts []string) (T, []error) {
	all, err := parse(texts...)
	if err == nil {
		return all, nil
	}
	var errs []error
	for some := range slices.Chunk(texts, n) {
		if _, err := parse(some...); err != nil {
			errs = append(errs, err)
		}
	}
	return all, errs
}
