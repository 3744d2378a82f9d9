package pipetest

import (
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// Faults returns the faults that [pipe.Step.Faults] reports, a line for each, without the places in
// the code, so that a test can compare them with a text that survives edits. It returns "" if
// nothing is wrong.
func Faults(plan *pipe.Step) string {
	var lines []string
	seen := map[*pipe.Step]bool{}
	for step := range plan.All() {
		if step.Err != nil && !seen[step] {
			lines = append(lines, step.Err.Error())
		}
		seen[step] = true
	}
	return strings.Join(lines, "\n")
}
