package revoke

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bits-and-blooms/bitset"
)

// formVersion is the first byte of the binary form of a filter.
const formVersion = 1

// headSize is the size of what stands before the bits: the version, how many bits there are, how many
// of them an id sets, the Lifetime, and the number of the current generation.
const headSize = 1 + 4*8

// MarshalBinary returns everything that the filter remembers, for the [Filter.Merge] of another filter. It
// never fails. The IDs cannot be read from it.
func (f *Filter) MarshalBinary() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	b := append(make([]byte, 0, headSize+int(f.m)/4), formVersion)
	for _, n := range f.head() {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, g := range [...]*generation{f.now, f.old} {
		for _, word := range g.bits.BitSet().Words() {
			b = binary.BigEndian.AppendUint64(b, word)
		}
	}
	return b, nil
}

// head returns the numbers before the bits. The caller holds the lock.
func (f *Filter) head() [4]uint64 {
	return [...]uint64{uint64(f.m), uint64(f.k), uint64(f.spec.Lifetime), uint64(f.last)}
}

// errForm is why bytes cannot be merged.
var errForm = errors.New("revoke: Merge: the bytes are not what MarshalBinary has returned")

var errAhead = errors.New("revoke: Merge: the clock of the other filter is more than a Lifetime ahead")

// Merge adds what another filter of the same Spec remembers. Merging the same bytes again changes nothing.
// The merged IDs take up room: with too many, tokens are refused by mistake more often than
// Spec.FalsePositives says, and [Filter.Revoke] fails with [ErrFull].
//
// It is an error if the bytes are not a filter, or are from a filter of another Spec, or from a process
// whose clock is more than a Lifetime ahead; then nothing is merged. Whoever can give bytes to Merge can
// have every token refused.
func (f *Filter) Merge(b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn()
	if len(b) < headSize || b[0] != formVersion {
		return errForm
	}
	var theirs [4]uint64
	for i := range theirs {
		theirs[i] = binary.BigEndian.Uint64(b[1+8*i:])
	}
	for i, ours := range f.head() {
		if i < 3 && theirs[i] != ours {
			return fmt.Errorf("%w, or it is of another Spec", errForm)
		}
	}
	size := int(f.m) / 8
	if b = b[headSize:]; len(b) != 2*size {
		return errForm
	}
	last := int64(theirs[3])
	if last > f.last+1 {
		return errAhead
	}
	for i, bits := range [...][]byte{b[:size], b[size:]} {
		switch last - int64(i) {
		case f.last:
			f.now.add(bits)
		case f.last - 1:
			f.old.add(bits)
		case f.last + 1: // their clock is ahead
			f.now.add(bits)
		}
	}
	return nil
}

// add adds the bits of another filter.
func (g *generation) add(b []byte) {
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	g.bits.BitSet().InPlaceUnion(bitset.From(words))
	g.n = int(g.bits.ApproximatedSize())
}
