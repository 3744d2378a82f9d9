package balance

import "slices"

// An alias draws one of several hosts by weight in constant time, with a table of as many cells
// (Vose, A Linear Algorithm for Generating Random Numbers with a Given Distribution, 1991).
type alias []cell

// A cell is one of two hosts: that of the same index up to the limit, and else the other.
type cell struct {
	limit uint32
	other int32
}

func newAlias(hosts []*member) alias {
	total := 0
	for _, m := range hosts {
		total += m.host.Weight
	}
	a := make(alias, len(hosts))
	parts := make([]float64, len(hosts))
	var small, large []int
	for i, m := range hosts {
		parts[i] = float64(m.host.Weight) * float64(len(hosts)) / float64(total)
		if parts[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		i, j := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a[i] = cell{uint32(parts[i] * (1<<32 - 1)), int32(j)}
		if parts[j] -= 1 - parts[i]; parts[j] < 1 {
			large = large[:len(large)-1]
			small = append(small, j)
		}
	}
	for _, i := range slices.Concat(small, large) {
		a[i] = cell{1<<32 - 1, int32(i)}
	}
	return a
}

// index maps a random number to a host.
func (a alias) index(r uint64) int {
	n := uint64(len(a))
	i := r >> 32 * n >> 32
	if c := a[i]; uint32(r) > c.limit {
		return int(c.other)
	}
	return int(i)
}
