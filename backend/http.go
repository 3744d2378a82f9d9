package backend

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// HTTP is the [Factory] for upstreams that speak HTTP.
//
// The proxies it makes call the transport directly: nothing follows redirects, keeps cookies or adds a header. They are
// safe for concurrent use, honour their context, and close or drain every body; see the package documentation for what
// goes out and comes back. The Header of a response is never nil. Their plan is a leaf of kind "backend" with the name of
// the Spec, method and URL, and the params that the URL needs.
type HTTP struct {
	// Transport sends the requests. nil makes one with [NewTransport] for each call of New; its idle connections close
	// after 90 s. Upstreams share the connections, and the limits, of a transport that is given here, and who made it
	// closes its idle connections in the end.
	//
	// It may be anything that keeps the contract of http.RoundTripper. What is not made by NewTransport is code that may
	// ignore its context: a plan shows it as opaque, and a deadline holds against it too, at the price of a goroutine (see
	// proxy.Hold). A round tripper that never does may say so with a method HonoursContext() bool; then there is no
	// goroutine. What RegisterProtocol puts into a transport for http or https is taken to honour its context, too.
	Transport http.RoundTripper
}

// New returns a proxy that calls the upstream of s. The error joins all that is wrong with s, each line with its name.
func (h HTTP) New(s Spec) (proxy.Proxy, error) {
	l, err := newLeaf(s)
	if err != nil {
		return nil, err
	}
	l.transport = h.Transport
	if h.Transport == nil {
		l.transport = NewTransport()
	}
	honoursContext := transportHonoursContext(l.transport)
	if isTransport(l.transport) {
		honoursContext, l.trace = true, settled
	}
	if honoursContext {
		l.held = proxy.Hold(0)(l.call)
	}
	return pipe.Describe(l.serve, l.step(honoursContext)), nil
}

// A leaf calls one upstream. Everything in it was made at wiring and is only read.
type leaf struct {
	spec      Spec
	transport http.RoundTripper
	trace     *httptrace.ClientTrace // nil unless the transport is ours
	held      proxy.Proxy            // for request bodies that a honoursContext transport may wait for; else nil

	url     *Template
	query   queryRule
	headers HeaderRule
	expose  []string
	auth    string // the Authorization of URL's user
	decode  Decoder
	stream  bool

	maxBytes, maxErrorBytes int64

	gunzippers sync.Pool // of *gunzipper
}

func newLeaf(s Spec) (*leaf, error) {
	if s.Decode == nil {
		s.Decode = JSON
	}
	errs := s.check()
	note := func(field string, faults ...error) {
		for _, err := range faults {
			if err != nil {
				errs = append(errs, s.fault("%s: %w", field, err))
			}
		}
	}
	var faults []error
	s.Given, s.Statuses, s.MapStatus = slices.Clone(s.Given), slices.Clone(s.Statuses), maps.Clone(s.MapStatus)
	l := &leaf{spec: s, decode: s.Decode, stream: s.streams()}
	l.maxBytes = limit(s.MaxBytes, DefaultMaxBytes)
	l.maxErrorBytes = min(limit(s.MaxErrorBytes, DefaultMaxErrorBytes), l.maxBytes)
	url, err := parseURL(s.URL, "http", "https")
	note("url", err)
	if url == nil {
		url = &Template{}
	}
	l.url = url
	for _, name := range s.Given {
		if err == nil && !slices.Contains(url.needs, name) {
			note("given", fmt.Errorf("the URL has no placeholder {%s}", name))
		}
	}
	l.query, faults = newQueryRule(s.Query, url.fixed)
	note("query", faults...)
	l.headers, faults = newHeaderRule(s.Headers, l.stream)
	note("headers", faults...)
	l.expose, faults = parseExpose(s.Expose)
	note("expose", faults...)
	if url.user != nil {
		password, _ := url.user.Password()
		l.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(url.user.Username()+":"+password))
	}
	note("decode", faultsOf(s.Decode)...)
	return l, errors.Join(errs...)
}

// step describes the leaf in a plan.
func (l *leaf) step(honoursContext bool) pipe.Step {
	s := pipe.Step{Mark: mark.Ours(), Kind: "backend", Name: l.spec.Name, Source: pipe.Here(), Acts: pipe.Both, Effects: pipe.Terminal}
	s.Detail = l.url.shown
	switch l.spec.Method {
	case "":
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		s.Effects |= pipe.Idempotent // RFC 9110, section 9.2.2
	default:
		s.Effects |= pipe.NotIdempotent
	}
	if l.spec.Method != "" {
		s.Detail = l.spec.Method + " " + s.Detail
	}
	for _, name := range l.url.needs {
		if !slices.Contains(l.spec.Given, name) {
			s.Needs = append(s.Needs, name)
		}
	}
	if l.stream {
		s.Effects |= pipe.Streams
		s.Detail += ", " + l.decode.String()
	} else {
		s.Effects |= pipe.Buffers
		if l.decode != JSON {
			s.Detail += ", " + l.decode.String()
		}
	}
	// A round tripper that says it honours its context is taken for one of ours. It stands behind the leaf, so all it
	// sees of a call is the request that the leaf made of what may go out, and what it answers is filtered like the
	// answer of any upstream: nothing that call.Scope.Serve promises is about it.
	if honoursContext && isOurs(l.decode) {
		s.Effects |= pipe.HonoursContext
	} else {
		s.Effects |= pipe.Opaque
	}
	return s
}

// serve answers one request. A transport of ours returns when its context is done, unless it is reading a body that
// does not come: then the deadline is held for it.
func (l *leaf) serve(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if l.held != nil && req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return l.held(ctx, req)
	}
	return l.call(ctx, req)
}

func (l *leaf) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.failed(ctx, "send", err)
	}
	c := l.newExchange()
	if err := c.prepare(ctx, req); err != nil {
		return nil, err
	}
	resp, err := c.send(ctx)
	if err != nil {
		c.end()
		return nil, err
	}
	if l.stream {
		return c.streamed(ctx, req, resp)
	}
	defer c.end()
	return c.decoded(ctx, req, resp)
}

// An exchange is one call of the upstream.
type exchange struct {
	*leaf
	out    http.Request
	url    url.URL
	body   *upload     // nil without one
	asked  string      // the protocol the upstream was asked to change to, or ""
	answer *streamBody // nil unless the answer is a stream
	values []string    // room for those of the header
}

// newCall makes a call in one allocation, with that of the answer's body where it is a stream.
func (l *leaf) newExchange() *exchange {
	if l.stream {
		b := &streamBody{exchange: exchange{leaf: l}}
		b.answer = b
		return &b.exchange
	}
	d := &struct {
		exchange
		room [8]string
	}{exchange: exchange{leaf: l}}
	d.values = d.room[:0]
	return &d.exchange
}

// prepare makes the request that the upstream gets.
func (c *exchange) prepare(ctx context.Context, req *proxy.Request) error {
	l := c.leaf
	if err := l.url.resolve(&c.url, &req.Params, req.Path); err != nil {
		return &proxy.Error{Status: http.StatusBadGateway, Backend: l.spec.Name, Op: "resolve", Err: err}
	}
	var room [512]byte
	query := l.url.appendQuery(room[:0], &req.Params)
	query = l.query.append(query, req)
	c.url.RawQuery = string(query)

	// WithContext is the only way to give a request its context; the copy saves what it allocates.
	c.out = *(&http.Request{URL: &c.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(c.traced(ctx, req))
	out := &c.out
	if out.Method = l.method(req); out.Method == http.MethodConnect {
		return &proxy.Error{Status: http.StatusNotImplemented, Backend: l.spec.Name, Op: "send", Err: errConnect}
	}
	out.Host = l.host(req)
	c.attach(out, req)
	if err := c.header(out, req, call.Described(ctx)); err != nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Backend: l.spec.Name, Op: "send", Err: err}
	}
	return nil
}

// traced returns the context in which the transport tells of informational answers and of its connections.
func (c *exchange) traced(ctx context.Context, req *proxy.Request) context.Context {
	switch {
	case c.stream && req.Inform != nil:
		hints := &c.answer.hints
		hints.inform, hints.trace.Got1xxResponse = req.Inform, hints.got
		if c.trace != nil {
			hints.trace.GotConn = c.trace.GotConn
		}
		return httptrace.WithClientTrace(ctx, &hints.trace)
	case c.trace != nil:
		return httptrace.WithClientTrace(ctx, c.trace)
	}
	return ctx
}

var errConnect = errors.New("CONNECT makes a tunnel, which is not served")

func (l *leaf) method(req *proxy.Request) string {
	switch {
	case l.spec.Method != "":
		return l.spec.Method
	case req.Method == "", req.Method == http.MethodHead && !l.stream:
		return http.MethodGet
	}
	return req.Method
}

func (l *leaf) host(req *proxy.Request) string {
	if values := req.Upstream["Host"]; len(values) > 0 {
		return values[0]
	}
	return l.spec.Host // "" is that of the URL
}

// attach gives the outgoing request the body, if there is one and the method takes one. In a stream every method does
// that the client may send one with; of a decoded upstream, which may be asked in another way than we were, only one
// for which content means something (RFC 9110, section 9.3).
func (c *exchange) attach(out *http.Request, req *proxy.Request) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	switch out.Method {
	case http.MethodTrace:
		return
	case http.MethodGet, http.MethodHead:
		if !c.stream || c.spec.Method != "" {
			return
		}
	}
	c.body = &upload{}
	first := &uploadBody{upload: c.body, rc: req.Body}
	out.Body, out.ContentLength = first, req.ContentLength
	if req.GetBody != nil {
		out.GetBody = c.body.again(req.GetBody)
	}
	if c.stream && req.Trailer != nil && out.ContentLength < 0 { // only chunks have trailers
		first.announce(out, req, &c.headers)
	}
}

// header makes the header of the outgoing request. Where the request is ours alone and all of its headers go on, they
// need not be copied.
func (c *exchange) header(out *http.Request, req *proxy.Request, ours bool) error {
	var b headerBuilder
	trailers := c.stream && field.HasToken(req.Header["Te"], "trailers")
	var ofBody [2][]string
	if out.Body != nil {
		ofBody = [...][]string{req.Header["Content-Type"], req.Header["Content-Encoding"]}
	}
	if ours && c.headers.all && c.auth == "" { // a password stays here
		b.h = c.headers.strip(req.Header)
	} else {
		b = headerBuilder{h: make(http.Header, max(c.headers.most(req), 8)), values: c.values} // a small map has room for eight
		c.headers.client(&b, req.Header)
	}
	if out.Body != nil {
		for i, name := range [...]string{"Content-Type", "Content-Encoding"} {
			if len(ofBody[i]) > 0 {
				b.copy(name, ofBody[i])
			}
		}
	} else {
		delete(b.h, "Expect")
	}
	if !c.stream {
		b.set("Accept-Encoding", "gzip")
	}
	if c.auth != "" {
		b.set("Authorization", c.auth)
	}
	if err := b.code(req.Upstream); err != nil {
		return err
	}
	if c.stream {
		if trailers {
			b.set("Te", "trailers")
		}
		if isProtocol(req.Upgrade) && !field.EqualToken(req.Upgrade, "h2c") { // h2c would tunnel requests past us
			c.asked = req.Upgrade
			b.set("Connection", "Upgrade")
			b.set("Upgrade", req.Upgrade)
		}
	}
	if _, there := b.h["User-Agent"]; !there {
		b.h["User-Agent"] = nil // or the transport makes one up
	}
	out.Header = b.h
	return nil
}

// send sends the request and returns the beginning of the answer.
func (c *exchange) send(ctx context.Context) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(&c.out)
	if c.answer != nil {
		c.answer.hints.end()
	}
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			call.Discard(ctx, resp.Body)
		}
		if cause := c.body.failure(); cause != nil {
			return nil, c.failed(ctx, "send", cause) // the client's fault, not the upstream's
		}
		return nil, c.failed(ctx, phase(err), err)
	case resp == nil:
		return nil, c.failed(ctx, "send", errNothing)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, nil
}

var errNothing = errors.New("the transport returned neither a response nor an error")

// end keeps the transport from reading the request's body any further.
func (c *exchange) end() {
	if c.body != nil {
		c.body.ended.Store(true)
	}
}

// decoded reads the answer into a document.
func (c *exchange) decoded(ctx context.Context, req *proxy.Request, resp *http.Response) (*proxy.Response, error) {
	defer func() { call.Discard(ctx, resp.Body) }() // perhaps another body than the one that came
	if !c.spec.succeeds(resp.StatusCode) {
		return nil, c.refused(ctx, req, resp)
	}
	res := &proxy.Response{Status: resp.StatusCode}
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusResetContent {
		hurry(ctx, resp, discard)
	} else {
		body, op, err := c.read(resp)
		if err != nil {
			return nil, c.failed(ctx, op, err)
		}
		if len(body) > 0 {
			res.Document, err = c.decode.Decode(resp.Header.Get("Content-Type"), body)
			if err != nil {
				return nil, &proxy.Error{Status: http.StatusBadGateway, Backend: c.spec.Name, Op: "decode", Err: foreign(err)}
			}
		}
	}
	if len(c.expose) > 0 {
		res.Header = exposed(c.expose, endToEnd(resp.Header))
	}
	if res.Header == nil && !call.Described(ctx) { // else nobody sets one
		res.Header = http.Header{}
	}
	return res, nil
}

// read returns the whole body, decompressed, and where it fails the phase.
func (c *exchange) read(resp *http.Response) (body []byte, op string, err error) {
	switch coding := resp.Header["Content-Encoding"]; {
	case len(coding) == 0 || len(coding) == 1 && (coding[0] == "" || strings.EqualFold(coding[0], "identity")):
		body, err = readBody(resp.Body, resp.ContentLength, c.maxBytes)
		return body, "read", err
	case isGzip(coding):
		return c.gunzip(resp.Body, c.maxBytes)
	default:
		return nil, "decode", fmt.Errorf("content coding %s", strings.Join(coding, ", "))
	}
}

// refused makes the error of an answer that is not a success. It leaves the connection usable.
func (c *exchange) refused(ctx context.Context, req *proxy.Request, resp *http.Response) error {
	kept := resp.StatusCode >= 200 // a 101 has no body but the connection
	answer := &proxy.UpstreamAnswer{Status: resp.StatusCode}
	if kept {
		answer.Body = c.keep(ctx, resp)
	}
	e := &proxy.Error{Status: c.failureStatus(req, resp.StatusCode), Backend: c.spec.Name, Op: "status", Upstream: answer}
	answer.Header = endToEnd(resp.Header)
	names := make([]string, 0, 2)
	if resp.StatusCode >= 400 && e.Status != http.StatusBadGateway {
		names = append(names, "Retry-After")
	}
	if e.Status == http.StatusUnauthorized {
		names = append(names, "Www-Authenticate")
	}
	e.Header = exposed(names, answer.Header)
	return e
}

// failureStatus returns what the client sees of an upstream's failure.
func (c *exchange) failureStatus(req *proxy.Request, status int) int {
	if to, ok := c.spec.MapStatus[status]; ok {
		return to
	}
	switch {
	case status == http.StatusUnauthorized && !c.clientCredentials(req), status == http.StatusProxyAuthRequired:
		return http.StatusBadGateway // it is us who failed to authenticate
	case status >= 400 && status <= 499, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return status
	}
	return http.StatusBadGateway
}

// keep reads the beginning of a failure's body for the error, and so much more that the connection can be used again, as
// far as it comes in time.
func (c *exchange) keep(ctx context.Context, resp *http.Response) (kept []byte) {
	hurry(ctx, resp, func(body io.Reader) {
		if isGzip(resp.Header["Content-Encoding"]) {
			kept = c.gunzipSome(body, c.maxErrorBytes)
			delete(resp.Header, "Content-Encoding") // of bytes that nobody gets
			delete(resp.Header, "Content-Length")
		} else {
			kept, _ = io.ReadAll(io.LimitReader(body, c.maxErrorBytes))
		}
		discard(body)
	})
	return kept
}

// clientCredentials reports whether the upstream got what the client authenticates itself with.
func (c *exchange) clientCredentials(req *proxy.Request) bool {
	for _, name := range [...]string{"Authorization", "Cookie"} {
		replaced := hasName(req.Upstream, name) || name == "Authorization" && c.auth != ""
		if !replaced && len(req.Header[name]) > 0 && c.headers.lets(name, name) {
			return true
		}
	}
	return false
}
