package cache

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

const (
	// keptStale is how long an answer is kept after it was fresh, to be validated.
	keptStale = time.Hour

	// keptMost is how long an answer is kept at most.
	keptMost = 7 * 24 * time.Hour

	// keptMarks is how long a mark is kept. A target whose mark has gone has no answers.
	keptMarks = 30 * 24 * time.Hour
)

// A keeping is an answer that is to be kept.
type keeping struct {
	entry *Entry
	key   string
	names []string // by which it varies
	tags  []string
}

// keep returns what is to be kept of an answer, without its payload, or nil for nothing.
func (x *exchange) keep(res *proxy.Response, sent time.Time) *keeping {
	status := res.StatusCode()
	switch {
	case x.gen == 0, x.req.Method != http.MethodGet, res.Err != nil, status < 200, status > 999, status == http.StatusPartialContent, status == http.StatusNotModified:
		return nil
	case status != http.StatusOK && !x.validates() && isConditional(x.req.Header): // it answers the condition
		return nil
	case x.tooLarge(res):
		return nil
	}
	stream := res.Body != nil
	a := answer{status: status, stream: stream, header: field.Kept(res.Header), at: x.now}
	if !stream && res.Origin != nil {
		a.origin = field.Kept(res.Origin)
	}
	if !x.cache.spec.StoreCookies && (len(a.header["Set-Cookie"]) > 0 || len(a.origin["Set-Cookie"]) > 0) {
		return nil
	}
	return x.keeping(a, a.said(), sent)
}

func (x *exchange) tooLarge(res *proxy.Response) bool {
	most := x.cache.spec.MaxObject
	if most < 0 {
		return false
	}
	size := res.Document.Size()
	if res.Body != nil {
		size = int(min(field.Length(res.Header), int64(most)+1))
	}
	return size > most
}

// keeping judges an answer by its header; see [Cache.Decorate]. said is the header that it was
// received with.
func (x *exchange) keeping(a answer, said http.Header, sent time.Time) *keeping {
	s := &x.cache.spec
	h := a.said()
	k := &keeping{}
	if !a.stream && a.origin == nil { // of several upstreams
		d, _ := s.control(h)
		if s.TTL == 0 || !isHeuristic(a.status) || d.noStore || d.private {
			return nil
		}
		if _, ok := varying(h["Vary"]); !ok {
			return nil
		}
		a.control = freshness{lifetime: min(s.TTL, longest), whileRevalidate: s.StaleWhileRevalidate, ifError: s.StaleIfError, validate: d.noCache}
		k.names = x.byAll
	} else {
		var ok bool
		if a.control, ok = s.freshness(a.status, h, x.now); !ok {
			return nil
		}
		names, ok := varying(h["Vary"])
		if !ok {
			return nil
		}
		for _, name := range names {
			a.control.cookies = a.control.cookies || name == "Cookie"
			if x.takes.Has(name) { // else it is the same for all
				k.names = append(k.names, name)
			}
		}
		told, ok := a.told()
		if !ok {
			return nil
		}
		if k.names = slices.Concat(k.names, x.decides, told); len(k.names) > 1 {
			slices.Sort(k.names)
			k.names = slices.Compact(k.names)
		}
		a.age = ageOf(said, sent, x.now)
	}
	if !x.mayHave(&a.control) || len(x.req.Header["Cookie"]) > 0 && x.takes.Has("Cookie") && !a.control.cookies {
		return nil
	}
	if a.left(x.now) <= 0 && len(h["Etag"]) == 0 && len(h["Last-Modified"]) == 0 && !a.control.standsIn() {
		return nil // it could be used for nothing
	}
	if k.tags = tagsIn(h, s.Tags); len(k.tags) > maxTags {
		return nil
	}
	k.key = x.keyOf(k.names)
	k.entry = &Entry{kind: kindAnswer, gen: x.gen, answer: a}
	return k
}

// told returns what code has said in the header for the client about a Document, beside what its
// upstream has said: by which other fields it varies, and whether it may be kept at all.
func (a *answer) told() (names []string, ok bool) {
	if a.origin == nil {
		return nil, true
	}
	if lines := a.header["Cache-Control"]; !slices.Equal(lines, a.origin["Cache-Control"]) {
		if d := parseControl(lines); d.noStore || d.private {
			return nil, false
		}
	}
	if lines := a.header["Vary"]; !slices.Equal(lines, a.origin["Vary"]) {
		return varying(lines)
	}
	return nil, true
}

// ttl returns how long an answer is worth to be kept.
func (a *answer) ttl(now time.Time) time.Duration {
	return min(max(a.left(now), 0)+max(a.control.whileRevalidate, a.control.ifError, keptStale), keptMost)
}

// store keeps an answer that is complete, and gives it to those who wait. What fails is reported.
func (x *exchange) store(ctx context.Context, f *flight, k *keeping) {
	err := x.put(ctx, k)
	f.land(outcome{entry: k.entry, key: k.key, names: k.names})
	if err != nil {
		proxy.Report(ctx, err)
	}
}

func (x *exchange) put(ctx context.Context, k *keeping) error {
	c := x.cache
	tags, holds, err := x.tagged(ctx, k.tags)
	k.entry.answer.tags = tags
	k.entry.sized()
	if err != nil || !holds {
		return err
	}
	if err := c.set(ctx, k.key, k.entry, k.entry.answer.ttl(x.now)); err != nil || len(k.names) == 0 {
		return err
	}
	return x.index(ctx, k)
}

// index notes where a variant is. Two callers that do so at once may lose one of them, which is then
// asked for again.
func (x *exchange) index(ctx context.Context, k *keeping) error {
	var got [1]*Entry
	if err := x.cache.get(ctx, got[:], []string{x.key}); err != nil {
		return err
	}
	variants := []variant{{names: k.names, key: k.key}}
	if e := got[0]; e != nil && e.kind == kindIndex && e.gen == x.gen {
		if len(e.variants) > 0 && e.variants[0].key == k.key {
			return nil
		}
		for _, v := range e.variants {
			if v.key != k.key {
				variants = append(variants, v)
			}
		}
	}
	if most := x.cache.spec.MaxVariants; most > 0 && len(variants) > most {
		variants = variants[:most]
	}
	e := (&Entry{kind: kindIndex, gen: x.gen, variants: variants}).sized()
	return x.cache.set(ctx, x.key, e, keptMost)
}

// freshen makes of what is kept, and of the 304 that says that it still holds, an answer that is
// fresh again (RFC 9111, section 4.3.4).
func (x *exchange) freshen(ctx context.Context, f *flight, res *proxy.Response, sent time.Time, why string) (*proxy.Response, error) {
	x.count(&x.cache.counters.misses)
	note(ctx, "validated")
	said := res.Origin
	if res.Body != nil {
		said = res.Header
		call.Discard(ctx, res)
	} else {
		_ = res.Close()
	}
	a := x.found.answer // a copy, which shares the payload
	a.tags, a.at, a.age = nil, x.now, 0
	cookies := said["Set-Cookie"]
	if a.stream {
		a.header = x.updated(a.header, said)
	} else {
		a.header, a.origin = x.updated(a.header, res.Header), x.updated(a.origin, said)
	}
	why += "; fwd-status=304"
	k := x.keeping(a, said, sent)
	if k == nil { // it says now that it is not to be kept
		f.land(outcome{})
		k = &keeping{entry: (&Entry{kind: kindAnswer, answer: a}).sized()}
	} else {
		x.store(ctx, f, k)
		why += "; stored"
	}
	answer := x.serve(k.entry, why)
	if a.stream && len(cookies) > 0 { // for this client alone
		answer.Header["Set-Cookie"] = append(answer.Header["Set-Cookie"], cookies...)
	}
	return answer, nil
}

// updated returns a header with the fields of a 304 in place of those that are kept, but for those
// that describe the payload that is kept.
func (x *exchange) updated(old, said http.Header) http.Header {
	h := maps.Clone(old)
	if h == nil {
		h = http.Header{}
	}
	delete(h, "Age")
	for name, values := range field.Kept(said) {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Range", "Content-Type":
		case "Set-Cookie":
			if x.cache.spec.StoreCookies {
				h[name] = values
			}
		default:
			h[name] = values
		}
	}
	return h
}

// maxTags is how many tags an answer may have.
const maxTags = 64

// tagsIn returns the tags of an answer: one more than it may have, if there are too many.
func tagsIn(h http.Header, name string) (tags []string) {
	if name == "" {
		return nil
	}
	for _, line := range h[name] {
		for tag := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			if !slices.Contains(tags, tag) { // there are few
				tags = append(tags, tag)
			}
			if len(tags) > maxTags {
				return tags
			}
		}
	}
	return tags
}
