package compress

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// mapTags returns r with the tags of compressed answers in its conditions beside the tags that the
// handler knows. In If-None-Match only those of the coding that the answer may have count: a 304 must
// not tell a client to use bytes that it does not accept. If-Match asks whether the resource is still
// what it was, in any coding.
func (a *answer) mapTags(r *http.Request) *http.Request {
	none := r.Header["If-None-Match"]
	match := r.Header["If-Match"]
	if len(none) == 0 && len(match) == 0 {
		return r
	}
	var mapped http.Header
	put := func(name string, lines, more []string) {
		if mapped == nil {
			mapped = maps.Clone(r.Header)
		}
		mapped[name] = []string{strings.Join(slices.Concat(lines, more), ", ")} // net/http reads one line
	}
	if a.coding != nil {
		if known := plainTags(none, true, a.coding); len(known) > 0 {
			a.known = known
			put("If-None-Match", none, known)
		}
	}
	if known := plainTags(match, false, a.compressor.codings[:]...); len(known) > 0 {
		put("If-Match", match, known)
	}
	if mapped == nil {
		return r
	}
	r = r.WithContext(r.Context()) // a shallow copy
	r.Header = mapped
	return r
}

// plainTags returns the tags whose compressed form is in lines, with or without that of weak ones.
func plainTags(lines []string, weak bool, codings ...*coding) (plain []string) {
	for _, line := range lines {
		for line != "" {
			line = strings.TrimLeft(line, " \t,")
			opaque, isWeak := strings.CutPrefix(line, "W/")
			if opaque == "" || opaque[0] != '"' {
				break // "*", or what is no tag
			}
			end := strings.IndexByte(opaque[1:], '"')
			if end < 0 {
				break
			}
			tag := opaque[1 : 1+end]
			line = opaque[end+2:]
			for _, c := range codings {
				if original, ok := strings.CutSuffix(tag, "-"+c.name); ok && (weak || !isWeak) {
					plain = append(plain, `"`+original+`"`)
				}
			}
		}
	}
	return plain
}

// codedTag returns the tag of the compressed form of what has this tag.
func codedTag(tag string, c *coding) string {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return tag // weak, or none at all
	}
	return tag[:len(tag)-1] + "-" + c.name + `"`
}

// setTag gives the tag in h its compressed form.
func setTag(h http.Header, c *coding) {
	if lines := h["Etag"]; len(lines) == 1 {
		h["Etag"] = []string{codedTag(lines[0], c)}
	}
}
