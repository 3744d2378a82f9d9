package shape

import (
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy/document"
)

var emptyObject, _ = document.Parse([]byte("{}")) // immutable

// Target returns an op that answers the value at a path alone: with "data.user", {"data":{"user":{"id":1}}} becomes
// {"id":1}. Any value will do, null as well; a path with a wildcard answers an array, see [document.Document.Get].
//
// Where there is no value the op fails with a [*document.Error] that wraps [document.ErrAbsent]. [TargetOrEmpty] does
// not.
func Target(path string) Op {
	p, err := document.ParsePath(path)
	return pure("target", path, []error{err}, func(d document.Document) (document.Document, error) {
		if v := d.Get(p); !v.IsZero() {
			return v, nil
		}
		return document.Document{}, &document.Error{Path: path, Err: document.ErrAbsent}
	})
}

// TargetOrEmpty is [Target], but where there is no value at the path the answer is the empty object, {}.
func TargetOrEmpty(path string) Op {
	p, err := document.ParsePath(path)
	return pure("target", path+", or empty", []error{err}, func(d document.Document) (document.Document, error) {
		if v := d.Get(p); !v.IsZero() {
			return v, nil
		}
		return emptyObject, nil
	})
}

// Keep returns an op that answers what the paths lead to and nothing else, in the order of the document, as
// [document.Document.Keep] does: objects and arrays on the way stay, if only empty, and a path into a scalar selects
// nothing. Without paths it selects nothing at all.
func Keep(paths ...string) Op {
	p, errs := parseAll(document.ParsePaths, 1, paths)
	return pure("keep", strings.Join(paths, ", "), errs, func(d document.Document) (document.Document, error) {
		return d.Keep(p), nil
	})
}

// Drop returns an op that answers the document without what the paths lead to, as [document.Document.Drop] does: elements
// of an array that stay close up, and a path that leads nowhere drops nothing.
func Drop(paths ...string) Op {
	p, errs := parseAll(document.ParsePaths, 1, paths)
	return pure("drop", strings.Join(paths, ", "), errs, func(d document.Document) (document.Document, error) {
		return d.Drop(p), nil
	})
}

// Rename returns an op that gives members other names. The pairs are a path to a member and its new name, which is a
// plain name and no path:
//
//	shape.Rename("user.mail", "email", "items.*.sku", "id")
//
// All paths are looked up in the document as it is, so the pairs "a", "b", "b", "a" swap two members; to rename what was
// renamed, write a second Rename. A renamed member keeps its place and value, and replaces a member that had the name
// already. See [document.Document.RenameAll].
func Rename(pairs ...string) Op {
	r, errs := parseAll(document.ParseRenames, 2, pairs)
	detail := r.String()
	if errs != nil {
		detail = strings.Join(pairs, ", ")
	}
	return pure("rename", detail, errs, func(d document.Document) (document.Document, error) { return d.RenameAll(r), nil })
}

// Group returns an op that answers an object with the document, whatever its root, as the one member of that name. An
// absent document stays absent. The name is taken literally; a dot in it is a dot. It does not ask how deep the document is
// nested already.
func Group(name string) Op {
	return pure("group", name, nil, func(d document.Document) (document.Document, error) { return d.Wrap(name), nil })
}

// Ungroup returns an op that undoes [Group]: where the member of that name is the only one, its value, whatever it is, is
// the answer. Among other members it gives its place to the members of its value; of members with equal names then the
// first gives the place and the last the value. A document without such a member stays as it is. See
// [document.Document.Unwrap].
//
// A value that is no object, with members beside it, is a [*document.Error] that wraps [document.ErrNotObject].
func Ungroup(name string) Op {
	return pure("ungroup", name, nil, func(d document.Document) (document.Document, error) { return d.Unwrap(name) })
}

// parseAll returns what parse makes of the texts, or all that is wrong with them: parse tells of the first alone, so it is
// asked again for every n of them.
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
