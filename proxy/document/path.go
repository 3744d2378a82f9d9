package document

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Path says where in a [Document] a value is: names from the root inwards, each of which may be a
// wildcard. Make it once, at wiring, with [ParsePath], [MustPath] or [PathOf]. It is safe for
// concurrent use.
//
// In an object, a name stands for the member of that name. In an array, a name that is a decimal
// number without sign or leading zero stands for the element of that index. The wildcard stands for
// every member and every element.
//
// The zero Path is the whole document.
type Path struct{ steps []step }

// A step of a path is a name or the wildcard.
type step struct {
	name string
	any  bool
}

// ParsePath returns the path that s spells: names joined by dots, such as user.address.city. A *
// that is a whole name is the wildcard, as in items.*.id.
//
// A backslash takes away the special meaning of the next character: \. is a dot in a name, \* is a
// name that is a star, and \\ is a backslash. A whole name \e is the empty name. Everything else
// stands for itself.
//
// For an empty text, an empty name, any other escape and invalid UTF-8, the error is a [*Error]
// that wraps [ErrPath].
func ParsePath(s string) (Path, error) {
	steps, err := parseSteps(s)
	if err != nil {
		return Path{}, &Error{Path: s, Err: fmt.Errorf("%w: %s", ErrPath, err)}
	}
	return Path{steps}, nil
}

// MustPath is [ParsePath] for paths that are written in code: it panics where ParsePath returns an
// error.
func MustPath(s string) Path {
	p, err := ParsePath(s)
	if err != nil {
		panic("document: MustPath: " + err.Error())
	}
	return p
}

// PathOf returns the path of these names. It takes them literally, so that any name can be
// addressed: dots, stars, backslashes and the empty name have no special meaning. Bytes that are
// not UTF-8 become U+FFFD. Without names, the path is the whole document.
func PathOf(names ...string) Path {
	steps := make([]step, len(names))
	for i, name := range names {
		steps[i].name = validName(name)
	}
	return Path{steps}
}

// validName returns the name in the form in which it is written and compared.
func validName(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// HasWildcard reports whether a name of the path is the wildcard. Such a path may lead to several
// values, and [Document.Get] returns an array of them.
func (p Path) HasWildcard() bool { return wild(p.steps) }

// String returns the text from which [ParsePath] makes the same path, or "" for the whole document.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p.steps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.String())
	}
	return b.String()
}

func (s step) String() string {
	switch {
	case s.any:
		return "*"
	case s.name == "":
		return `\e`
	case s.name == "*":
		return `\*`
	}
	return stepEscaper.Replace(s.name)
}

var stepEscaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// index returns the array index that a name spells, or -1.
func index(name string) int {
	if name == "" || len(name) > 18 || name[0] == '0' && name != "0" {
		return -1
	}
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return -1
		}
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		return -1 // too large for an int of 32 bits
	}
	return n
}

func parseSteps(s string) ([]step, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("invalid UTF-8")
	}
	var steps []step
	for rest, more := s, true; more; {
		var st step
		var err error
		if st, rest, more, err = parseStep(rest); err != nil {
			return nil, err
		}
		steps = append(steps, st)
	}
	return steps, nil
}

// parseStep cuts the first step off s. more reports whether another step follows.
func parseStep(s string) (st step, rest string, more bool, err error) {
	var name strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '.':
			st, err = newStep(s[:i], name.String())
			return st, s[i+1:], true, err
		case '\\':
			i++
			if i == len(s) || strings.IndexByte(`.*\e`, s[i]) < 0 {
				return step{}, "", false, fmt.Errorf(`a backslash is followed by one of . * \ e`)
			}
			if s[i] != 'e' {
				name.WriteByte(s[i])
			} else if next := i + 1; name.Len() > 0 || next < len(s) && s[next] != '.' || i != 1 {
				return step{}, "", false, fmt.Errorf(`\e stands alone`)
			}
		default:
			name.WriteByte(s[i])
		}
	}
	st, err = newStep(s, name.String())
	return st, "", false, err
}

func newStep(text, name string) (step, error) {
	switch text {
	case "":
		return step{}, fmt.Errorf("empty name")
	case "*":
		return step{any: true}, nil
	}
	return step{name: name}, nil
}

func wild(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return s.any })
}
