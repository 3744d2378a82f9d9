package endpoint

import (
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// negotiate returns the format that a client prefers (RFC 9110, section 12.5.1), the first of those
// it likes equally, or nil if it accepts none. A client that sends no range that can be read
// accepts anything.
func negotiate(accept []string, formats []format) *format {
	var room [8]preference // on the stack
	preferences := room[:0]
	if len(formats) > len(room) {
		preferences = make([]preference, 0, len(formats))
	}
	preferences = preferences[:len(formats)]
	any := true
	for _, line := range accept {
		for line != "" {
			var element string
			element, line = cutUnquoted(line, ',')
			r, ok := parseRange(element)
			if !ok {
				continue
			}
			any = false
			for i := range formats {
				preferences[i].consider(r, &formats[i])
			}
		}
	}
	if any {
		return &formats[0]
	}
	var best *format
	most := 0
	for i := range preferences {
		if preferences[i].quality > most {
			best, most = &formats[i], preferences[i].quality
		}
	}
	return best
}

// A preference is how much a client likes a format, as the most specific of its ranges says.
type preference struct{ precedence, quality int }

func (p *preference) consider(r mediaRange, f *format) {
	precedence := 0
	switch {
	case r.main == "*":
		precedence = 1
	case !strings.EqualFold(r.main, f.main):
		return
	case r.sub == "*":
		precedence = 2
	case !strings.EqualFold(r.sub, f.sub):
		return
	case r.params: // they are not compared, so it may be another format
		precedence = 3
	default:
		precedence = 4
	}
	if precedence > p.precedence || precedence == p.precedence && r.quality > p.quality {
		*p = preference{precedence, r.quality}
	}
}

// A mediaRange is one element of Accept.
type mediaRange struct {
	main, sub string
	params    bool // it has some beside its weight
	quality   int  // in thousandths
}

// parseRange reads an element of Accept. It accepts a lone * and a weight without a digit before
// its point, since old clients send them.
func parseRange(s string) (r mediaRange, ok bool) {
	media, rest := cutUnquoted(s, ';')
	media = strings.Trim(media, " \t")
	r.quality = 1000
	if media == "*" {
		media = "*/*"
	}
	if r.main, r.sub, ok = strings.Cut(media, "/"); !ok || !isRange(r.main) || !isRange(r.sub) || r.main == "*" && r.sub != "*" {
		return r, false
	}
	for rest != "" {
		var param string
		param, rest = cutUnquoted(rest, ';')
		name, value, _ := strings.Cut(strings.Trim(param, " \t"), "=")
		switch {
		case strings.EqualFold(name, "q"):
			r.quality, ok = parseQuality(value)
			return r, ok // what follows the weight is not part of the range
		case name != "":
			r.params = true
		}
	}
	return r, true
}

// isRange reports whether s is a token, alone or as the wildcard.
func isRange(s string) bool {
	return field.IsToken(s) && (s == "*" || strings.IndexByte(s, '*') < 0)
}

// parseQuality reads a weight in thousandths (RFC 9110, section 12.4.2).
func parseQuality(s string) (thousandths int, ok bool) {
	whole, decimals, point := strings.Cut(s, ".")
	if len(whole) > 1 || len(decimals) > 3 || whole == "" && decimals == "" {
		return 0, false
	}
	if whole != "" {
		if whole[0] != '0' && whole[0] != '1' {
			return 0, false
		}
		thousandths = int(whole[0]-'0') * 1000
	}
	if point {
		for i, unit := 0, 100; i < len(decimals); i, unit = i+1, unit/10 {
			if decimals[i] < '0' || decimals[i] > '9' {
				return 0, false
			}
			thousandths += int(decimals[i]-'0') * unit
		}
	}
	return thousandths, thousandths <= 1000
}

// cutUnquoted cuts s at the first sep outside of a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
