package main

import (
	"fmt"
	"math"
	"slices"
)

// A result is a line of the report: one side beside the peer.
type result struct {
	row    row
	name   string
	figure sample // the medians of the side
	peer   sample
	ratio  spread
	note   string

	skipped string // why there is nothing else
}

// A spread is the median of some values, and their ends.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	return spread{middle, sorted[0], sorted[len(sorted)-1]}
}

func medians(samples []sample) sample {
	var values, beside []float64
	for _, s := range samples {
		values, beside = append(values, s.value), append(beside, s.beside)
	}
	return sample{spreadOf(values).median, spreadOf(beside).median}
}

// results compares the gateway, and nginx if it took part, with the peer. Ratios are those of the rounds.
func (t *trial) results() (all []result) {
	peer := t.sides[1]
	for i, s := range t.sides {
		if s == peer {
			continue
		}
		var ratios []float64
		for k, one := range s.samples {
			ratios = append(ratios, one.value/peer.samples[k].value)
		}
		r := result{row: t.row, name: t.row.name, figure: medians(s.samples), peer: medians(peer.samples), ratio: spreadOf(ratios), note: t.note}
		if i > 0 {
			r.name += ", " + s.role.Kind
			r.row.bar = bar{}
		}
		all = append(all, r)
	}
	return all
}

func (r result) String() string {
	if r.skipped != "" {
		return r.skipped
	}
	return fmt.Sprintf("%s against %s: %s (%s), bar %s: %s", r.row.method.text(r.figure), r.row.method.text(r.peer),
		number(r.ratio.median), r.ratio, r.row.bar, r.reached())
}

func (s spread) String() string { return number(s.least) + "–" + number(s.most) }

// number writes a ratio, or a dash if it is none.
func number(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	return fmt.Sprintf("%.3f", f)
}

// text writes a sample.
func (m method) text(s sample) string {
	text := fmt.Sprintf(m.format, s.value)
	if m.beside != "" && !math.IsNaN(s.beside) {
		text += ", " + fmt.Sprintf(m.beside, s.beside)
	}
	return text
}
