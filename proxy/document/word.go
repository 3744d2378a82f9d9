package document

// Text is read in words of eight bytes. A mark in a word is the high bit of a byte.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks a quote, a backslash, a control character or a byte that is not ASCII among the
// eight bytes of w, by the high bit of the first such byte. Marks after the first one mean nothing.
func special(w uint64) uint64 {
	return (((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | (w - ones*' ') | w) & highs
}

// firstMark returns how many bytes of a word there are up to the first one that is marked, including
// it, or 8. It branches, because most names are those of the objects before: then the processor
// guesses where a name ends, and need not wait until it knows.
func firstMark(m uint64) int {
	switch {
	case m&0x80808080 == 0:
		switch {
		case m&(0x80<<32) != 0:
			return 5
		case m&(0x80<<40) != 0:
			return 6
		case m&(0x80<<48) != 0:
			return 7
		}
		return 8
	case m&0x80 != 0:
		return 1
	case m&0x8000 != 0:
		return 2
	case m&0x800000 != 0:
		return 3
	}
	return 4
}

// nesting marks a quote or a bracket among eight bytes of valid JSON outside strings, by the high
// bit of the first such byte. Brackets of both kinds become 0x7F. The other bytes that do (Y, y, _
// and DEL) are only in strings, and so are bytes that are not ASCII. So the first mark is always
// right.
func nesting(w uint64) uint64 {
	return (((w ^ ones*'"') - ones) | (((w | ones*0x26) ^ ones*0x7F) - ones)) & highs
}
