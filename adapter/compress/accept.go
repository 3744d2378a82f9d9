package compress

import "strings"

// What an Accept-Encoding can name that matters here. The codings of [codings] come first, in its
// order.
const (
	zstdCoding = iota
	gzipCoding
	identity
	wildcard
	names
)

// negotiate returns the coding that a client prefers, or -1 for the plain bytes, and whether it
// refuses those (RFC 9110, section 12.5.3). Of two that it likes equally, the first is taken. A coding
// that is named twice has the lower weight, and one whose weight cannot be read is refused.
func negotiate(lines []string) (best int, must bool) {
	weights := [names]int{-1, -1, -1, -1} // -1: not named
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			name, parameters, _ := strings.Cut(element, ";")
			i := named(strings.Trim(name, " \t"))
			if i < 0 {
				continue
			}
			if q := weightOf(parameters); weights[i] < 0 || q < weights[i] {
				weights[i] = q
			}
		}
	}
	must = weights[identity] == 0 || weights[identity] < 0 && weights[wildcard] == 0
	if weights[gzipCoding] < 0 {
		weights[gzipCoding] = weights[wildcard] // the coding that every client knows
	}
	best = -1
	for i, most := zstdCoding, 0; i <= gzipCoding; i++ {
		if q := weights[i]; q > most && q >= weights[identity] {
			best, most = i, q
		}
	}
	return best, must
}

// named returns which name it is, or -1.
func named(name string) int {
	switch {
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
		return gzipCoding
	case strings.EqualFold(name, "zstd"):
		return zstdCoding
	case strings.EqualFold(name, "identity"):
		return identity
	case name == "*":
		return wildcard
	}
	return -1
}

// weightOf returns a weight in thousandths (RFC 9110, section 12.4.2); 0 if it is not one.
func weightOf(parameters string) int {
	parameters = strings.Trim(parameters, " \t")
	if parameters == "" {
		return 1000
	}
	if len(parameters) < 3 || parameters[0]|0x20 != 'q' || parameters[1] != '=' {
		return 0
	}
	value := parameters[2:]
	if len(value) > 5 || value[0] != '0' && value[0] != '1' || len(value) > 1 && value[1] != '.' {
		return 0
	}
	q := int(value[0]-'0') * 1000
	for i, scale := 2, 100; i < len(value); i, scale = i+1, scale/10 {
		if value[i] < '0' || value[i] > '9' {
			return 0
		}
		q += int(value[i]-'0') * scale
	}
	if q > 1000 {
		return 0
	}
	return q
}
