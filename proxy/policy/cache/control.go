package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// directives is what a Cache-Control says (RFC 9111, section 5.2), in a request or an answer.
type directives struct {
	noStore, noCache, private, public, mustRevalidate, proxyRevalidate, mustUnderstand, onlyIfCached bool

	maxAge, sMaxAge, minFresh, maxStale, whileRevalidate, ifError time.Duration // absent if there is none
}

// absent is the time of a directive that is not there.
const absent time.Duration = -1

// longest is the longest time that counts. What is longer, or too large a number, is as good as that.
const longest = 10 * 365 * 24 * time.Hour

// parseControl reads the lines of a Cache-Control. It reads what it can: of a directive that is there
// twice the first counts (section 4.2.1), an age that is no number is 0, and a name that is not known
// says nothing. A field named in quotes counts as if there were no name: the whole answer is private,
// or to be validated. A line with a quote that does not end may say anything, and is a no-store.
func parseControl(lines []string) directives {
	d := none
	for _, line := range lines {
		for line != "" {
			var name, value string
			var valued, ended bool
			name, value, valued, ended, line = nextDirective(line)
			d.add(name, value, valued)
			d.noStore = d.noStore || !ended
		}
	}
	return d
}

var none = directives{maxAge: absent, sMaxAge: absent, minFresh: absent, maxStale: absent, whileRevalidate: absent, ifError: absent}

// nextDirective cuts the first directive off a line. A comma in quotes separates nothing. ended says
// whether all of its quotes end.
func nextDirective(line string) (name, value string, valued, ended bool, rest string) {
	equals, i, quoted := -1, 0, false
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '=' && equals < 0:
			equals = i
		case c == ',':
			rest = line[i+1:]
			line = line[:i]
		}
	}
	name = line
	if equals >= 0 {
		name, value, valued = line[:equals], line[equals+1:], true
	}
	return strings.Trim(name, " \t"), value, valued, !quoted, rest
}

func (d *directives) add(name, value string, valued bool) {
	if len(name) > len("stale-while-revalidate") {
		return
	}
	age := func(to *time.Duration, invalid time.Duration) {
		if *to == absent {
			*to = seconds(value, invalid)
		}
	}
	switch strings.ToLower(name) {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache = true
	case "private":
		d.private = true
	case "public":
		d.public = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		age(&d.maxAge, 0)
	case "s-maxage":
		age(&d.sMaxAge, 0)
	case "min-fresh":
		age(&d.minFresh, absent)
	case "max-stale":
		if !valued {
			value = "99999999999" // any time
		}
		age(&d.maxStale, absent)
	case "stale-while-revalidate":
		age(&d.whileRevalidate, absent)
	case "stale-if-error":
		age(&d.ifError, absent)
	}
}

// seconds reads a number of seconds, which may stand in quotes. It returns invalid for what is none.
func seconds(s string, invalid time.Duration) time.Duration {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if s == "" {
		return invalid
	}
	var n time.Duration
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return invalid
		}
		n = min(n*10+time.Duration(s[i]-'0')*time.Second, longest)
	}
	return n
}

// targeted returns the directives of the first field of targets that h has and that can be read, as
// dictionaries of RFC 9651 (RFC 9213, section 2).
func targeted(targets []string, h http.Header) (d directives, found bool) {
	for _, name := range targets {
		lines := h[name]
		if len(lines) == 0 {
			continue
		}
		if d, ok := dictionary(lines); ok {
			return d, true
		}
	}
	return none, false
}

// dictionary reads a targeted field. One that is no dictionary, is empty, or has a directive of a
// wrong type is as if it were not there.
func dictionary(lines []string) (directives, bool) {
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return none, false
	}
	d := none
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		item, ok := member.(httpsfv.Item)
		if !ok {
			continue
		}
		switch value := item.Value.(type) {
		case bool:
			if value {
				d.add(name, "", false)
			}
		case int64:
			d.add(name, strconv.FormatInt(max(value, 0), 10), true) // also no-cache=1: stricter than to leave it out
		case string: // no-cache="name"
			if isAge(name) {
				return none, false
			}
			d.add(name, "", true)
		default:
			if isAge(name) {
				return none, false
			}
		}
	}
	return d, true
}

func isAge(name string) bool { return name == "max-age" || name == "s-maxage" }

// asked returns what the header of a request asks of caches. Pragma counts where there is no
// Cache-Control (RFC 9111, section 5.4).
func asked(h http.Header) directives {
	lines, has := h["Cache-Control"]
	if !has {
		d := none
		for _, line := range h["Pragma"] {
			for item := range strings.SplitSeq(line, ",") {
				d.noCache = d.noCache || strings.EqualFold(strings.Trim(item, " \t"), "no-cache")
			}
		}
		return d
	}
	return parseControl(lines)
}
