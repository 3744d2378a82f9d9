package document

import (
	"bytes"
	"hash/maphash"
	"math"
	"math/bits"
)

// Merge returns one object with the members of all objects ds, in the order given. The merge is
// shallow. Of members with equal names, even within one document, the first determines the place
// and the last the value. Absent documents add nothing; if there are no members, the result is {}.
//
// max is how many members the result may have: 0 means 100,000 ([DefaultMembers]), negative no
// limit. The error is a [*MergeError] with the index of the document at fault that wraps
// [ErrNotObject] or [ErrMembers].
//
// Merge takes time in proportion to the number of members, whatever their names.
func Merge(max int, ds ...Document) (Document, error) {
	return mergeObjects(new(clock), max, false, ds)
}

// MergeDisjoint is [Merge] for documents that must not share the name of a member. If two do, the
// error is a [*MergeError] with the index of the later one that wraps a [*ConflictError] and
// [ErrConflict]. Equal names within one document are merged.
func MergeDisjoint(max int, ds ...Document) (Document, error) {
	return mergeObjects(new(clock), max, true, ds)
}

// countObjects counts the documents that are present. The error is of the first that is not an object.
func countObjects(ds []Document) (int, error) {
	n := 0
	for i, d := range ds {
		switch d.Kind() {
		case Absent:
		case Object:
			n++
		default:
			return 0, &MergeError{Index: i, Err: ErrNotObject}
		}
	}
	return n, nil
}

// mergeObjects is Merge. If disjoint is true, a name that is in two documents is an error.
func mergeObjects(w *clock, max int, disjoint bool, ds []Document) (Document, error) {
	if max == 0 {
		max = DefaultMembers
	}
	sources, err := countObjects(ds)
	if err != nil {
		return Document{}, err
	}
	total := 0
	for i, d := range ds {
		if d.n == nil {
			continue
		}
		if total += len(d.n.members(w)); total > math.MaxInt32 {
			return Document{}, &MergeError{Index: i, Err: ErrMembers} // more than a ref can count
		}
	}
	m := merger{ds: ds, seed: maphash.MakeSeed()} // nobody can choose colliding names
	var places [64]ref
	var slots [128]slot
	if total <= len(places) { // for few members nothing is allocated
		m.places, m.slots = places[:total], slots[:]
	} else {
		m.places, m.slots = make([]ref, total), make([]slot, 1<<bits.Len(uint(2*total-1)))
	}
	for i, d := range ds {
		if d.n == nil {
			continue
		}
		for k := range d.n.members(w) {
			w.tick()
			r := ref{int32(i), int32(k)}
			old := m.add(r)
			if disjoint && old != none && old.doc != r.doc {
				return Document{}, &MergeError{Index: i, Err: &ConflictError{Index: int(old.doc), Name: string(nameOf(ds, r))}}
			}
			if max > 0 && m.distinct > max {
				return Document{}, &MergeError{Index: i, Err: ErrMembers}
			}
		}
	}
	if sources == 1 && m.distinct == total {
		for _, d := range ds {
			if d.n != nil {
				return d, nil
			}
		}
	}
	return roped(w, rope(w, ds, m.places, m.distinct)), nil
}

// A ref refers to a member by the index of its document and its index there.
type ref struct{ doc, member int32 }

// none in a place says that an earlier member of the same name has taken it over.
var none = ref{-1, -1}

// A merger finds equal names in a hash table with open addressing.
type merger struct {
	ds       []Document
	seed     maphash.Seed
	places   []ref  // for every member in order, the member that is written in its place
	slots    []slot // their number is a power of two, and at most half are taken
	n        int    // how many of places are filled
	distinct int
}

// A slot holds the place of a name, counted from 1, and the hash of the name.
type slot struct {
	hash  uint32
	place int32
}

// add gives the next member a place of its own, or the place of an earlier member of the same name,
// which it returns.
func (m *merger) add(r ref) (old ref) {
	name := nameOf(m.ds, r)
	hash := uint32(maphash.Bytes(m.seed, name))
	mask := uint32(len(m.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &m.slots[i]
		if s.place == 0 {
			m.places[m.n] = r
			m.n++
			m.distinct++
			*s = slot{hash, int32(m.n)}
			return none
		}
		if s.hash == hash && bytes.Equal(name, nameOf(m.ds, m.places[s.place-1])) {
			old = m.places[s.place-1]
			m.places[s.place-1] = r
			m.places[m.n] = none
			m.n++
			return old
		}
	}
}

// nameOf returns the unescaped name of a member.
func nameOf(ds []Document, r ref) []byte {
	n := ds[r.doc].n
	s := &n.members(new(clock))[r.member]
	name := n.part(s.name+1, s.nameEnd-1)
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	return appendUnescaped(nil, name)
}

// rope returns the text of the result in pieces. Members that follow each other in their document
// stay in one piece. It is not a method of merger, so that the arrays of the merger can stay on the
// stack.
func rope(w *clock, ds []Document, places []ref, distinct int) [][]byte {
	replaced := len(places) - distinct
	rope := append(make([][]byte, 0, 6*len(ds)+4*replaced+2), braces[:1])
	emit := func(n *node, from, to int) {
		if len(rope) > 1 {
			rope = append(rope, comma)
		}
		rope = n.appendPieces(rope, from, to)
	}
	at := 0
	for i, d := range ds {
		if d.n == nil {
			continue
		}
		from, to := -1, -1 // the run of members that is not emitted yet
		for k, s := range d.n.members(w) {
			w.tick()
			place := places[at]
			at++
			if place == (ref{int32(i), int32(k)}) {
				if from < 0 {
					from = s.name
				}
				to = s.end
				continue
			}
			if from >= 0 {
				emit(d.n, from, to)
				from = -1
			}
			if place != none {
				other := ds[place.doc].n
				s := other.members(w)[place.member]
				emit(other, s.name, s.end)
			}
		}
		if from >= 0 {
			emit(d.n, from, to)
		}
	}
	return append(rope, braces[1:])
}
