package field

import (
	"net/http"
	"strings"
)

// Listed are the fields of one header that its Connection names: they go no further (RFC 9110,
// section 7.6.1). The zero value has none.
type Listed struct {
	few  [4]string // tokens, as they came
	n    int
	many map[string]bool // in place of few: by twin, every field of the header, and whether it is named
}

// Connection returns the fields that the Connection lines of h name, as net/http spells that name.
//
// Its cost grows with the size of h, however many tokens and fields there are, and its memory with
// the number of fields. As long as there are few tokens it allocates nothing.
func Connection(h http.Header) (l Listed) {
	if lines := h["Connection"]; lines != nil {
		l.add(h, lines)
	}
	return l
}

// ConnectionInAnyCase is [Connection] for a header of which the names come from elsewhere than
// net/http.
func ConnectionInAnyCase(h http.Header) (l Listed) {
	for name, lines := range h {
		if EqualToken(name, "Connection") {
			l.add(h, lines)
		}
	}
	return l
}

func (l *Listed) add(h http.Header, lines []string) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t\r\n")
			switch name {
			case "", "close", "keep-alive", "Upgrade", "upgrade", "TE": // the usual ones name what is dropped anyway
				continue
			}
			switch {
			case l.many != nil:
				l.name(name)
			case l.n < len(l.few):
				l.few[l.n] = name
				l.n++
			default:
				l.index(h)
				l.name(name)
			}
		}
	}
}

// index prepares for many tokens. What is kept of them is what there is a field for: they may be
// longer than it.
func (l *Listed) index(h http.Header) {
	l.many = make(map[string]bool, len(h))
	for name := range h {
		l.many[Twin(name)] = false
	}
	for _, name := range l.few {
		l.name(name)
	}
}

func (l *Listed) name(token string) {
	var room [64]byte // of the stack
	twin := appendTwin(room[:0], token)
	if named, there := l.many[string(twin)]; there && !named {
		l.many[string(twin)] = true
	}
}

// Has reports whether a field of the header, given by its name in any form, is one of them.
func (l *Listed) Has(name string) bool { return l.n > 0 && l.has(name) } // inlined: mostly there are none

func (l *Listed) has(name string) bool {
	if l.many != nil {
		return l.many[Twin(name)]
	}
	for i := range l.n {
		if AreTwins(l.few[i], name) {
			return true
		}
	}
	return false
}
