package test_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
)

// TestDiariesAgreeWithThePlan asks the plans of random pipes for the order of each two functions of
// a user, and compares the answer with the diaries that these functions keep in 20 runs. What is
// written after the call has returned does not count.
//
// proves O21
func TestDiariesAgreeWithThePlan(t *testing.T) {
	t.Parallel()
	before := lawTally{query: "Before", ask: (*pipe.Step).Before, agrees: lawDiary.before}
	guards := lawTally{query: "Guards", ask: (*pipe.Step).Guards, agrees: lawDiary.guards}
	n := lawSeeds(150)
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			g := newLawPipe(t, seed, true)
			var diaries []lawDiary
			for run := range uint64(20) {
				lawCall(t, g, g.pipe, seed*100+run)
				diaries = append(diaries, lawDiary(g.closed()))
			}
			written := slices.DeleteFunc(g.kept, func(name string) bool { return !slices.ContainsFunc(diaries, hasWritten(name)) })
			for _, a := range written {
				for _, b := range written {
					if a != b {
						before.compare(t, g, diaries, a, b)
						guards.compare(t, g, diaries, a, b)
					}
				}
			}
			if t.Failed() {
				t.Logf("seed %d, the plan:\n%s", seed, g.plan.Verbose())
			}
		})
		if t.Failed() {
			return
		}
	}
	for _, l := range []lawTally{before, guards} {
		t.Logf("%s of %d pipes: nil %d, ErrOrder %d, ErrUnordered %d; %d errors seen in a diary", l.query, n, l.holds, l.order, l.unordered, l.seen)
		assert.Greater(t, l.holds, 15*n, "else the test could not fail")
		assert.Greater(t, l.order, 15*n)
		assert.Greater(t, l.seen, 15*n)
	}
	assert.Greater(t, before.unordered, 15*n)
}

// A lawTally compares the answers of a query with diaries, and counts them.
type lawTally struct {
	query  string
	ask    func(plan *pipe.Step, a, b string) error
	agrees func(d lawDiary, a, b string) bool

	holds, order, unordered uint64
	seen                    uint64 // how many errors a diary confirms
}

// compare asks for the order of a and b. If that is nil, every diary must agree.
func (l *lawTally) compare(t *testing.T, g *lawPipe, diaries []lawDiary, a, b string) {
	run := slices.IndexFunc(diaries, func(d lawDiary) bool { return !l.agrees(d, a, b) })
	switch err := l.ask(g.plan, a, b); {
	case err == nil:
		if l.holds++; run >= 0 {
			t.Errorf("%s(%q, %q) is nil, and the diary of run %d is %s", l.query, a, b, run, diaries[run])
		}
		return
	case errors.Is(err, pipe.ErrOrder):
		l.order++
	case errors.Is(err, pipe.ErrUnordered):
		l.unordered++
	default:
		t.Errorf("%s(%q, %q): %v", l.query, a, b, err)
	}
	if run >= 0 {
		l.seen++
	}
}

// A lawDiary is what the functions of a pipe have written in one run.
type lawDiary []diaryLine

func (d lawDiary) String() string {
	var words []string
	for _, line := range d {
		if word := line.name; line.passed {
			words = append(words, word+" passed")
		} else {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// hasWritten returns what reports whether a function has written in a diary.
func hasWritten(name string) func(lawDiary) bool {
	return func(d lawDiary) bool { return slices.Contains(d, diaryLine{name: name}) }
}

// before reports that the first b does not come before the first a.
func (d lawDiary) before(a, b string) bool {
	i, j := slices.Index(d, diaryLine{name: a}), slices.Index(d, diaryLine{name: b})
	return i < 0 || j < 0 || i < j
}

// guards reports that no b comes before an a has let the request through.
func (d lawDiary) guards(a, b string) bool {
	i, j := slices.Index(d, diaryLine{a, true}), slices.Index(d, diaryLine{name: b})
	return j < 0 || i >= 0 && i < j
}
