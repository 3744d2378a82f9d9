// Package compress is a middleware that compresses answers with gzip or zstd.
//
//	compressed, err := compress.New(compress.Spec{})
//	…
//	err = adapter.Run(ctx, adapter.Server{Addr: ":8080", Handler: compressed(router)})
//
// # What is compressed
//
// An answer is compressed if the client accepts it (RFC 9110, section 12.5.3), its type is one of
// [Spec.Types], and it is not smaller than [Spec.MinSize]. These are never compressed:
//
//   - a stream: text/event-stream, and an answer that the handler flushes before it has written MinSize
//     bytes;
//   - an answer that already has a Content-Encoding, such as the coded answer of an upstream;
//   - 206 and any answer with a Content-Range; 204, 205, 304, and answers to HEAD; a change of
//     protocol;
//   - an answer with Cache-Control: no-transform, or to a request with it (RFC 9111, section 5.2);
//   - an answer with a digest of its bytes (RFC 9530), which compression would make wrong.
//
// Every answer has Vary: Accept-Encoding.
//
// # Entity tags
//
// A strong ETag stands for one sequence of bytes (RFC 9110, section 8.8.3). So a compressed answer gets a
// tag of its own: "abc" becomes "abc-gzip". If a client sends that tag in If-None-Match or If-Match, the
// handler reads "abc" as well, and a 304 has the tag that the client knows. If-Range is not changed: a
// range of the plain bytes does not fit the compressed ones, so the whole answer is sent. Weak tags stay as
// they are.
//
// # Secrets
//
// The length of a compressed answer shows how much it repeats itself. If an answer has both a secret and
// bytes that an attacker chooses, such as a search term, then an attacker who sees the lengths of many
// answers can find the secret (BREACH, 2013). TLS does not hide lengths. Do not compress such answers:
// leave the middleware out for their routes, or set Cache-Control: no-transform.
//
// # Failures
//
// If the handler panics, ends its goroutine or writes less than its Content-Length, the compressed bytes
// are left without their end. The connection or the stream is then broken as by [http.ErrAbortHandler], so
// that half an answer does not look like a whole one.
//
// The middleware stands inside CORS, logs and recovery, and outside the router. It holds back at most
// MinSize bytes. Its ResponseWriter unwraps for [http.ResponseController].
package compress

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const defaultMinSize = 1 << 10

// DefaultTypes returns the types that are compressed if a [Spec] names none: text, JSON, XML, scripts, and
// formats of fonts and images that are not compressed already.
func DefaultTypes() []string {
	return []string{"text/*", "application/json", "*+json", "application/x-ndjson", "application/xml", "*+xml", "application/yaml",
		"application/javascript", "application/wasm", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/bmp", "image/x-icon"}
}

// A Spec says which answers are compressed. Its zero value is safe.
type Spec struct {
	// MinSize is the size in bytes from which an answer is compressed; a smaller one would not gain. 0
	// means 1 KiB, a negative value means any size, and more than 1 MiB is an error. A client that refuses
	// the plain bytes (identity;q=0) gets smaller answers compressed too.
	MinSize int

	// Types are the media types, without parameters: one type such as application/json, all of a kind such
	// as text/*, or all with a suffix such as *+json. nil means [DefaultTypes]. text/event-stream is never
	// compressed.
	Types []string
}

// New returns the middleware. The error joins everything that is wrong with the spec. The middleware is
// safe for concurrent use. It keeps encoders for the next answers, some 1 MB each.
func New(spec Spec) (func(http.Handler) http.Handler, error) {
	c := &compressor{minSize: spec.MinSize}
	if c.minSize == 0 {
		c.minSize = defaultMinSize
	}
	var errs []error
	var err error
	if c.codings, err = newCodings(); err != nil {
		errs = append(errs, fmt.Errorf("compress: %w", err))
	}
	if c.minSize > 1<<20 {
		errs = append(errs, fmt.Errorf("compress: MinSize is %d, want at most 1 MiB", c.minSize))
	}
	types := spec.Types
	if types == nil {
		types = DefaultTypes()
	}
	for _, t := range types {
		if err := c.addType(strings.ToLower(t)); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(next, w, r) })
	}, nil
}

// A compressor is what all answers share.
type compressor struct {
	minSize  int
	codings  [2]*coding
	exact    map[string]bool
	kinds    []string // as "text/"
	suffixes []string // as "+json"
}

func (c *compressor) addType(t string) error {
	kind, sub, ok := strings.Cut(t, "/")
	switch {
	case ok && sub == "*" && isName(kind):
		c.kinds = append(c.kinds, kind+"/")
	case strings.HasPrefix(t, "*+") && isName(t[2:]):
		c.suffixes = append(c.suffixes, t[1:])
	case ok && isName(kind) && isName(sub):
		if c.exact == nil {
			c.exact = map[string]bool{}
		}
		c.exact[t] = true
	default:
		return fmt.Errorf("compress: type %q: want a/b, a/* or *+suffix", t)
	}
	return nil
}

// isName reports whether s may be a part of a media type (RFC 6838, section 4.2), in lower case.
func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789!#$&-^_.+") == ""
}

// hasType reports whether a media type is one to be compressed.
func (c *compressor) hasType(media string) bool {
	return c.exact[media] || slices.ContainsFunc(c.kinds, func(kind string) bool { return strings.HasPrefix(media, kind) }) ||
		slices.ContainsFunc(c.suffixes, func(suffix string) bool { return strings.HasSuffix(media, suffix) })
}

// mediaType returns the type of an answer in lower case, without parameters.
func mediaType(h http.Header) string {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.Trim(media, " \t"))
}

func (c *compressor) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	a := &answer{ResponseWriter: w, compressor: c, length: -1}
	i, must := negotiate(r.Header["Accept-Encoding"])
	if i >= 0 && r.Method != http.MethodHead && !says(r.Header, "no-transform") {
		a.coding, a.must = c.codings[i], must
	}
	returned := false
	defer func() {
		if !returned {
			a.abandon()
		}
	}()
	next.ServeHTTP(a, a.mapTags(r))
	a.finish()
	returned = true
}

// vary names Accept-Encoding in the Vary of an answer.
func vary(h http.Header) {
	if !hasElement(h["Vary"], "Accept-Encoding") && !hasElement(h["Vary"], "*") {
		h.Add("Vary", "Accept-Encoding")
	}
}

// says reports whether the Cache-Control of a header has a directive.
func says(h http.Header, directive string) bool { return hasElement(h["Cache-Control"], directive) }

// hasElement reports whether a list has an element, in any case.
func hasElement(lines []string, want string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), want) {
				return true
			}
		}
	}
	return false
}
