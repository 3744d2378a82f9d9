// Package draw draws trees of steps as text and as flowcharts, and compares texts. Package pipe says
// what stands in a box.
package draw

import "strings"

// A Box is a step as it is drawn. A step that stands in several places is one Box.
type Box struct {
	Arrow  string // which way the step acts
	Label  string
	Notes  []string // what follows the label
	More   string   // what follows the notes in a text
	Layout Layout
	Groups bool // it only says how its inner boxes relate; a flowchart leaves it out
	Inner  []*Box
}

// Layout says how inner boxes relate to each other, as pipe.Layout does.
type Layout uint8

// The layouts.
const (
	Around Layout = iota
	Serial
	Parallel
	Choice
)

// Text returns a tree as indented text, a line for each place.
func Text(s *Box) string {
	var b strings.Builder
	s.text(&b, 0)
	return b.String()
}

// title returns the label and the notes.
func (s *Box) title() string { return strings.Join(append([]string{s.Label}, s.Notes...), ", ") }

// text writes the box at a depth. It returns the depth of a box inside all of it, where the next box
// of an Around layout stands.
func (s *Box) text(b *strings.Builder, depth int) int {
	b.WriteString(strings.Repeat("  ", depth) + s.Arrow + " " + s.title() + s.More + "\n")
	next := depth + 1
	for _, inner := range s.Inner {
		if end := inner.text(b, next); s.Layout == Around {
			next = end
		}
	}
	return next
}
