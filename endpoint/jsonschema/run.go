package jsonschema

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/proxy/document"
)

const (
	ticks   = 1 << 10 // how many steps pass between two looks at the context
	perTick = 64      // how many bytes of a text are a step
	maxText = 4 << 10 // how many bytes a text may have where a pattern is matched
)

// A run is one validation. It looks at its context now and then; once stopped is set, nothing more is
// computed, and the result means nothing.
type run struct {
	ctx     context.Context
	left    int // how many steps until the next look
	stopped error

	names  map[string]bool // that may be shown
	path   []token         // to the value that a schema is applied to
	scope  []*resource     // the resources that led to the schema, outermost first
	quiet  int             // above 0 nobody wants to know what is wrong, only whether something is
	faults []Location
	found  int    // how many faults there were; some are of one Location
	full   bool   // nobody wants to know more
	text   []byte // of a value that is compared
	most   int    // how long a text is that can equal another one; 0 is any length
	spare  []byte // for members that are put in order
}

// A token is a step to a value: a name, or an index.
type token struct {
	name  string
	index int // -1 is a name
}

// tick counts a step.
func (r *run) tick() { r.spend(1) }

// spend counts steps.
func (r *run) spend(steps int) {
	if r.left -= steps; r.left < 0 {
		r.look()
	}
}

func (r *run) look() {
	r.left = ticks
	if err := r.ctx.Err(); err != nil {
		r.stop(err)
	}
}

// stop ends the run with an error. It returns false, so that what finds it can return that.
func (r *run) stop(err error) bool {
	if r.stopped == nil {
		r.stopped = err
	}
	return false
}

// over reports whether there is nothing more to find out.
func (r *run) over() bool { return r.stopped != nil || r.full }

// enough reports whether there is nothing more to find out about a value that is good so far, or not.
func (r *run) enough(good bool) bool { return r.over() || !good && r.quiet > 0 }

// fail notes that the value fails a keyword of n. name is the member that is missing. It returns false.
func (r *run) fail(n *node, keyword, name string) bool {
	if r.quiet > 0 || r.over() {
		return false
	}
	r.found++
	r.full = r.found >= maxFound
	at := Location{Pointer: r.pointer(), Keyword: keyword, Schema: n.location, Name: name}
	if !n.never {
		at.Schema += "/" + keyword
	}
	if !slices.Contains(r.faults, at) { // several members that are not allowed have one
		r.faults = append(r.faults, at)
		r.full = r.full || len(r.faults) >= maxLocations
	}
	return false
}

// maxFound is how many faults are looked at for further locations.
const maxFound = 256

// maxPointer is how many bytes a pointer may have before it is cut.
const maxPointer = 1 << 10

// pointer returns the path as a JSON Pointer.
func (r *run) pointer() string {
	var b strings.Builder
	for _, t := range r.path {
		b.WriteByte('/')
		if b.Len() > maxPointer {
			b.WriteString("…")
			break
		}
		switch {
		case t.index >= 0:
			b.WriteString(strconv.Itoa(t.index))
		case r.names[t.name]:
			b.WriteString(escapePointer(t.name))
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

// at applies a schema to a part of the value.
func (r *run) at(t token, n *node, v value) bool {
	r.path = append(r.path, t)
	good := r.eval(n, v, nil)
	r.path = r.path[:len(r.path)-1]
	return good
}

// quietly applies a schema to find out only whether the value fits. What it has evaluated counts if the
// value does.
func (r *run) quietly(n *node, v value, seen *marks) bool {
	var own *marks
	if seen != nil {
		own = new(marks)
	}
	r.quiet++
	good := r.eval(n, v, own)
	r.quiet--
	if good {
		seen.add(own)
	}
	return good
}

// eval reports whether a value fits a schema. It notes in seen, unless that is nil, which members or
// elements of the value the schema has evaluated.
func (r *run) eval(n *node, v value, seen *marks) bool {
	if r.tick(); r.over() {
		return false
	}
	switch {
	case n.all:
		return true
	case n.never:
		return r.fail(n, n.keyword(), "")
	}
	depth := len(r.scope)
	if n.resource != nil && (depth == 0 || r.scope[depth-1] != n.resource) {
		r.scope = append(r.scope, n.resource)
	}
	var good bool
	if n.unevaluatedMembers == nil && n.unevaluatedItems == nil {
		good = r.keywords(n, v, seen)
	} else {
		own := new(marks)
		good = r.keywords(n, v, own) && r.unevaluated(n, v, own)
		seen.add(own)
	}
	r.scope = r.scope[:depth]
	return good
}

// keywords applies all keywords but those for what the others have not evaluated.
func (r *run) keywords(n *node, v value, seen *marks) bool {
	kind := v.Kind()
	switch {
	case n.ref != nil && n.draft < 2019: // nothing counts beside it
		return r.eval(n.ref, v, seen)
	case !n.hasType(v, kind):
		return r.fail(n, "type", "")
	case n.enum != nil && !r.isOneOf(n, v, kind):
		return r.fail(n, n.byEnum, "")
	}
	good := r.references(n, v, seen)
	if r.enough(good) {
		return false
	}
	switch {
	case kind == document.Object && n.hasObject:
		good = r.object(n, v, seen) && good
	case kind == document.Array && n.hasArray:
		good = r.array(n, v, seen) && good
	case kind == document.String && n.hasString:
		good = r.string(n, v.Text()) && good
	case kind == document.Number && n.hasNumber:
		good = r.number(n, v.Text()) && good
	}
	if r.enough(good) {
		return false
	}
	return r.conditions(n, v, seen) && good
}

// hasType reports whether the value is of a type of the schema.
func (n *node) hasType(v value, kind document.Kind) bool {
	if n.types == 0 && !n.integer {
		return true
	}
	return n.types.has(kind) || n.integer && kind == document.Number && isInteger(v.Text())
}

// isOneOf reports whether the value equals one of enum or const.
func (r *run) isOneOf(n *node, v value, kind document.Kind) bool {
	if !n.enumKinds.has(kind) {
		return false
	}
	r.most = n.longest
	r.text = r.appendCanonical(r.text[:0], v)
	r.most = 0
	return n.enum[string(r.text)]
}

// references applies what the schema refers to.
func (r *run) references(n *node, v value, seen *marks) bool {
	good := true
	if n.ref != nil {
		good = r.eval(n.ref, v, seen)
	}
	if n.recursive != nil && !r.enough(good) {
		good = r.eval(r.recursiveTarget(n.recursive), v, seen) && good
	}
	if n.dynamic != nil && !r.enough(good) {
		good = r.eval(r.dynamicTarget(n.dynamic), v, seen) && good
	}
	return good
}

// recursiveTarget returns what a $recursiveRef refers to: the outermost resource on the way here that
// allows it.
func (r *run) recursiveTarget(initial *node) *node {
	if initial.recursiveAnchor {
		for _, res := range r.scope {
			if res.recursive {
				return res.root
			}
		}
	}
	return initial
}

// dynamicTarget returns what a $dynamicRef refers to: the anchor in the outermost resource on the way
// here that has it.
func (r *run) dynamicTarget(d *dynamicRef) *node {
	if d.anchor != "" && d.initial.anchor == d.anchor {
		for _, res := range r.scope {
			if n := res.anchors[d.anchor]; n != nil {
				return n
			}
		}
	}
	return d.initial
}

// conditions applies the keywords that combine schemas.
func (r *run) conditions(n *node, v value, seen *marks) bool {
	good := true
	for _, inner := range n.allOf {
		if good = r.eval(inner, v, seen) && good; r.enough(good) {
			return false
		}
	}
	if n.anyOf != nil && !r.anyOf(n, v, seen) {
		good = r.fail(n, "anyOf", "")
	}
	if n.oneOf != nil && !r.enough(good) && !r.oneOf(n, v, seen) {
		good = r.fail(n, "oneOf", "")
	}
	if n.not != nil && !r.enough(good) && r.quietly(n.not, v, nil) {
		good = r.fail(n, "not", "")
	}
	if n.ifThis == nil || r.enough(good) {
		return good
	}
	inner := n.otherwise
	if r.quietly(n.ifThis, v, seen) {
		inner = n.then
	}
	if inner != nil {
		good = r.eval(inner, v, seen) && good
	}
	return good
}

func (r *run) anyOf(n *node, v value, seen *marks) bool {
	good := false
	for _, inner := range n.anyOf {
		if r.quietly(inner, v, seen) {
			if good = true; seen == nil { // else each that fits has evaluated something
				break
			}
		}
	}
	return good
}

func (r *run) oneOf(n *node, v value, seen *marks) bool {
	fit := 0
	for _, inner := range n.oneOf {
		if r.quietly(inner, v, seen) {
			if fit++; fit > 1 {
				return false
			}
		}
	}
	return fit == 1
}

// unevaluated applies the keywords for what the others have not evaluated.
func (r *run) unevaluated(n *node, v value, seen *marks) bool {
	good, i := true, 0
	switch inner := n.unevaluatedMembers; {
	case v.Kind() == document.Object && inner != nil:
		for name, m := range v.Members() {
			if r.spend(len(name) / perTick); !seen.has(i) {
				if good = r.at(token{name, -1}, inner, value{Cursor: m}) && good; r.enough(good) {
					return false
				}
			}
			i++
		}
		seen.all = true
	case v.Kind() == document.Array && n.unevaluatedItems != nil:
		for i, element := range v.Elements() {
			if !seen.has(i) {
				if good = r.at(token{index: i}, n.unevaluatedItems, value{Cursor: element}) && good; r.enough(good) {
					return false
				}
			}
		}
		seen.all = true
	}
	return good
}

// marks are the members or elements of a value that were evaluated, by their index. nil has none, and
// takes none.
type marks struct {
	all  bool
	bits []uint64
}

func (m *marks) mark(i int) {
	if m == nil {
		return
	}
	for len(m.bits) <= i>>6 {
		m.bits = append(m.bits, 0)
	}
	m.bits[i>>6] |= 1 << (i & 63)
}

func (m *marks) has(i int) bool {
	return m.all || i>>6 < len(m.bits) && m.bits[i>>6]>>(i&63)&1 != 0
}

func (m *marks) add(other *marks) {
	if m == nil || other == nil {
		return
	}
	m.all = m.all || other.all
	for i, b := range other.bits {
		if i < len(m.bits) {
			m.bits[i] |= b
		} else {
			m.bits = append(m.bits, b)
		}
	}
}
