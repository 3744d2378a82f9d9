package cache

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/keys"
	"github.com/sluice-go/sluice/proxy"
)

// sum returns the key of some parts: a letter that says what is there, and their SHA-256. Nobody can
// make two requests whose keys are the same.
func sum(what byte, p keys.Parts) string {
	hash := sha256.Sum256(p)
	var text [1 + 43]byte
	text[0] = what
	base64.RawURLEncoding.Encode(text[1:], hash[:])
	return string(text[:])
}

// The first letters of keys.
const (
	ofTarget  = 't' // the mark of a target
	ofTag     = 'g' // the mark of a tag
	ofPurges  = 'p' // the mark of all tags
	ofAnswer  = 'a' // an answer, or the index of its variants
	ofVariant = 'v' // an answer that varies
)

// targetKey returns the key of the mark of a target: a path, and a query in its normal form.
func (c *Cache) targetKey(path, query string) string {
	p := make(keys.Parts, 0, 256)
	p.Text(c.spec.Name, path, query)
	return sum(ofTarget, p)
}

func (c *Cache) tagKey(name string) string {
	p := make(keys.Parts, 0, 128)
	p.Text(c.spec.Name, name)
	return sum(ofTag, p)
}

func (c *Cache) purgesKey() string {
	p := make(keys.Parts, 0, 128)
	p.Text(c.spec.Name)
	return sum(ofPurges, p)
}

// answerKey returns the key of what a request asks for.
func (d *decorated) answerKey(req *proxy.Request) string {
	p := make(keys.Parts, 0, 1<<10)
	p.Text(d.cache.spec.Name, d.identity)
	p.Target(req)
	return sum(ofAnswer, p)
}

// everything stands, in the names of a variant, for all that something inside may ask of the client.
const everything = "*"

// variantKey returns the key of the variant of an answer for a request, by the fields that it varies
// by.
func variantKey(answer string, names []string, req *proxy.Request, taken *call.Taken) string {
	p := make(keys.Parts, 0, 512)
	p.Text(answer)
	p.List(names)
	for _, name := range names {
		if name == everything {
			h := maps.Clone(req.Header)
			for _, name := range reads {
				delete(h, name)
			}
			p.Client(req, h, taken)
			continue
		}
		p.List(selecting(req.Header[name]))
	}
	return sum(ofVariant, p)
}

// selecting returns the lines of a field as they are compared: where all are plain lists, lines and
// spaces make no difference (RFC 9111, section 4.1).
func selecting(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	for _, line := range lines {
		if strings.ContainsAny(line, `"\`) {
			return lines
		}
	}
	var b strings.Builder
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") { // an empty one too, which not every field may have
			b.WriteString(strings.Trim(item, " \t"))
			b.WriteByte(',')
		}
	}
	return []string{b.String()}
}

// maxNames is how many fields an answer may vary by.
const maxNames = 32

// varying returns the names of the fields that an answer varies by, sorted and each once. It reports
// false if no other request can have the answer: for "*", for what is no name, and for too many.
func varying(lines []string) (names []string, ok bool) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t")
			if name == "" {
				continue
			}
			key, _, ok := field.Parse(name)
			if !ok || name == "*" || len(names) == maxNames {
				return nil, false
			}
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// queryOf returns a query in its normal form.
func queryOf(query url.Values) string {
	if len(query) == 0 {
		return ""
	}
	return query.Encode()
}
