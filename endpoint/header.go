package endpoint

import (
	"maps"
	"net/http"
	"slices"

	"github.com/sluice-go/sluice/internal/field"
)

// headerKind says who manages a header.
type headerKind uint8

const (
	endToEnd  headerKind = iota
	forwarded            // about the client: dropped and made anew
	hopByHop             // of one connection: never forwarded, either way
	forged               // a twin of one that an endpoint makes, or that goes with the body: never forwarded either
)

// known returns the kind of a header, and whether name is one that nearly every message has, spelt
// as net/http spells it: then nobody has to look at its bytes. A switch, not a map: it is asked for
// every header.
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
	if field.HopByHop(name) {
		return hopByHop, true
	}
	return endToEnd, false
}

// parse returns the canonical form of a header name, what it is or is a twin of, the kind of that,
// and whether it is a name at all.
func parse(name string) (key, twin string, kind headerKind, ok bool) {
	if kind, ok := known(name); ok {
		return name, name, kind, true
	}
	if key, twin, ok = field.Parse(name); !ok {
		return "", "", endToEnd, false
	}
	kind, _ = known(twin)
	if key != twin && (field.OfBody(twin) || twin == xRequestID || twin == completed) {
		kind = forged
	}
	return key, twin, kind, true
}

// filter puts into dst the headers of src that are to be forwarded and that keep accepts. What is
// in dst is the house's, as a middleware has set it: it wins, unless the field is one that is
// joined. The values are copied, into one array for all, unless they may be shared: where no code
// but ours has either header. spare is room for values that the caller has to add, and what is left
// of the array is returned.
func filter(dst, src http.Header, spare int, share bool, keep func(twin string, kind headerKind) bool) []string {
	drop := field.Connection(src)
	n := spare
	if !share {
		for name, values := range src {
			n += len(values)
			if len(name) == len("Connection") && name != "Connection" && field.EqualToken(name, "Connection") {
				drop = field.ConnectionInAnyCase(src) // code made it
			}
		}
	}
	all := make([]string, 0, n)
	single := len(dst) == 0 // so far no name was there before, or came in another spelling
	var room [16]string
	house := room[:0]
	for name := range dst {
		house = append(house, name)
	}
	for name, values := range src {
		key, twin, kind, ok := parse(name)
		if !ok || kind >= hopByHop || !keep(twin, kind) || drop.Has(twin) {
			continue
		}
		if share && field.AreValues(values) {
			values = values[:len(values):len(values)]
		} else {
			from := len(all)
			for _, v := range values {
				if field.IsValue(v) {
					all = append(all, v)
				}
			}
			values = all[from:len(all):len(all)]
		}
		if len(values) == 0 {
			continue
		}
		if single = single && key == name; !single {
			if there := dst[key]; len(there) > 0 { // another spelling of the name, or the house
				if !joins(key) && slices.Contains(house, key) {
					continue
				}
				values = append(there[:len(there):len(there)], values...)
			}
		}
		dst[key] = values
	}
	return all
}

// canonical spells the names in h as net/http does. A middleware may have written to the map itself,
// and a field must not stand in it in two spellings: both would be sent.
func canonical(h http.Header) {
	for name, values := range h {
		if key, _, ok := field.Parse(name); ok && key != name {
			delete(h, name)
			h[key] = append(h[key], values...)
		}
	}
}

// joins reports whether a field is a list to which each side that answers adds its own. Every other
// stands once: browsers refuse two Access-Control-Allow-Origin, and of two Location none is right.
func joins(key string) bool {
	switch key {
	case "Set-Cookie", "Vary", "Link", "Via", "Allow", "Www-Authenticate", "Server-Timing", "Cache-Status", "Ratelimit", "Ratelimit-Policy":
		return true
	}
	return false
}

// cloned returns what filter would put into an empty header, for a source whose values may be
// shared. Most of the time nearly everything stays, and to copy a map whole is faster than to fill
// one.
func cloned(src http.Header, keep func(twin string, kind headerKind) bool) http.Header {
	drop := field.Connection(src)
	dst := maps.Clone(src)
	for name, values := range src {
		key, twin, kind, ok := parse(name)
		switch {
		case !ok || kind >= hopByHop || !keep(twin, kind) || drop.Has(twin) || len(values) == 0:
			delete(dst, name)
		case key != name || !field.AreValues(values): // seldom: from the beginning
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
func keepBesideDocument(twin string, _ headerKind) bool {
	switch twin {
	case "Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Md5", "Content-Digest", "Digest",
		"Repr-Digest", "Accept-Ranges", completed:
		return false
	}
	return true
}

const completed = "X-Completed"
