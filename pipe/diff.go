package pipe

import "strings"

// Diff compares the texts of two plans and returns the lines that differ: those only in s after "-
// ", those only in other after "+ ". The result is empty if the plans read the same.
func (s *Step) Diff(other *Step) string {
	old, new := strings.SplitAfter(s.String(), "\n"), strings.SplitAfter(other.String(), "\n")
	common := make([][]int, len(old)+1) // common[i][j]: lines that old[i:] and new[j:] share, in order
	for i := range common {
		common[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if old[i] == new[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var b strings.Builder
	for i, j := 0, 0; i < len(old) || j < len(new); {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j]:
			i, j = i+1, j+1
		case j == len(new) || i < len(old) && common[i+1][j] >= common[i][j+1]:
			b.WriteString("- " + old[i])
			i++
		default:
			b.WriteString("+ " + new[j])
			j++
		}
	}
	return b.String()
}
