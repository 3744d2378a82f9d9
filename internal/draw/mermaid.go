package draw

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid returns a tree as a Mermaid flowchart, in which a box that stands in several places is drawn
// once.
func Mermaid(s *Box) string {
	c := chart{drawn: map[*Box]drawn{}, arrows: map[string]bool{}}
	c.b.WriteString("flowchart TD\n")
	c.draw(s)
	return c.b.String()
}

func groups(s *Box) bool { return s.Groups }

var mermaidEscapes = strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "#", "#35;", "`", "#96;")

// A chart is a flowchart while it is being drawn.
type chart struct {
	b      strings.Builder
	n      int // boxes so far
	drawn  map[*Box]drawn
	arrows map[string]bool
}

// A drawn describes a box after it was drawn: the boxes where arrows to it and from it attach, and
// the innermost box of its nest.
type drawn struct {
	first, last []int
	nest        int
}

// draw draws a box and all boxes inside it.
func (c *chart) draw(s *Box) drawn {
	if d, ok := c.drawn[s]; ok {
		return d
	}
	var d drawn
	if s.Groups {
		d = c.group(s)
	} else {
		d = c.box(s)
	}
	c.drawn[s] = d
	return d
}

// group draws the inner boxes of one that is left out.
func (c *chart) group(s *Box) (d drawn) {
	for i, inner := range s.Inner {
		in := c.draw(inner)
		d.nest = in.nest
		switch {
		case s.Layout == Parallel:
			d.first, d.last = append(d.first, in.first...), append(d.last, in.last...)
			continue
		case i == 0:
			d.first = in.first
		default:
			c.connect(d.last, "-->", in.first)
		}
		d.last = in.last
	}
	return d
}

// box draws a box with its box.
func (c *chart) box(s *Box) drawn {
	id := c.n
	c.n++
	label := s.title()
	fmt.Fprintf(&c.b, "  n%d[\"%s %s\"]\n", id, s.Arrow, mermaidEscapes.Replace(label))
	d := drawn{first: []int{id}, last: []int{id}, nest: id}
	graph := s.Layout == Serial && slices.ContainsFunc(s.Inner, groups)
	from := d.first
	for i, inner := range s.Inner {
		in := c.draw(inner)
		switch {
		case s.Layout == Around:
			c.connect(from, "-->", in.first)
			from, d.nest = []int{in.nest}, in.nest
		case graph:
			c.connect(from, "-->", in.first)
			from = in.last
		case s.Layout == Serial:
			c.connect(from, fmt.Sprintf("-->|%d|", i+1), in.first)
		case s.Layout == Choice:
			c.connect(from, "-.->", in.first)
		default:
			c.connect(from, "-->", in.first)
		}
	}
	return d
}

// connect draws an arrow from each box in from to each box in to, once.
func (c *chart) connect(from []int, arrow string, to []int) {
	for _, a := range from {
		for _, b := range to {
			line := fmt.Sprintf("  n%d %s n%d\n", a, arrow, b)
			if !c.arrows[line] {
				c.arrows[line] = true
				c.b.WriteString(line)
			}
		}
	}
}
