package document

import (
	"encoding/binary"
	"math/bits"
)

// Depth returns how deep arrays and objects are nested in d: 1 for [] and {}, 0 for a scalar and
// for the absent Document. It reads the whole text.
func (d Document) Depth() int {
	if d.Kind() != Array && d.Kind() != Object {
		return 0
	}
	b, i, depth, deepest := d.n.bytes(), 0, 0, 0
	for {
		for len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			m := nesting(w)
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		switch b[i] {
		case '"':
			i, _ = skipString(b, i)
			continue
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			if depth--; depth == 0 {
				return deepest
			}
		}
		i++
	}
}

// tooDeep reports whether v would exceed [DefaultDepth] inside the given number of arrays and
// objects.
func tooDeep(v Document, levels int) bool {
	return v.Size()/2+levels > DefaultDepth && v.Depth()+levels > DefaultDepth // each level takes two bytes
}
