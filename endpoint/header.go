package endpoint

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// headerKind says who manages a header.
type headerKind uint8

const (
	endToEnd  headerKind = iota
	hopByHop             // of one connection: never forwarded, either way
	forwarded            // about the client: dropped and made anew
)

// kindOf returns the kind of a header by its canonical name. A switch, not a map: it is asked for every header.
func kindOf(name string) headerKind {
	kind, _ := known(name)
	return kind
}

// known returns the kind of a header, and whether name is one that nearly every message has, spelt as net/http spells it:
// then nobody has to look at its bytes.
func known(name string) (kind headerKind, ok bool) {
	switch name {
	case xForwardedFor, xForwardedHost, xForwardedProto, "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
		"X-Forwarded-Method", "X-Forwarded-Server", forwardedName, xRealIP:
		return forwarded, true
	case "Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Age", "Authorization", "Cache-Control",
		"Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Cookie", "Date", "Etag", "Expires",
		"If-Modified-Since", "If-None-Match", "Last-Modified", "Location", "Origin", "Pragma", "Priority", "Range", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Server", "Set-Cookie",
		"Strict-Transport-Security", "Traceparent", "User-Agent", "Vary", "X-Content-Type-Options", xRequestID:
		return endToEnd, true
	}
	if proxy.HopByHop(name) {
		return hopByHop, true
	}
	return endToEnd, false
}

// What a byte is in a header name, and whether it may stand in a value. A table, for every byte of every header is asked.
const (
	tokenByte uint8 = 1 << iota // may stand in a token (RFC 9110, section 5.6.2)
	lowerByte
	upperByte
	brokenByte // may not stand in a value: net/http lets a NUL through
)

var bytesOfHeaders = func() (table [256]uint8) {
	for c := range table {
		switch c := byte(c); {
		case 'a' <= c && c <= 'z':
			table[c] = tokenByte | lowerByte
		case 'A' <= c && c <= 'Z':
			table[c] = tokenByte | upperByte
		case '0' <= c && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
			table[c] = tokenByte
		case c == 0, c == '\r', c == '\n':
			table[c] = brokenByte
		}
	}
	return table
}()

// canonical returns the canonical form of a header name, its kind, and whether it is a name at all. A name with
// underscores has the kind of its twin with hyphens: some servers take one for the other.
func canonical(name string) (key string, kind headerKind, ok bool) {
	if kind, ok := known(name); ok {
		return name, kind, true
	}
	if name == "" {
		return "", endToEnd, false
	}
	underscore, clean := false, true
	wrong := lowerByte // at the beginning of a word
	for i := 0; i < len(name); i++ {
		c := name[i]
		class := bytesOfHeaders[c]
		if class&tokenByte == 0 {
			return "", endToEnd, false
		}
		clean = clean && class&wrong == 0
		wrong = upperByte
		switch c {
		case '-':
			wrong = lowerByte
		case '_':
			underscore = true
		}
	}
	key = name
	if !clean {
		key = http.CanonicalHeaderKey(name)
	}
	if underscore {
		return key, kindOf(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))), true
	}
	return key, kindOf(key), true
}

// isToken reports whether c may stand in a token.
func isToken(c byte) bool { return bytesOfHeaders[c]&tokenByte != 0 }

// validValue reports whether a header value can be written.
func validValue(v string) bool {
	const ones = 0x0101010101010101
	for ; len(v) >= 8; v = v[8:] { // eight bytes at a time; what may be a control byte is looked at below
		x := uint64(v[0]) | uint64(v[1])<<8 | uint64(v[2])<<16 | uint64(v[3])<<24 |
			uint64(v[4])<<32 | uint64(v[5])<<40 | uint64(v[6])<<48 | uint64(v[7])<<56
		if (x-ones*0x20)&^x&(ones*0x80) != 0 {
			break
		}
	}
	for i := 0; i < len(v); i++ {
		if bytesOfHeaders[v[i]]&brokenByte != 0 {
			return false
		}
	}
	return true
}

func validValues(values []string) bool {
	for _, v := range values {
		if !validValue(v) {
			return false
		}
	}
	return true
}

// listed appends the headers that Connection names, in canonical form, without those that are hop-by-hop anyway.
func listed(names []string, h http.Header) []string {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			token = strings.Trim(token, " \t")
			switch token {
			case "", "close", "keep-alive", "Upgrade": // the usual ones name no header, or one that is dropped anyway
				continue
			}
			if name := http.CanonicalHeaderKey(token); kindOf(name) != hopByHop {
				names = append(names, name)
			}
		}
	}
	return names
}

// filter puts into dst the headers of src that are to be forwarded and that keep accepts. The values are copied, into one
// array for all, unless they may be shared: where no code but ours has either header. spare is room for values that the
// caller has to add, and what is left of the array is returned.
func filter(dst, src http.Header, spare int, share bool, keep func(key string, kind headerKind) bool) []string {
	var room [4]string // of the stack
	drop := listed(room[:0], src)
	n := spare
	if !share {
		for _, values := range src {
			n += len(values)
		}
	}
	all := make([]string, 0, n)
	single := len(dst) == 0 // so far no name was there before, or came in another spelling
	for name, values := range src {
		key, kind, ok := canonical(name)
		if !ok || kind == hopByHop || !keep(key, kind) || slices.Contains(drop, key) {
			continue
		}
		if share && validValues(values) {
			values = values[:len(values):len(values)]
		} else {
			from := len(all)
			for _, v := range values {
				if validValue(v) {
					all = append(all, v)
				}
			}
			values = all[from:len(all):len(all)]
		}
		if len(values) == 0 {
			continue
		}
		if single = single && key == name; !single {
			if there := dst[key]; len(there) > 0 { // another spelling of the name, or a middleware
				values = append(there[:len(there):len(there)], values...)
			}
		}
		dst[key] = values
	}
	return all
}

// cloned returns what filter would put into an empty header, for a source whose values may be shared. Most of the time
// nearly everything stays, and to copy a map whole is faster than to fill one.
func cloned(src http.Header, keep func(key string, kind headerKind) bool) http.Header {
	var room [4]string // of the stack
	drop := listed(room[:0], src)
	dst := maps.Clone(src)
	for name, values := range src {
		key, kind, ok := canonical(name)
		switch {
		case !ok || kind == hopByHop || !keep(key, kind) || slices.Contains(drop, key) || len(values) == 0:
			delete(dst, name)
		case key != name || !validValues(values): // seldom: from the beginning
			dst = make(http.Header, len(src))
			filter(dst, src, 0, true, keep)
			return dst
		}
	}
	return dst
}

// set sets a header to one value that stands in all, an array with room for it.
func set(h http.Header, all []string, key, value string) []string {
	all = append(all, value)
	h[key] = all[len(all)-1 : len(all) : len(all)]
	return all
}

func keepEndToEnd(_ string, kind headerKind) bool { return kind == endToEnd }

func keepAny(string, headerKind) bool { return true }

// keepBesideDocument leaves out what describes a payload that is not the one we send.
func keepBesideDocument(key string, _ headerKind) bool {
	switch key {
	case "Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Md5", "Content-Digest", "Digest",
		"Repr-Digest", "Accept-Ranges", completed:
		return false
	}
	return true
}

const completed = "X-Completed"
