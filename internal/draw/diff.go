package draw

import "strings"

// Diff returns the lines in which two texts differ: those only in the first after "- ", those only in
// the second after "+ ".
func Diff(first, second string) string {
	old, new := strings.SplitAfter(first, "\n"), strings.SplitAfter(second, "\n")
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
