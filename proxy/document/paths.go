package document

import (
	"slices"
	"strings"
)

// A Paths is a set of paths, compiled for [Document.Keep] and [Document.Drop]. Make it once, at
// wiring. It is safe for concurrent use. The zero Paths is the empty set.
type Paths struct {
	list []Path
	root *trie
}

// ParsePaths returns the set of the paths that the texts spell; see [ParsePath]. The error is that
// of the first text that is not a path.
func ParsePaths(texts ...string) (Paths, error) {
	list := make([]Path, len(texts))
	for i, text := range texts {
		p, err := ParsePath(text)
		if err != nil {
			return Paths{}, err
		}
		list[i] = p
	}
	return PathsOf(list...), nil
}

// MustPaths is [ParsePaths] for paths that are written in code: it panics where ParsePaths returns
// an error.
func MustPaths(texts ...string) Paths {
	p, err := ParsePaths(texts...)
	if err != nil {
		panic("document: MustPaths: " + err.Error())
	}
	return p
}

// PathsOf returns the set of these paths.
func PathsOf(paths ...Path) Paths {
	routes := make([]route, len(paths))
	for i, p := range paths {
		routes[i].steps = p.steps
	}
	return Paths{list: slices.Clone(paths), root: compile(routes)}
}

// String returns the paths in the order in which they were given, joined by a comma and a space.
func (p Paths) String() string {
	texts := make([]string, len(p.list))
	for i, path := range p.list {
		texts[i] = path.String()
	}
	return strings.Join(texts, ", ")
}
