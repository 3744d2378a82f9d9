package simulate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// page is where the results are.
const page = "../../docs/resilience.md"

// The results are between these lines of the page.
const (
	tableBegins = "<!-- simulation: make simulate writes this table -->\n"
	tableEnds   = "<!-- end of simulation -->\n"
)

// proves T2, T5, T21, T22, T28, T29, O13
func TestTheStackHoldsInEveryDisaster(t *testing.T) {
	t.Parallel()
	for _, d := range disasters(short) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			run(t, d, true, 1)
		})
	}
}

// SLUICE_SIMULATE says with how many seeds each disaster happens in its full form, with and without
// the stack. The results go into the page.
func TestSimulate(t *testing.T) {
	n := 0
	if _, err := fmt.Sscan(os.Getenv("SLUICE_SIMULATE"), &n); err != nil || n < 1 {
		t.Skip("a simulation runs where SLUICE_SIMULATE says with how many seeds, as in 3")
	}
	var rows strings.Builder
	rows.WriteString("\n| disaster | stack | success | tries per call | p50 | p99 |\n|---|---|---|---|---|---|\n")
	for _, d := range disasters(full) {
		for _, with := range []bool{true, false} {
			var all proxytest.LoadResult
			for seed := range uint64(n) {
				all.Calls = append(all.Calls, run(t, d, with, seed+1).Calls...)
			}
			t.Logf("%s, with the stack %v: %v", d.name, with, &all)
			rows.WriteString(row(d.name, with, &all))
		}
	}
	if t.Failed() {
		return
	}
	before, _, after := split(t)
	require.NoError(t, os.WriteFile(page, []byte(before+tableBegins+rows.String()+"\n"+tableEnds+after), 0o644))
}

// row returns a row of the table.
func row(name string, with bool, r *proxytest.LoadResult) string {
	stack := "with"
	if !with {
		name, stack = "", "without"
	}
	return fmt.Sprintf("| %s | %s | %.2f %% | %.2f | %s | %s |\n", name, stack, 100*r.Success(),
		float64(r.Tries())/float64(len(r.Calls)), inMillis(r.Quantile(0.5)), inMillis(r.Quantile(0.99)))
}

// inMillis returns a time as text.
func inMillis(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "< 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// split returns the page before the table, the table, and the page after it.
func split(t *testing.T) (before, table, after string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), tableBegins)
	require.True(t, found, "the page has no line %s", tableBegins)
	table, after, found = strings.Cut(rest, tableEnds)
	require.True(t, found, "the page has no line %s", tableEnds)
	return before, table, after
}

func TestThePageHasEveryDisaster(t *testing.T) {
	t.Parallel()
	_, table, _ := split(t)
	var want, got []string
	for _, d := range disasters(full) {
		want = append(want, d.name, "")
	}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		cells := strings.Split(line, "|")
		require.Len(t, cells, 8, line)
		got = append(got, strings.TrimSpace(cells[1]))
	}
	assert.Equal(t, want, got, "run make simulate")
}

// The page shows the plan of the stack, and what it can cost.
func TestThePageShowsTheStack(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		plan := pipe.PlanOf(newWorld(t, disaster{}, true, 1).item)
		assert.Contains(t, string(text), "<!-- plan -->\n```\n"+plan.String()+"```\n")
		assert.Contains(t, string(text), "<!-- bounds -->\n```\n"+bounds.Of(plan).String()+"```\n")
	})
}
