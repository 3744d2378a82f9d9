package jsonschema

import (
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluice-go/sluice/proxy/document"
)

// A node is a schema as it is applied. The fields are named after the keywords that they hold.
type node struct {
	draft    int // 7, 2019 or 2020
	location string
	resource *resource // nil unless something in the schema depends on where a reference was followed

	all   bool // the schema true
	never bool // the schema false

	types     kinds           // 0 is any
	integer   bool            // a number without fraction is of these types
	enum      map[string]bool // of canonical texts; nil without enum and const
	enumKinds kinds           // of the values in enum
	byEnum    string          // enum or const
	longest   int             // of the texts in enum
	format    *jsonschema.Format

	ref       *node
	recursive *node
	dynamic   *dynamicRef

	allOf, anyOf, oneOf     []*node
	not                     *node
	ifThis, then, otherwise *node

	hasObject          bool // one of the keywords for objects is there
	minMembers         int
	maxMembers         int // -1 is any number
	required           []wanted
	members            map[string]member
	patterns           []patternNode
	additional         *node
	propertyNames      *node
	dependents         []dependent
	slots              int // how many members are asked for
	unevaluatedMembers *node

	hasArray         bool // one of the keywords for arrays is there
	minItems         int
	maxItems         int // -1 is any number
	unique           bool
	prefix           []*node
	rest             *node // of the elements behind prefix
	contains         *node
	minContains      int
	maxContains      int // -1 is any number
	unevaluatedItems *node

	hasString bool // one of the keywords for strings is there
	minLength int
	maxLength int // -1 is any number
	pattern   *regexp.Regexp

	hasNumber        bool // one of the keywords for numbers is there
	minimum, maximum *bound
	above, below     *bound // exclusiveMinimum and exclusiveMaximum
	multipleOf       *bound

	anchor          string // $dynamicAnchor
	recursiveAnchor bool

	at int // in the list of the translator
}

// A member is what a schema says of the members of a name.
type member struct {
	node *node // nil if it only must be there, or asks for others
	slot int   // where it is noted that it is there; -1 if nobody asks
}

// A wanted is a member that must be there.
type wanted struct {
	name string
	slot int
}

// A dependent is what a schema says of an object that has a member.
type dependent struct {
	slot    int
	keyword string
	wants   []wanted
	node    *node
}

type patternNode struct {
	re   *regexp.Regexp
	node *node
}

// A dynamicRef is a $dynamicRef. Without an anchor it is a $ref.
type dynamicRef struct {
	initial *node
	anchor  string
}

// A resource is a schema with a URL of its own, with what is in it up to other resources.
type resource struct {
	anchors   map[string]*node // by $dynamicAnchor
	root      *node
	recursive bool // $recursiveAnchor is true
}

// kinds is a set of kinds.
type kinds uint16

func kindsOf(list ...document.Kind) kinds {
	var k kinds
	for _, kind := range list {
		k |= 1 << kind
	}
	return k
}

func (k kinds) has(kind document.Kind) bool { return k>>kind&1 != 0 }

// dialect returns the name of the draft for the plan.
func (n *node) dialect() string {
	switch n.draft {
	case 7:
		return "draft 7"
	case 2019:
		return "2019-09"
	}
	return "2020-12"
}

// keyword returns the keyword that a schema stands in, for the schema false.
func (n *node) keyword() string {
	last := n.location[strings.LastIndexByte(n.location, '/')+1:]
	switch last {
	case "additionalProperties", "unevaluatedProperties", "propertyNames", "additionalItems", "unevaluatedItems", "items":
		return last
	}
	return "false"
}

// components returns what is applied to the same value as n. Of the schemas of one component only one
// is, as of then and else.
func (n *node) components(t *translator) []component {
	var all []component
	for _, inner := range slices.Concat(n.allOf, n.anyOf, n.oneOf, []*node{n.ref, n.not, n.ifThis}) {
		if inner != nil {
			all = append(all, component{inner})
		}
	}
	for _, d := range n.dependents {
		if d.node != nil {
			all = append(all, component{d.node})
		}
	}
	either := component{n.then, n.otherwise}
	all = append(all, slices.DeleteFunc(either, func(inner *node) bool { return inner == nil }))
	if n.dynamic != nil {
		all = append(all, append(component{n.dynamic.initial}, t.anchored(n.dynamic)...))
	}
	if n.recursive != nil {
		all = append(all, append(component{n.recursive}, t.recursiveRoots(n.recursive)...))
	}
	return all
}
