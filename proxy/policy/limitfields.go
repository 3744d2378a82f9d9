package policy

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A limitFields makes the header fields that tell clients of a limit, in the syntax of Structured
// Fields (RFC 9651).
type limitFields struct {
	name   string // quoted
	policy string // the value of RateLimit-Policy
}

// largest is the largest Integer of a Structured Field.
const largest int64 = 999_999_999_999_999

const (
	rateLimit       = "Ratelimit" // canonical
	rateLimitPolicy = "Ratelimit-Policy"
)

// newLimitFields returns the fields of a limit of so many units in a window. "" is no name, and the
// unit "" is a request.
func newLimitFields(name string, quota int, unit string, window time.Duration) *limitFields {
	if name == "" {
		name = "default"
	}
	f := &limitFields{name: sfString(name)}
	f.policy = f.name + ";q=" + strconv.FormatInt(min(int64(quota), largest), 10)
	if unit != "" {
		f.policy += ";qu=" + sfString(unit)
	}
	f.policy += ";w=" + seconds(window)
	return f
}

// sfString returns a String of a Structured Field: text is of printable ASCII characters.
func sfString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// set sets the fields of an answer. If join is true, a limit inside has set its own, which come after.
// Any others, and twins, are those of an upstream: they speak of its limits, and go no further.
func (f *limitFields) set(res *proxy.Response, g Grant, join bool) {
	switch {
	case res.Header == nil:
		res.Header = make(http.Header, 2)
	case !join:
		field.Delete(res.Header, rateLimitPolicy)
		field.Delete(res.Header, rateLimit)
	}
	values := [...]string{f.policy, f.state(g)}
	prepend(res.Header, rateLimitPolicy, values[0:1:1])
	prepend(res.Header, rateLimit, values[1:2:2])
}

// tellsOfLimits reports whether a limit inside of a plan sets the fields.
func tellsOfLimits(plan *pipe.Step) bool {
	for step := range plan.All() {
		switch limit := step.State.(type) {
		case *limitBy:
			if !limit.spec.OmitFields {
				return true
			}
		case *quota:
			if !limit.spec.OmitFields {
				return true
			}
		}
	}
	return false
}

// prepend puts a value before those of a field. It never writes into those, and keeps own.
func prepend(h http.Header, name string, own []string) {
	if others := h[name]; len(others) > 0 {
		own = append(own, others...)
	}
	h[name] = own
}

// state returns the value of RateLimit.
func (f *limitFields) state(g Grant) string {
	var room [64]byte
	b := append(room[:0], f.name...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, min(max(int64(g.Remaining), 0), largest), 10)
	b = append(b, ";t="...)
	until := g.Full
	if g.Remaining <= 0 {
		until = g.After // the same time as Retry-After, as the draft wants it
	}
	return string(strconv.AppendInt(b, wholeSeconds(until), 10))
}

// wholeSeconds rounds up, to at least 1: who came back at once would be refused again.
func wholeSeconds(d time.Duration) int64 { return max(1, int64(math.Ceil(d.Seconds()))) }

func seconds(d time.Duration) string { return strconv.FormatInt(wholeSeconds(d), 10) }
