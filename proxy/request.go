package proxy

import (
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
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Request is what a client, a broker or code asks of a proxy. [NewRequest], endpoints and agents
// create requests, and guarantee that Query, Header and Upstream are not nil.
//
// A proxy may change its request until it returns, and does not keep it. Code that passes a request
// to several proxies, or that may return before the proxy does, must pass a [Request.Clone]. A
// Request is not safe for concurrent use.
type Request struct {
	Method  string // HTTP method, in upper case
	Path    string // escaped, as routed; begins with a slash
	Pattern string // pattern of the route that matched, or ""
	Host    string // as the client named it, with the port if it gave one
	Scheme  string // "http" or "https", as the client used it

	Remote netip.AddrPort       // address of the client, behind trusted proxies; the zero value if unknown
	TLS    *tls.ConnectionState // state of the client's connection to us; nil without TLS; never changed

	// Caller is the verified caller of the request; nil means that there is none. It never has what the
	// client said unverified. It is immutable, and clones share it; endpoint.Identify sets it.
	Caller *Caller

	// Query is what the client sent, and what code has changed in it. An upstream receives only the
	// parameters that its Spec or UpstreamQuery names.
	Query url.Values

	// UpstreamQuery names the parameters of Query that code sends: they reach an upstream whether
	// its Spec names them or not. It is never filled from the client. A parameter that the URL of
	// the upstream has too fails the call with status 500.
	UpstreamQuery []string

	// RawQuery is the text that Query was parsed from. It is sent in place of Query, to keep order
	// and spelling, but only if all of the query is sent and RawQuery still parses to exactly
	// Query.
	RawQuery string

	// Header is what the client or the message sent, end to end: hop-by-hop headers are removed and
	// forwarded headers are rebuilt. An upstream receives only the fields that its Spec names.
	Header http.Header

	// Upstream is what code sends: decorators, credentials, verified claims. It is always sent, it
	// takes precedence over Header, and it is never filled from the client.
	Upstream http.Header

	// Params are the values of the route's placeholders, each decoded exactly once.
	Params Params

	// Body is nil or empty for a request without one. It can be read once; code that needs it again
	// calls GetBody. The code that made the request closes Body. A backend may read a body that code
	// has made on another goroutine; a Read that blocks past the context of the call is abandoned.
	Body io.ReadCloser

	// GetBody returns the body from its beginning. A request can be replayed if it has no Body or
	// has GetBody. No pipe reads a body into memory to make that possible. Combinators and backends
	// may call GetBody on another goroutine, and abandon a call that blocks past its context.
	GetBody func() (io.ReadCloser, error)

	ContentLength int64 // length of Body in bytes; -1 if unknown

	Trailer func() http.Header // the client's trailers, once Body is at EOF; nil if there are none

	// Upgrade is the protocol that the client asked to change to, or "". Only a streamed
	// passthrough honours it.
	Upgrade string

	// Inform sends an informational answer (1xx) to the client. It is nil if no client listens, and
	// Clone drops it. It has no effect after the handler has returned.
	Inform func(status int, h http.Header)

	parsed *parsedBody // shared with clones, so that all of them parse the body only once
	stage  *stageCall  // of the sequence that made the request; nil elsewhere
}

// NewRequest returns a request without a body. Its maps are empty, not nil.
func NewRequest(method, path string) *Request {
	return &Request{Method: method, Path: path, Query: url.Values{}, Header: http.Header{}, Upstream: http.Header{}}
}

// Clone returns a copy of r. The two share no memory that either may write to: headers, query and
// params are copied. The body is opened again with GetBody, and the caller must close it. Clone
// drops Trailer, Upgrade and Inform, which belong to the original's connection.
//
// If the body cannot be replayed, Clone fails with [ErrBodyNotReplayable] and leaves r unchanged.
func (r *Request) Clone() (*Request, error) {
	c := new(Request)
	if err := r.cloneTo(c, copyAll, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// cloneTo makes c a clone of r. It opens the body with open, or if that is nil with GetBody.
func (r *Request) cloneTo(c *Request, how copying, open opener) error {
	r.copyTo(c, how)
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
	if open == nil {
		open = directly
	}
	body, err := open(r.GetBody)
	switch {
	case err == call.ErrAbandoned:
		return &Error{Status: http.StatusServiceUnavailable, Op: "clone", Err: err}
	case err == nil && body == nil:
		return &Error{Op: "clone", Err: errNoBody} // else the clone would be sent without the body
	case err != nil:
		return &Error{Op: "clone", Err: err}
	}
	c.Body = body
	return nil
}

var errNoBody = errors.New("GetBody returned no body")

// An opener calls a GetBody, which is code of a user.
type opener func(get func() (io.ReadCloser, error)) (io.ReadCloser, error)

func directly(get func() (io.ReadCloser, error)) (io.ReadCloser, error) { return get() }

// opens returns an opener that waits no longer than ctx for a GetBody.
func opens(ctx context.Context, bound *call.Bound) opener {
	return func(get func() (io.ReadCloser, error)) (io.ReadCloser, error) { return call.Open(ctx, bound, get) }
}

// Replayable reports whether Clone can copy the request: it has no body, or it has GetBody.
func (r *Request) Replayable() bool { return !r.hasBody() || r.GetBody != nil }

func (r *Request) hasBody() bool { return r.Body != nil && r.Body != http.NoBody }

// copyTo makes c a copy of r. The copy takes over the body.
func (r *Request) copyTo(c *Request, how copying) {
	*c = *r
	switch how {
	case copyNothing:
		return
	case copyMaps:
		c.Header = maps.Clone(r.Header)
	default:
		c.Header = cloneValues(r.Header)
	}
	c.Upstream, c.Query, c.UpstreamQuery = cloneValues(r.Upstream), cloneValues(r.Query), slices.Clone(r.UpstreamQuery)
	c.Params.rest = slices.Clone(r.Params.rest) // Params.Rest returns it
}

// fork makes the n requests that to returns clones of r: all of them, or none. Those whose proxy only
// reads share the maps of r. A single one takes over the body; it is a copy only because its call may
// be abandoned.
func (r *Request) fork(ctx context.Context, bound *call.Bound, n int, to func(i int) (c *Request, reads bool)) error {
	how := copierFor(ctx)
	if n == 1 {
		c, reads := to(0)
		r.copyTo(c, how.forProxy(reads))
		return nil
	}
	open, made := opens(ctx, bound), 0
	defer func() {
		for i := range made { // GetBody, which is code of the user, failed or panicked
			c, _ := to(i)
			call.Discard(ctx, c.Body)
		}
	}()
	for i := range n {
		c, reads := to(i)
		if err := r.cloneTo(c, how.forProxy(reads), open); err != nil {
			return err
		}
		made++
	}
	made = 0
	return nil
}

// cloneValues copies a header or query map and its values. The values of all keys share one
// allocation. The copy is never nil.
func cloneValues[M ~map[string][]string](m M) M {
	c := make(M, len(m))
	n := 0
	for _, vs := range m {
		n += len(vs)
	}
	all := make([]string, 0, n)
	for k, vs := range m {
		if vs == nil {
			c[k] = nil // to net/http a nil value means "leave it out"
			continue
		}
		from := len(all)
		all = append(all, vs...)
		c[k] = all[from:len(all):len(all)]
	}
	return c
}

// SetBody gives the request a body in memory, which can be replayed, and sets its content type. An
// empty contentType leaves the request without one. SetBody keeps b: the caller must not change it
// afterwards.
//
// SetBody removes what described the old body: Content-Type, Content-Encoding and similar headers,
// and the trailers.
func (r *Request) SetBody(contentType string, b []byte) {
	for _, name := range field.Describing {
		delete(r.Header, name)
		delete(r.Upstream, name)
	}
	if contentType != "" {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("Content-Type", contentType)
	}
	r.GetBody = func() (io.ReadCloser, error) { return call.InMemory(b), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(b))
	r.Trailer = nil
	r.parsed = new(parsedBody)
}

// Document returns the body as a JSON document. The body is parsed once for the request and all its
// clones, until SetBody replaces it. If there is no body, or an empty one, the document is absent.
//
// Document reads the body through GetBody, so Body can still be read afterwards. A body that cannot
// be replayed is refused with [ErrBodyNotReplayable]. A body that is not JSON is an [*Error] of
// status 400.
func (r *Request) Document() (document.Document, error) {
	return r.DocumentContext(context.Background())
}

// DocumentContext is Document until ctx ends. The [*Error] then wraps the error of ctx, and the
// body is parsed anew by whoever asks next. It does not end a GetBody that blocks; see [Hold].
func (r *Request) DocumentContext(ctx context.Context) (document.Document, error) {
	if !r.hasBody() && r.GetBody == nil {
		return document.Document{}, nil
	}
	if r.GetBody == nil {
		return document.Document{}, &Error{Op: "document", Err: ErrBodyNotReplayable}
	}
	if r.parsed == nil {
		r.parsed = new(parsedBody)
	}
	return r.parsed.document(ctx, r.GetBody)
}

// A parsedBody is parsed by the first caller that asks for it.
type parsedBody struct {
	mu   sync.Mutex // guards what follows
	done bool
	doc  document.Document
	err  error
}

func (p *parsedBody) document(ctx context.Context, getBody func() (io.ReadCloser, error)) (document.Document, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return p.doc, p.err
	}
	p.done = true
	p.err = &Error{Op: "document", Err: errors.New("reading the body ended in a panic")} // stays if parseBody panics
	p.doc, p.err = parseBody(ctx, getBody)
	p.done = p.err == nil || ctx.Err() == nil // another caller may have more time
	return p.doc, p.err
}

func parseBody(ctx context.Context, getBody func() (io.ReadCloser, error)) (document.Document, error) {
	body, err := getBody()
	if err == nil && body == nil {
		err = errNoBody
	}
	if err != nil {
		return document.Document{}, &Error{Op: "document", Err: err}
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil || len(b) == 0 {
		return document.Document{}, wrapError("document", 0, err)
	}
	doc, err := document.Work{Context: ctx}.Parse(b)
	return doc, workError("document", http.StatusBadRequest, err)
}
