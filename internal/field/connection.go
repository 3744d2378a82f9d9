package field

import (
	"net/http"
	"strings"
)

// A Listed is the set of fields of one header that its Connection names; they go no further (RFC
// 9110, section 7.6.1). The zero value is the empty set.
type Listed struct {
	few  [4]string       // the tokens, as they came
	n    int             // how many of few are used
	many map[string]bool // replaces few: whether each field of the header is named, by its twin
}

// Connection returns the fields that the Connection lines of h name. It looks only for the name
// "Connection" as net/http spells it.
//
// Its cost grows with the size of h, however many tokens and fields there are, and its memory with
// the number of fields. With few tokens it allocates nothing.
func Connection(h http.Header) (l Listed) {
	if lines := h["Connection"]; lines != nil {
		l.add(h, lines)
	}
	return l
}

// ConnectionInAnyCase is [Connection] for a header whose names do not come from net/http.
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
			case "", "close", "keep-alive", "Upgrade", "upgrade", "TE": // the usual tokens; what they name is dropped anyway
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

// index prepares for many tokens. It keeps only which of the existing fields are named, because the
// tokens may take much more memory than the fields.
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
	var room [64]byte // on the stack
	twin := appendTwin(room[:0], token)
	if named, there := l.many[string(twin)]; there && !named {
		l.many[string(twin)] = true
	}
}

// Has reports whether l contains a field of the header. The name may be spelled in any form.
func (l *Listed) Has(name string) bool { return l.n > 0 && l.has(name) } // inlined: most headers name none

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
