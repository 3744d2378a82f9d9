package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Request is what a client, a broker or code asks of a proxy. It is made by [NewRequest], an endpoint or an agent,
// which guarantee that Query, Header and Upstream are not nil.
//
// A proxy may change its request until it returns and does not keep it. Who hands it to several proxies, or may return
// before one has, hands on a [Request.Clone]. A Request is not safe for concurrent use.
type Request struct {
	Method  string // of HTTP, in upper case
	Path    string // escaped, as routed; it begins with a slash
	Pattern string // the route's pattern that matched, or ""
	Host    string // as the client named it, with the port if it gave one
	Scheme  string // "http" or "https", as the client used it

	Remote netip.AddrPort       // of the client, behind trusted proxies; the zero value if unknown
	TLS    *tls.ConnectionState // of the client's connection to us; nil without TLS; never changed

	Query url.Values // as the client sent it; an upstream gets of it only what its Spec names

	// RawQuery is the text that Query was parsed from. It goes on in Query's place only where all of the query goes on
	// and it still parses to exactly Query, so that order and spelling are kept.
	RawQuery string

	// Header is what the client or the message sent, end to end: hop-by-hop headers are gone and forwarded headers are
	// rebuilt. An upstream gets of it only what its Spec names.
	Header http.Header

	// Upstream is what code sends: decorators, credentials, verified claims. It is always sent, it wins over Header, and
	// it is never filled from the client.
	Upstream http.Header

	// Params are the route's, each decoded exactly once.
	Params Params

	// Body is nil or empty for a request without one. It can be read once; who needs it again calls GetBody. The one who
	// made the request closes it.
	Body io.ReadCloser

	// GetBody returns the body from its beginning. A request is replayable if it has no Body or has GetBody; no pipe
	// reads a body into memory to make it so.
	GetBody func() (io.ReadCloser, error)

	ContentLength int64 // of Body in bytes; -1 if unknown

	Trailer func() http.Header // the client's trailers, once Body is at EOF; nil if there are none

	// Upgrade is the protocol that the client asked to change to, or "". Only a streamed passthrough honours it.
	Upgrade string

	// Inform sends an informational answer (1xx) to the client. It is nil where nobody listens, is dropped by Clone, and
	// has no effect once the handler has returned.
	Inform func(status int, h http.Header)

	parsed *parsedBody // shared with clones, so that the body is parsed once for all
}

// NewRequest returns a request without a body. Its maps are empty, not nil.
func NewRequest(method, path string) *Request {
	return &Request{Method: method, Path: path, Query: url.Values{}, Header: http.Header{}, Upstream: http.Header{}}
}

// Clone returns a copy that shares no memory with r that either may write: headers, query and params are copied, and
// the body is opened again with GetBody, for the caller to close. Trailer, Upgrade and Inform belong to the original's
// connection and are dropped.
//
// A body that cannot be replayed is refused with [ErrBodyNotReplayable]; r is as before then.
func (r *Request) Clone() (*Request, error) {
	c := new(Request)
	if err := r.cloneTo(c, cloneValues); err != nil {
		return nil, err
	}
	return c, nil
}

// cloneTo makes c a clone of r.
func (r *Request) cloneTo(c *Request, header func(http.Header) http.Header) error {
	r.copyTo(c, header)
	c.Trailer, c.Upgrade, c.Inform = nil, "", nil
	if !r.hasBody() {
		c.Body = nil
		return nil
	}
	if r.GetBody == nil {
		return &Error{Op: "clone", Err: ErrBodyNotReplayable}
	}
	if r.parsed == nil {
		r.parsed = new(parsedBody)
	}
	c.parsed = r.parsed
	body, err := r.GetBody()
	if err != nil {
		return &Error{Op: "clone", Err: err}
	}
	c.Body = body
	return nil
}

// Replayable reports whether Clone can copy the request: it has no body, or GetBody.
func (r *Request) Replayable() bool { return !r.hasBody() || r.GetBody != nil }

func (r *Request) hasBody() bool { return r.Body != nil && r.Body != http.NoBody }

// copyTo makes c a copy with maps of its own that takes the body over.
func (r *Request) copyTo(c *Request, header func(http.Header) http.Header) {
	*c = *r
	c.Header, c.Upstream = header(r.Header), cloneValues(r.Upstream)
	c.Query = cloneValues(r.Query)
	c.Params.rest = slices.Clone(r.Params.rest) // it is handed out
}

// fork makes the n requests that to returns clones of r, all or none. A single one takes the body over: it is a copy only
// because its call may be abandoned.
func (r *Request) fork(n int, header func(http.Header) http.Header, to func(i int) *Request) error {
	if n == 1 {
		r.copyTo(to(0), header)
		return nil
	}
	made := 0
	defer func() {
		for i := range made { // GetBody failed, or as anybody's code panicked
			closeBody(to(i).Body)
		}
	}()
	for i := range n {
		if err := r.cloneTo(to(i), header); err != nil {
			return err
		}
		made++
	}
	made = 0
	return nil
}

// headersFor returns how the headers of a request are to be copied: whole, or without their values where no code is there
// that could write to them.
func headersFor(ctx context.Context) func(http.Header) http.Header {
	if call.Described(ctx) {
		return maps.Clone
	}
	return cloneValues
}

// cloneValues copies a header or query map and its values, in two allocations for the values of all keys. The copy is
// never nil.
func cloneValues[M ~map[string][]string](m M) M {
	c := make(M, len(m))
	n := 0
	for _, vs := range m {
		n += len(vs)
	}
	all := make([]string, 0, n)
	for k, vs := range m {
		if vs == nil {
			c[k] = nil // a nil value has a meaning to net/http: "leave it out"
			continue
		}
		from := len(all)
		all = append(all, vs...)
		c[k] = all[from:len(all):len(all)]
	}
	return c
}

// SetBody gives the request a body in memory, which can be replayed, and the content type it has. It keeps b: the
// caller must not change it afterwards. An empty contentType leaves the request without one.
//
// What the client said about its own body (Content-Type, Content-Encoding and the like) is gone.
func (r *Request) SetBody(contentType string, b []byte) {
	for _, name := range []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Content-Md5",
		"Content-Digest", "Content-Range", "Content-Length", "Digest", "Repr-Digest"} {
		delete(r.Header, name)
		delete(r.Upstream, name)
	}
	if contentType != "" {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("Content-Type", contentType)
	}
	r.GetBody = func() (io.ReadCloser, error) { return bodyOf(b), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(b))
	r.Trailer = nil
	r.parsed = new(parsedBody)
}

// bodyOf returns http.NoBody for no bytes: of another empty body net/http would have to find out that it is empty.
func bodyOf(b []byte) io.ReadCloser {
	if len(b) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(b))
}

// Document returns the body as a JSON document. It is parsed once, for the request and its clones, until SetBody gives
// it another one. A request without a body, or with an empty one, has the absent document.
//
// The body is read through GetBody, so Body can still be read afterwards; a body that cannot be replayed is refused
// with [ErrBodyNotReplayable]. A body that is not JSON is an [*Error] of status 400.
func (r *Request) Document() (document.Document, error) {
	if !r.hasBody() && r.GetBody == nil {
		return document.Document{}, nil
	}
	if r.GetBody == nil {
		return document.Document{}, &Error{Op: "document", Err: ErrBodyNotReplayable}
	}
	if r.parsed == nil {
		r.parsed = new(parsedBody)
	}
	return r.parsed.document(r.GetBody)
}

// A parsedBody is parsed by whoever asks first.
type parsedBody struct {
	once sync.Once
	doc  document.Document
	err  error
}

func (p *parsedBody) document(getBody func() (io.ReadCloser, error)) (document.Document, error) {
	p.once.Do(func() {
		p.err = &Error{Op: "document", Err: errors.New("reading the body ended in a panic")} // if it does
		p.doc, p.err = parseBody(getBody)
	})
	return p.doc, p.err
}

func parseBody(getBody func() (io.ReadCloser, error)) (document.Document, error) {
	body, err := getBody()
	if err != nil {
		return document.Document{}, &Error{Op: "document", Err: err}
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil || len(b) == 0 {
		return document.Document{}, wrapError("document", 0, err)
	}
	doc, err := document.Parse(b)
	return doc, wrapError("document", http.StatusBadRequest, err)
}
