package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/proxy/policy"
)

// text is what the screen shows.
func (m model) text() string {
	now, before := m.span()
	p := &page{width: m.width}
	p.row("%s", bold.Styled(m.title))
	p.row("")
	p.row("  %-10s %8s %8s", "answers", "all", "now")
	for _, status := range slices.Sorted(maps.Keys(now.Answers)) {
		p.row("  %-10s %8d %8s", status, now.Answers[status], rate(now, before, func(s Stats) int64 { return s.Answers[status] }))
	}
	p.row("")
	p.row("  %-10s %8s %8s  %-10s %4s  %s", "upstream", "tries", "now", "state", "load", "faults")
	for i, name := range names {
		cursor := " "
		if i == m.selected {
			cursor = ">"
		}
		state, load, why := "", "", ""
		if h, ok := now.Hosts[name]; ok {
			state, load, why = string(h.State), fmt.Sprint(h.Load), h.Why
		}
		p.row("%s %d %-8s %8d %8s  %s %4s  %s", cursor, i+1, name,
			now.Tries[name], rate(now, before, func(s Stats) int64 { return s.Tries[name] }),
			colored(state, 10), load, bad.Styled(m.services[name].Fault().String()))
		if why != "" {
			p.row("      %s", faint.Styled(why))
		}
	}
	p.row("")
	for _, name := range slices.Sorted(maps.Keys(now.Breakers)) {
		p.row("  breaker of %-10s %s", name, colored(string(now.Breakers[name]), 0))
	}
	p.row("  hedges  %d sent, %d won", now.Hedges.Sent, now.Hedges.Won)
	p.row("  cache   %d hits, %d misses, %d stale, %d bytes", now.Cache.Hits, now.Cache.Misses, now.Cache.Stale, now.Cache.Bytes)
	p.row("")
	p.row("  %s", faint.Styled(help()))
	switch {
	case m.leaving:
		p.row("  draining")
	case m.err != nil:
		p.row("  %s", bad.Styled(m.err.Error()))
	}
	return p.String()
}

// help lists the keys.
func help() string {
	parts := []string{"1-5 ↑ ↓ choose"}
	for _, k := range keys {
		parts = append(parts, k.key+" "+k.does)
	}
	return strings.Join(append(parts, "q leave"), " · ")
}

// span returns the newest figures, and those of a second before.
func (m model) span() (now, before figures) {
	if len(m.history) > 0 {
		now, before = m.history[len(m.history)-1], m.history[0]
	}
	return now, before
}

// rate is by how much a figure grows in a second.
func rate(now, before figures, of func(Stats) int64) string {
	d := now.at.Sub(before.at).Seconds()
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("%.0f/s", float64(of(now.Stats)-of(before.Stats))/d)
}

// A page is rows that are cut where the terminal ends.
type page struct {
	strings.Builder
	width int // 0 is not known
}

func (p *page) row(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.width > 0 {
		text = ansi.Truncate(text, p.width, "…")
	}
	p.WriteString(text + "\n")
}

var (
	bold  = ansi.NewStyle().Bold()
	faint = ansi.NewStyle().Faint()
	good  = ansi.NewStyle().ForegroundColor(ansi.Green)
	bad   = ansi.NewStyle().ForegroundColor(ansi.Red)
)

// colored shows a state in a column, in red if it needs attention.
func colored(state string, width int) string {
	text := fmt.Sprintf("%-*s", width, state)
	switch {
	case state == "":
		return text
	case well(state):
		return good.Styled(text)
	}
	return bad.Styled(text)
}

// well reports whether a state needs nobody's attention.
func well(state string) bool {
	return state == string(balance.Up) || state == string(policy.BreakerClosed)
}
