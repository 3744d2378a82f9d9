package document

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
)

// deepest is how deep MergeDeep and a Decoder recurse into a document: as deep as a goroutine can
// go without harm, and as encoding/json does.
const deepest = 10_000

// MergeDeep is [Merge], except that it also merges members of equal names, at any depth, if their
// values are objects. A later value of any other kind, such as an array, replaces those before it,
// and an object after it starts anew. Of equal names within one document the last value counts.
//
// max bounds the members of the root, as in Merge. The error is a [*MergeError] that wraps
// [ErrNotObject], [ErrMembers], or [ErrDepth] if objects are nested deeper than 10,000. Every
// document is read once, however deep the documents overlap.
func MergeDeep(max int, ds ...Document) (Document, error) { return mergeDeep(new(clock), max, ds) }

func mergeDeep(w *clock, max int, ds []Document) (Document, error) {
	if max == 0 {
		max = DefaultMembers
	}
	sources, err := countObjects(ds)
	if err != nil {
		return Document{}, err
	}
	if sources < 2 {
		return mergeObjects(w, max, false, ds)
	}
	size := 0
	for _, d := range ds {
		size += d.Size()
	}
	m := deepMerger{clock: *w, outlines: make([]outline, len(ds)), max: max, seed: maphash.MakeSeed()}
	roots := make([]object, 0, sources)
	for i, d := range ds {
		if d.n == nil {
			continue
		}
		o := outline{clock: *w, b: d.n.bytes()}
		if _, err := o.add(0, 1); err != nil {
			return Document{}, &MergeError{Index: i, Err: err}
		}
		m.outlines[i] = o
		roots = append(roots, object{doc: i, to: len(o.members)})
	}
	m.out = make([]byte, 0, size)
	if at := m.merge(roots); at >= 0 {
		return Document{}, &MergeError{Index: at, Err: ErrMembers}
	}
	if len(m.out) < cap(m.out)/2 {
		return raw(m.out).Clip(), nil
	}
	return raw(m.out), nil
}

// An outline lists where the members of an object are. Each member is followed by the members of
// the object that is its value.
type outline struct {
	clock   clock
	b       []byte
	members []outlined
}

// An outlined is a member of an outline. The next below members of the outline are inside its
// value.
type outlined struct{ name, value, end, below int }

// add adds the object at i and returns the offset after it.
func (o *outline) add(i, depth int) (int, error) {
	if depth > deepest {
		return 0, ErrDepth
	}
	c := open(o.b, i)
	for c.member() {
		o.clock.tick()
		at := len(o.members)
		o.members = append(o.members, outlined{name: c.name, value: c.value})
		if o.b[c.value] == '{' {
			end, err := o.add(c.value, depth+1)
			if err != nil {
				return 0, err
			}
			c.jump(end)
		} else {
			c.skip()
		}
		m := &o.members[at]
		m.end, m.below = c.end, len(o.members)-at-1
	}
	return c.i, nil
}

// An object is a part of an outline: the members of one object and all below them.
type object struct{ doc, from, to int }

// A deepMerger writes several objects as one. Its slices, except out, are stacks: each level uses
// the part above that of the level around it.
type deepMerger struct {
	clock    clock
	outlines []outline
	max      int // the limit for members of the root; negative is no limit
	seed     maphash.Seed
	out      []byte

	objects []object
	places  []deepPlace
	members []deepMember
	slots   []slot // the hash table of one level at a time; see merger
	level   int
}

// A deepPlace is a name, with the last member that has it.
type deepPlace struct {
	name []byte
	last int
}

// A deepMember is a member. before is the member before it with the same name, or -1.
type deepMember struct{ doc, at, before int }

// merge writes the objects as one. It returns -1, or the index of the document with which the root
// has too many members.
func (m *deepMerger) merge(objects []object) int {
	first, lowest := len(m.places), len(m.members)
	if over := m.sort(objects, first); over >= 0 {
		return over
	}
	m.level++
	m.out = append(m.out, '{')
	for p, end := first, len(m.places); p < end; p++ {
		if p > first {
			m.out = append(m.out, ',')
		}
		m.clock.tick()
		last := m.members[m.places[p].last]
		member, b := m.member(last)
		bottom := len(m.objects)
		if m.collect(m.places[p].last); len(m.objects)-bottom < 2 {
			m.out = append(m.out, b[member.name:member.end]...)
		} else {
			slices.Reverse(m.objects[bottom:])
			m.out = append(m.out, b[member.name:member.value]...)
			m.merge(m.objects[bottom:])
		}
		m.objects = m.objects[:bottom]
	}
	m.out = append(m.out, '}')
	m.level--
	m.places, m.members = m.places[:first], m.members[:lowest]
	return -1
}

func (m *deepMerger) member(r deepMember) (*outlined, []byte) {
	o := &m.outlines[r.doc]
	return &o.members[r.at], o.b
}

// sort gives each name among the members of the objects a place, from first on. It returns -1, or
// the index of the document with which the root has too many members.
func (m *deepMerger) sort(objects []object, first int) int {
	total := 0
	for _, o := range objects {
		for at := o.from; at < o.to; at += 1 + m.outlines[o.doc].members[at].below {
			m.clock.tick()
			total++
		}
	}
	size := 1 << bits.Len(uint(2*total))
	m.slots = slices.Grow(m.slots[:0], size)[:size]
	clear(m.slots)
	for _, o := range objects {
		for at := o.from; at < o.to; at += 1 + m.outlines[o.doc].members[at].below {
			m.clock.tick()
			m.add(o.doc, at, first)
			if m.level == 0 && m.max > 0 && len(m.places) > m.max {
				return o.doc
			}
		}
	}
	return -1
}

// add gives a member the place of its name.
func (m *deepMerger) add(doc, at, first int) {
	o := &m.outlines[doc]
	end, escaped := skipString(o.b, o.members[at].name)
	name := o.b[o.members[at].name+1 : end-1]
	if escaped {
		name = appendUnescaped(nil, name)
	}
	hash := uint32(maphash.Bytes(m.seed, name))
	mask := uint32(len(m.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.place == 0 {
			m.places = append(m.places, deepPlace{name, len(m.members)})
			m.members = append(m.members, deepMember{doc, at, -1})
			*s = slot{hash, int32(len(m.places) - first)}
			return
		}
		if p := &m.places[first+int(s.place)-1]; s.hash == hash && bytes.Equal(name, p.name) {
			m.members = append(m.members, deepMember{doc, at, p.last})
			p.last = len(m.members) - 1
			return
		}
	}
}

// collect pushes the objects that are to be merged for a name, the last one first. It takes the
// last value of each document, and stops at one that is not an object.
func (m *deepMerger) collect(i int) {
	doc := -1
	for i >= 0 {
		r := m.members[i]
		m.clock.tick()
		if i = r.before; r.doc == doc {
			continue
		}
		doc = r.doc
		member, b := m.member(r)
		if b[member.value] != '{' {
			return
		}
		m.objects = append(m.objects, object{doc, r.at + 1, r.at + 1 + member.below})
	}
}
