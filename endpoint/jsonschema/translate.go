package jsonschema

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-go/sluice/proxy/document"
)

// A translator makes nodes of what the compiler has made.
type translator struct {
	compiler *jsonschema.Compiler
	texts    resources
	formats  bool
	nodes    map[*jsonschema.Schema]*node
	list     []*node // in the order in which they were found
	names    map[string]bool
	files    map[string]map[string]*resource // by the URL of the text, then by the pointer to their root
	dynamic  bool                            // a reference depends on where another one was followed
}

// translate returns the node of a schema.
func (t *translator) translate(s *jsonschema.Schema) (*node, error) {
	root := t.node(s)
	for _, n := range t.list {
		if n.draft != 7 && n.draft != 2019 && n.draft != 2020 {
			return nil, fmt.Errorf("%s is of draft %d; known are 7, 2019-09 and 2020-12", n.location, n.draft)
		}
	}
	if t.dynamic {
		t.findResources()
	}
	return root, nil
}

// node returns the node of a schema, and makes those of all that it refers to.
func (t *translator) node(s *jsonschema.Schema) *node {
	if s == nil {
		return nil
	}
	if n := t.nodes[s]; n != nil {
		return n
	}
	n := &node{draft: s.DraftVersion, location: strings.TrimPrefix(s.Location, home), maxMembers: -1, maxItems: -1, minContains: 1,
		maxContains: -1, maxLength: -1, at: len(t.list), anchor: s.DynamicAnchor, recursiveAnchor: s.RecursiveAnchor}
	t.nodes[s] = n
	t.list = append(t.list, n)
	if s.Bool != nil {
		n.all, n.never = *s.Bool, !*s.Bool
		return n
	}
	t.general(n, s)
	t.object(n, s)
	t.array(n, s)
	n.minLength, n.maxLength = or(s.MinLength, 0), or(s.MaxLength, -1)
	n.pattern = regexpOf(s.Pattern)
	n.hasString = n.minLength > 0 || n.maxLength >= 0 || n.pattern != nil || n.format != nil
	n.minimum, n.maximum, n.multipleOf = boundOf(s.Minimum), boundOf(s.Maximum), boundOf(s.MultipleOf)
	n.above, n.below = boundOf(s.ExclusiveMinimum), boundOf(s.ExclusiveMaximum)
	n.hasNumber = n.minimum != nil || n.maximum != nil || n.above != nil || n.below != nil || n.multipleOf != nil
	return n
}

func (t *translator) general(n *node, s *jsonschema.Schema) {
	if s.Types != nil {
		for _, name := range s.Types.ToStrings() {
			n.types |= kindsOf(kindNamed[name])
			n.integer = n.integer || name == "integer"
		}
		if n.integer && !slices.Contains(s.Types.ToStrings(), "number") {
			n.types &^= kindsOf(document.Number)
		}
	}
	if s.Enum != nil {
		n.allow("enum", s.Enum.Values)
	}
	if s.Const != nil {
		n.allow("const", []any{*s.Const})
	}
	if s.Format != nil && (t.formats || s.DraftVersion >= 2019) { // the compiler has all formats of draft 7
		n.format = s.Format
		if s.Format.Name == "regex" {
			n.format = &regexFormat
		}
	}
	n.ref, n.recursive = t.node(s.Ref), t.node(s.RecursiveRef)
	if d := s.DynamicRef; d != nil {
		n.dynamic = &dynamicRef{initial: t.node(d.Ref), anchor: d.Anchor}
	}
	t.dynamic = t.dynamic || n.recursive != nil || n.dynamic != nil
	n.allOf, n.anyOf, n.oneOf = t.each(s.AllOf), t.each(s.AnyOf), t.each(s.OneOf)
	n.not, n.ifThis, n.then, n.otherwise = t.node(s.Not), t.node(s.If), t.node(s.Then), t.node(s.Else)
}

// allow allows only these values, of those that were allowed before.
func (n *node) allow(keyword string, values []any) {
	before := n.enum
	n.byEnum, n.enum, n.enumKinds, n.longest = keyword, map[string]bool{}, 0, 0
	for _, v := range values {
		text, kind := canonicalOf(v)
		if before == nil || before[text] {
			n.enum[text] = true
			n.enumKinds |= kindsOf(kind)
			n.longest = max(n.longest, len(text))
		}
	}
}

var kindNamed = map[string]document.Kind{"null": document.Null, "boolean": document.Bool, "number": document.Number,
	"integer": document.Number, "string": document.String, "array": document.Array, "object": document.Object}

func (t *translator) object(n *node, s *jsonschema.Schema) {
	n.members = map[string]member{}
	for _, name := range sorted(s.Properties) {
		n.members[name] = member{t.node(s.Properties[name]), -1}
		t.names[name] = true
	}
	n.required = t.wanted(n, s.Required)
	n.minMembers, n.maxMembers = or(s.MinProperties, 0), or(s.MaxProperties, -1)
	for re, inner := range s.PatternProperties {
		n.patterns = append(n.patterns, patternNode{regexpOf(re), t.node(inner)})
	}
	slices.SortFunc(n.patterns, func(a, b patternNode) int { return cmp.Compare(a.re.String(), b.re.String()) })
	n.additional = t.boolOrNode(n, s.AdditionalProperties, "additionalProperties")
	n.propertyNames = t.node(s.PropertyNames)
	for _, name := range sorted(s.Dependencies) {
		d := dependent{slot: t.slot(n, name), keyword: "dependencies"}
		switch what := s.Dependencies[name].(type) {
		case []string:
			d.wants = t.wanted(n, what)
		case *jsonschema.Schema:
			d.node = t.node(what)
		}
		n.dependents = append(n.dependents, d)
	}
	for _, name := range sorted(s.DependentRequired) {
		n.dependents = append(n.dependents, dependent{slot: t.slot(n, name), keyword: "dependentRequired", wants: t.wanted(n, s.DependentRequired[name])})
	}
	for _, name := range sorted(s.DependentSchemas) {
		n.dependents = append(n.dependents, dependent{slot: t.slot(n, name), node: t.node(s.DependentSchemas[name])})
	}
	n.unevaluatedMembers = t.node(s.UnevaluatedProperties)
	n.hasObject = len(n.members) > 0 || n.minMembers > 0 || n.maxMembers >= 0 || len(n.patterns) > 0 || n.additional != nil || n.propertyNames != nil
}

func (t *translator) array(n *node, s *jsonschema.Schema) {
	if s.DraftVersion >= 2020 {
		n.prefix, n.rest = t.each(s.PrefixItems), t.node(s.Items2020)
	} else {
		switch items := s.Items.(type) {
		case *jsonschema.Schema:
			n.rest = t.node(items)
		case []*jsonschema.Schema:
			n.prefix, n.rest = t.each(items), t.boolOrNode(n, s.AdditionalItems, "additionalItems")
		}
	}
	n.minItems, n.maxItems, n.unique = or(s.MinItems, 0), or(s.MaxItems, -1), s.UniqueItems
	n.contains = t.node(s.Contains)
	n.minContains, n.maxContains = or(s.MinContains, 1), or(s.MaxContains, -1)
	n.unevaluatedItems = t.node(s.UnevaluatedItems)
	n.hasArray = n.minItems > 0 || n.maxItems >= 0 || n.unique || len(n.prefix) > 0 || n.rest != nil || n.contains != nil
}

// boolOrNode returns the node of a keyword that the compiler gives as a bool or a schema.
func (t *translator) boolOrNode(n *node, v any, keyword string) *node {
	switch v := v.(type) {
	case *jsonschema.Schema:
		return t.node(v)
	case bool:
		inner := &node{draft: n.draft, location: n.location + "/" + keyword, all: v, never: !v, at: len(t.list)}
		t.list = append(t.list, inner)
		return inner
	}
	return nil
}

func (t *translator) each(list []*jsonschema.Schema) []*node {
	var nodes []*node
	for _, s := range list {
		nodes = append(nodes, t.node(s))
	}
	return nodes
}

// wanted returns members that must be there.
func (t *translator) wanted(n *node, names []string) []wanted {
	var list []wanted
	for _, name := range names {
		list = append(list, wanted{name, t.slot(n, name)})
	}
	return list
}

// slot returns where it is noted that an object has a member.
func (t *translator) slot(n *node, name string) int {
	m, known := n.members[name]
	if !known {
		m.slot = -1
	}
	if m.slot < 0 {
		m.slot = n.slots
		n.slots++
	}
	n.members[name] = m
	t.names[name] = true
	return m.slot
}

func or(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// compileRegexp is the engine of the compiler.
func compileRegexp(pattern string) (jsonschema.Regexp, error) { return regexp.Compile(pattern) }

func regexpOf(re jsonschema.Regexp) *regexp.Regexp {
	compiled, _ := re.(*regexp.Regexp)
	return compiled
}

// findResources finds the resources of all nodes, and the anchors in them. An anchor may be in a part
// that nothing refers to by name, so more nodes may be found.
func (t *translator) findResources() {
	t.files = map[string]map[string]*resource{}
	for i := 0; i < len(t.list); i++ { // it grows
		file, pointer := t.place(t.list[i])
		if t.files[file] == nil {
			t.files[file] = map[string]*resource{}
			t.resourcesOf(file)
		}
		t.list[i].resource = t.resourceAt(file, pointer)
	}
}

// place returns the URL of the text that a node is in, and the pointer to it.
func (t *translator) place(n *node) (file, pointer string) {
	file, fragment, _ := strings.Cut(n.location, "#")
	if file == "" {
		file = home
	}
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		pointer = fragment
	}
	return file, pointer
}

// resourceAt returns the innermost resource around a pointer.
func (t *translator) resourceAt(file, pointer string) *resource {
	for {
		if r := t.files[file][pointer]; r != nil {
			return r
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return nil
		}
		pointer = pointer[:i]
	}
}

// resourcesOf finds the resources of a text. One of a draft is a resource, and its only anchor is that
// of its root.
func (t *translator) resourcesOf(file string) {
	text, ours := t.texts[file]
	if !ours {
		r := t.newResource(file, "")
		if r.root != nil && r.root.anchor != "" {
			r.anchors[r.root.anchor] = r.root
		}
		return
	}
	t.walk(file, "", text, nil)
}

func (t *translator) newResource(file, pointer string) *resource {
	r := &resource{anchors: map[string]*node{}, root: t.at(file, pointer)}
	r.recursive = r.root != nil && r.root.recursiveAnchor
	t.files[file][pointer] = r
	return r
}

// at returns the node at a pointer, or nil if there is no schema.
func (t *translator) at(file, pointer string) *node {
	s, err := t.compiler.Compile(file + "#" + (&url.URL{Path: pointer}).EscapedPath())
	if err != nil {
		return nil
	}
	return t.node(s)
}

// walk finds the resources in a part of a text. What only looks like a schema, as the value of a const
// does, is not one.
func (t *translator) walk(file, pointer string, v any, around *resource) {
	switch v := v.(type) {
	case map[string]any:
		id, _ := v["$id"].(string)
		if around == nil || id != "" && !strings.HasPrefix(id, "#") {
			around = t.newResource(file, pointer)
		}
		if anchor, ok := v["$dynamicAnchor"].(string); ok {
			if n := t.at(file, pointer); n != nil && n.anchor == anchor {
				around.anchors[anchor] = n
			}
		}
		for _, name := range sorted(v) {
			switch name {
			case "const", "enum", "default", "examples":
			default:
				t.walk(file, pointer+"/"+escapePointer(name), v[name], around)
			}
		}
	case []any:
		for i, inner := range v {
			t.walk(file, fmt.Sprintf("%s/%d", pointer, i), inner, around)
		}
	default:
		if around == nil {
			t.newResource(file, pointer)
		}
	}
}

// anchored returns what a $dynamicRef may refer to besides its initial target.
func (t *translator) anchored(d *dynamicRef) []*node {
	if d.anchor == "" || d.initial.anchor != d.anchor {
		return nil
	}
	var list []*node
	for _, file := range t.files {
		for _, r := range file {
			if n := r.anchors[d.anchor]; n != nil && n != d.initial {
				list = append(list, n)
			}
		}
	}
	return list
}

// recursiveRoots returns what a $recursiveRef may refer to besides its initial target.
func (t *translator) recursiveRoots(initial *node) []*node {
	if !initial.recursiveAnchor {
		return nil
	}
	var list []*node
	for _, file := range t.files {
		for _, r := range file {
			if r.recursive && r.root != initial {
				list = append(list, r.root)
			}
		}
	}
	return list
}

var errNoEnd = errors.New("it refers to itself without going into the value, which never ends")
