package explain

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-go/sluice/pipe"
)

// String returns the plan, and behind each step what it returned and decided:
//
//	↔ merge (2 parts), in parallel  # 200, partial: part recs: connection refused
//	  · part user                   # 200
//	    ↔ backend user              # 200
//
// A step inside one that ran says so if it did not run. Of a step that ran several times, all outcomes
// are there, in their order. What ran and is not in the plan, as after a Swap was stored, stands below.
// Nothing in the text depends on the time that anything took.
func (t *Trace) String() string { return t.text(false) }

// Verbose returns the text of String, and when each step began and how long it took.
func (t *Trace) Verbose() string { return t.text(true) }

func (t *Trace) text(times bool) string {
	l := newLayout(t.plan, t.Entries())
	l.assign()
	lines := strings.Split(strings.TrimSuffix(t.plan.String(), "\n"), "\n")
	width := 0
	for _, line := range lines {
		width = max(width, utf8.RuneCountInString(line))
	}
	var b strings.Builder
	for i, p := range l.places { // a plan prints a line for each place, in their order
		b.WriteString(lines[i])
		var outcomes []string
		for _, e := range l.ran[p] {
			outcomes = append(outcomes, e.outcome(times))
		}
		said := strings.Join(outcomes, "; ")
		if said == "" && l.couldRun(p) {
			said = "did not run"
		}
		if said != "" {
			b.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(lines[i])) + "  # " + said)
		}
		b.WriteByte('\n')
	}
	for _, e := range l.entries {
		if l.at[e] == nil {
			b.WriteString("# the plan does not show " + at(e.Step) + ": " + e.outcome(times) + "\n")
		}
	}
	return b.String()
}

// couldRun reports whether a step could have run in this call: something around it did. A step that
// only groups others is no news.
func (l *layout) couldRun(p *pipe.Place) bool {
	if !canRun(p.Step) || p.Step.Acts == pipe.None && p.Step.Name == "" {
		return false
	}
	for around := p.Around; around != nil; around = around.Around {
		if len(l.ran[around]) > 0 {
			return true
		}
	}
	return len(l.entries) == 0
}

// outcome tells what came of an entry.
func (e *Entry) outcome(times bool) string {
	var said []string
	if times {
		took := "running"
		if e.Left > 0 {
			took = (e.End - e.Begin).Round(time.Microsecond).String()
		}
		said = append(said, "+"+e.Begin.Round(time.Microsecond).String()+" "+took)
	}
	switch {
	case e.Left == 0 && !times:
		said = append(said, "running")
	case e.Err != nil:
		said = append(said, "error: "+e.Err.Error())
	case e.Status != 0:
		said = append(said, strconv.Itoa(e.Status))
	case e.Left > 0:
		said = append(said, "ok")
	}
	for _, n := range e.Notes {
		said = append(said, strings.TrimSuffix(n.What+": "+n.Detail, ": "))
	}
	return oneLine(strings.Join(said, ", "))
}

// oneLine returns a text of several lines as one. As in a plan, no text can break its line or turn
// its direction.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(s, "\n", "; "))
}
