package jsonschema

import (
	"regexp"
	"unicode/utf8"
)

// object applies the keywords for objects.
func (r *run) object(n *node, v value, seen *marks) bool {
	var room [32]bool
	there := room[:]
	if n.slots > len(there) {
		there = make([]bool, n.slots)
	}
	good, i := true, 0
	for name, inner := range v.Members() {
		good = r.member(n, name, value{Cursor: inner}, there, seen, i) && good
		if r.spend(1 + len(name)/perTick); r.enough(good) {
			return false
		}
		i++
	}
	if i < n.minMembers {
		good = r.fail(n, "minProperties", "")
	}
	if n.maxMembers >= 0 && i > n.maxMembers {
		good = r.fail(n, "maxProperties", "")
	}
	good = r.wanted(n, "required", n.required, there) && good
	for k := range n.dependents {
		d := &n.dependents[k]
		if !there[d.slot] || r.enough(good) {
			continue
		}
		good = r.wanted(n, d.keyword, d.wants, there) && good
		if d.node != nil {
			good = r.eval(d.node, v, seen) && good
		}
	}
	return good
}

// member applies the keywords for the member of an index.
func (r *run) member(n *node, name string, v value, there []bool, seen *marks, i int) bool {
	good, evaluated, t := true, false, token{name, -1}
	if m, known := n.members[name]; known {
		if m.slot >= 0 {
			there[m.slot] = true
		}
		if m.node != nil {
			evaluated, good = true, r.at(t, m.node, v)
		}
	}
	for k := range n.patterns {
		if p := &n.patterns[k]; r.matches(p.re, name) {
			evaluated, good = true, r.at(t, p.node, v) && good
		}
	}
	if !evaluated && n.additional != nil {
		evaluated, good = true, r.at(t, n.additional, v) && good
	}
	if n.propertyNames != nil {
		good = r.at(t, n.propertyNames, value{name: name, isName: true}) && good
	}
	if evaluated {
		seen.mark(i)
	}
	return good
}

// wanted reports whether members are there that must be.
func (r *run) wanted(n *node, keyword string, list []wanted, there []bool) bool {
	good := true
	for _, w := range list {
		if !there[w.slot] {
			good = r.fail(n, keyword, w.name)
		}
	}
	return good
}

// array applies the keywords for arrays.
func (r *run) array(n *node, v value, seen *marks) bool {
	good, length, contained := true, 0, 0
	for i, element := range v.Elements() {
		inner, t := value{Cursor: element}, token{index: i}
		switch {
		case i < len(n.prefix):
			good = r.at(t, n.prefix[i], inner) && good
			seen.mark(i)
		case n.rest != nil:
			good = r.at(t, n.rest, inner) && good
			seen.mark(i)
		}
		if n.contains != nil && r.quietly(n.contains, inner, nil) {
			contained++
			if n.draft >= 2020 {
				seen.mark(i)
			}
		}
		if r.tick(); r.enough(good) {
			return false
		}
		length++
	}
	if length < n.minItems {
		good = r.fail(n, "minItems", "")
	}
	if n.maxItems >= 0 && length > n.maxItems {
		good = r.fail(n, "maxItems", "")
	}
	if n.contains != nil {
		if contained < n.minContains {
			good = r.fail(n, n.containsKeyword(), "")
		}
		if n.maxContains >= 0 && contained > n.maxContains {
			good = r.fail(n, "maxContains", "")
		}
	}
	if n.unique && length > 1 && !r.enough(good) && !r.isUnique(v, length) {
		good = r.fail(n, "uniqueItems", "")
	}
	return good
}

// containsKeyword returns the keyword that says how many elements must fit contains.
func (n *node) containsKeyword() string {
	if n.minContains == 1 {
		return "contains"
	}
	return "minContains"
}

// isUnique reports whether no two elements of an array are equal.
func (r *run) isUnique(v value, length int) bool {
	seen := make(map[string]bool, length/4) // not all: most may be equal
	for _, element := range v.Elements() {
		r.text = r.appendCanonical(r.text[:0], value{Cursor: element})
		if r.stopped != nil || seen[string(r.text)] {
			return false
		}
		seen[string(r.text)] = true
	}
	return true
}

// string applies the keywords for strings.
func (r *run) string(n *node, text string) bool {
	good := true
	if n.minLength > 0 || n.maxLength >= 0 {
		r.spend(len(text) / perTick)
		length := utf8.RuneCountInString(text)
		if length < n.minLength {
			good = r.fail(n, "minLength", "")
		}
		if n.maxLength >= 0 && length > n.maxLength {
			good = r.fail(n, "maxLength", "")
		}
	}
	if n.pattern != nil && !r.enough(good) && !r.matches(n.pattern, text) {
		good = r.fail(n, "pattern", "")
	}
	if n.format == nil || r.enough(good) {
		return good
	}
	if len(text) > maxText {
		return r.stop(ErrText)
	}
	r.spend(len(text))
	if n.format.Validate(text) != nil {
		good = r.fail(n, "format", "")
	}
	return good
}

// matches reports whether a text matches a pattern. Package regexp takes time in proportion to both, so
// the text is bounded, and the context is looked at between texts.
func (r *run) matches(re *regexp.Regexp, text string) bool {
	if len(text) > maxText {
		return r.stop(ErrText)
	}
	r.spend(len(text))
	return !r.over() && re.MatchString(text)
}

// number applies the keywords for numbers.
func (r *run) number(n *node, literal string) bool {
	num, good := numberOf(literal), true
	r.spend(len(literal))
	if n.minimum != nil && num.cmp(n.minimum) < 0 {
		good = r.fail(n, "minimum", "")
	}
	if n.maximum != nil && num.cmp(n.maximum) > 0 {
		good = r.fail(n, "maximum", "")
	}
	if n.above != nil && num.cmp(n.above) <= 0 {
		good = r.fail(n, "exclusiveMinimum", "")
	}
	if n.below != nil && num.cmp(n.below) >= 0 {
		good = r.fail(n, "exclusiveMaximum", "")
	}
	if n.multipleOf != nil && !num.isMultiple(n.multipleOf) {
		good = r.fail(n, "multipleOf", "")
	}
	return good
}
