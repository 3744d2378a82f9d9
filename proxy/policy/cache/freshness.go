package cache

import (
	"net/http"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/form"
)

// A freshness is how an answer may be used that is kept.
type freshness struct {
	lifetime        time.Duration // from when the origin has made it
	whileRevalidate time.Duration // after that
	ifError         time.Duration // after that

	validate bool // before each use: no-cache
	strict   bool // never to be given when it is no longer fresh
	explicit bool // the upstream has said how long it is fresh
	shared   bool // it may answer requests with Authorization
	cookies  bool // it varies by Cookie
}

// standsIn reports whether an answer may be given that is no longer fresh.
func (f *freshness) standsIn() bool {
	return !f.validate && !f.strict && max(f.whileRevalidate, f.ifError) > 0
}

func (f *freshness) appendTo(w *form.Writer) {
	w.Number(int64(f.lifetime))
	w.Number(int64(f.whileRevalidate))
	w.Number(int64(f.ifError))
	for _, flag := range [...]bool{f.validate, f.strict, f.explicit, f.shared, f.cookies} {
		w.Flag(flag)
	}
}

func (f *freshness) readFrom(r *form.Reader) {
	for _, d := range [...]*time.Duration{&f.lifetime, &f.whileRevalidate, &f.ifError} {
		if *d = time.Duration(r.Number()); *d < 0 || *d > longest {
			r.Fail(nil)
		}
	}
	for _, flag := range [...]*bool{&f.validate, &f.strict, &f.explicit, &f.shared, &f.cookies} {
		*flag = r.Flag()
	}
}

// heuristicMost is the longest time for which an answer is fresh by its Last-Modified alone.
const heuristicMost = 24 * time.Hour

// control returns the directives of an answer for this cache. targeted says that they are those of a
// targeted field, beside which Expires does not count.
func (s *Spec) control(h http.Header) (d directives, targetedField bool) {
	if len(s.Targets) > 0 {
		if d, found := targeted(s.Targets, h); found {
			return d, true
		}
	}
	return parseControl(h["Cache-Control"]), false
}

// freshness returns how an answer may be used that was received at a time, from its header, and
// whether HTTP allows it to be kept at all. It judges neither the request nor Set-Cookie and Vary.
func (s *Spec) freshness(status int, h http.Header, received time.Time) (f freshness, ok bool) {
	d, isTargeted := s.control(h)
	noStore := d.noStore && !(d.mustUnderstand && isUnderstood(status))
	if noStore || d.private {
		return f, false
	}
	f.validate = d.noCache
	f.strict = d.mustRevalidate || d.proxyRevalidate || d.sMaxAge >= 0
	f.shared = d.public || d.mustRevalidate || d.sMaxAge >= 0
	f.whileRevalidate, f.ifError = s.StaleWhileRevalidate, s.StaleIfError
	if d.whileRevalidate >= 0 {
		f.whileRevalidate = d.whileRevalidate
	}
	if d.ifError >= 0 {
		f.ifError = d.ifError
	}
	f.explicit = true
	expires, hasExpires := h["Expires"]
	switch {
	case d.sMaxAge >= 0:
		f.lifetime = d.sMaxAge
	case d.maxAge >= 0:
		f.lifetime = d.maxAge
	case hasExpires && !isTargeted:
		if at, ok := date(expires); ok {
			f.lifetime = max(min(at.Sub(dateOf(h, received)), longest), 0)
		}
	default:
		f.explicit = false
		if !isHeuristic(status) && !d.public {
			return f, false
		}
		if s.TTL > 0 {
			f.lifetime = min(s.TTL, longest)
		} else if modified, ok := date(h["Last-Modified"]); ok {
			f.lifetime = max(min(dateOf(h, received).Sub(modified)/10, heuristicMost), 0)
		}
	}
	return f, true
}

// isHeuristic reports whether an answer of a status may be kept that does not say how long it is
// fresh (RFC 9110, section 15.1). 206 is never kept.
func isHeuristic(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices, http.StatusMovedPermanently,
		http.StatusPermanentRedirect, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong,
		http.StatusNotImplemented:
		return true
	}
	return false
}

// isUnderstood reports whether all that the status demands of a cache is done here.
func isUnderstood(status int) bool { return http.StatusText(status) != "" }

// dateOf returns the Date of an answer, or when it was received if it has none that can be read.
func dateOf(h http.Header, received time.Time) time.Time {
	if at, ok := date(h["Date"]); ok {
		return at
	}
	return received
}

// date reads the lines of a field that is a date. Several dates that differ are none.
func date(lines []string) (time.Time, bool) {
	if len(lines) == 0 {
		return time.Time{}, false
	}
	for _, line := range lines[1:] {
		if line != lines[0] {
			return time.Time{}, false
		}
	}
	return parseDate(lines[0])
}

// parseDate reads the three forms of RFC 9110, section 5.6.7. time.Parse alone would take any number
// of spaces, and other time zones.
func parseDate(s string) (time.Time, bool) {
	const gmt = " GMT"
	layout := time.ANSIC
	if cut := len(s) - len(gmt); cut > 0 && strings.EqualFold(s[cut:], gmt) {
		s = s[:cut] + gmt
		layout = http.TimeFormat
		if len(s) != len(http.TimeFormat) {
			layout = time.RFC850
		}
	}
	if strings.Contains(s, "  ") && layout != time.ANSIC {
		return time.Time{}, false
	}
	at, err := time.Parse(layout, s)
	return at, err == nil
}

// ageOf returns how old an answer was when it was received (RFC 9111, section 4.2.3): what its Date
// says, or what its Age says and the time that the call has taken. A Date has whole seconds, so the
// time when it was received is cut to these: else an answer would often be a second old at once.
func ageOf(h http.Header, sent, received time.Time) time.Duration {
	apparent := max(received.Truncate(time.Second).Sub(dateOf(h, received)), 0)
	var said time.Duration
	if lines := h["Age"]; len(lines) > 0 {
		first, _, _ := strings.Cut(lines[0], ",")
		said = seconds(strings.Trim(first, " \t"), 0)
	}
	return min(max(apparent, said+received.Sub(sent)), longest)
}
