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
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// HTTP is the [Factory] for upstreams that speak HTTP.
//
// The proxies that it makes call the transport directly, without an http.Client: no redirect is
// followed, no cookie kept and no header added on the way. They are safe for concurrent use, honour
// their context, and close or drain every body. The package documentation lists what they send and
// what they return. The Header of a response is never nil. In a plan each is a leaf of kind
// "backend" with the name of the Spec, the method and the URL. It needs those params of the URL
// that Spec.Given does not name.
type HTTP struct {
	// Transport sends the requests. If it is nil, each call of New makes a transport with
	// [NewDefaultTransport], whose idle connections close after 90 s. Upstreams that are given the
	// same transport share its connections and its limits; the caller that made the transport closes
	// its idle connections.
	//
	// The plan says ", by net/http" beside the URL if the Transport is an *http.Transport, and
	// ", HTTP/2 by net/http" if one gets the requests to a host that negotiates HTTP/2. It says
	// neither of an [h1.Transport] alone, of a pool, or of a round tripper of yours.
	//
	// Transport may be anything that keeps the contract of http.RoundTripper. A transport may ignore
	// its context, unless NewTransport made it and it has no DialContext or Proxy of yours, or it is an
	// [h1.Transport] without a Dial of yours, whose Fallback, if it has one, is such a transport. A plan
	// therefore shows the leaf as opaque, and the deadline still holds, at the cost of a goroutine (see
	// proxy.Hold). Nor is memory lent (see [pipe.Step.Lends]).
	//
	// A round tripper that always honours its context may say so with a method HonoursContext() bool
	// that returns true. The plan then shows the leaf like one of ours, and it costs no goroutine. Its
	// answers are read into memory of their own all the same. If transports that NewTransport made
	// are inside it, their guard against surplus bytes works there too. A round tripper that
	// RegisterProtocol puts into a transport for http or https is taken to honour its context too.
	//
	// A Transport with a method Plan() pipe.Step, such as a pool of hosts, shows as that step inside
	// the leaf. New calls Plan once. A panic in it, and a fault in the step, are faults of the leaf.
	Transport http.RoundTripper

	// Sign is called with each request as it is about to be sent, for every try, after everything
	// else has been set: the URL, the header, and what GetBody returns of the body are those that
	// the upstream gets. It may add to the header, which is the request's own, and must not read
	// Body. GetBody is nil if there is no body, or if the body can be read only once.
	//
	// If it returns an error, nothing is sent, and the call fails with it: with status 500, unless
	// it is or wraps a [*proxy.Error]. It is called concurrently. The plan says that the upstream's
	// requests are signed, and shows the leaf as opaque, because Sign is code of yours. nil signs
	// nothing.
	Sign func(ctx context.Context, req *http.Request) error
}

// New returns a proxy that calls the upstream of s. The error joins all faults of s and of the plan of
// the Transport, one per line, each with the name of the backend.
func (h HTTP) New(s Spec) (proxy.Proxy, error) {
	l, fault := newLeaf(s)
	l.transport, l.sign = h.Transport, h.Sign
	if h.Transport == nil {
		l.transport = newDefault()
	}
	honoursContext, err := transportHonoursContext(l.transport)
	if err != nil {
		fault = errors.Join(fault, s.fault("transport: %w", err))
	}
	l.trusted = mark.On(l.transport)
	if isTransport(l.transport) {
		honoursContext, l.trusted = true, true
	}
	inner, faults := planOfTransport(l.transport, honoursContext)
	for _, err := range faults {
		fault = errors.Join(fault, s.fault("transport: %w", err))
	}
	if fault != nil {
		return nil, fault
	}
	step := l.step(honoursContext)
	step.Detail += shownTransport(h.Transport, l.url)
	if inner != nil {
		step.Steps = []*pipe.Step{inner}
	}
	if honoursContext {
		l.held = proxy.Hold(0)(l.call)
	}
	if honoursContext && mayUseNetHTTP(l.transport, l.url) {
		l.trace, l.traceCtx = settled, traceIn(settled)
	}
	if l.trusted && l.sign == nil { // Sign may look at the context of its request
		l.direct, _ = l.transport.(direct)
	}
	return pipe.Describe(l.serve, step), nil
}

// A leaf calls one upstream. All of it is made at wiring and only read afterwards.
type leaf struct {
	spec      Spec
	transport http.RoundTripper
	direct    direct // the transport, if it takes a context beside the request
	trusted   bool   // the transport is that of net/http, or sluice's: it changes no header
	sign      func(context.Context, *http.Request) error
	trace     *httptrace.ClientTrace // nil unless net/http's transport may be used, and honours its context
	traceCtx  context.Context        // knows the trace
	held      proxy.Proxy            // call under proxy.Hold, see serve; nil if the transport is opaque
	bound     *call.Bound            // of reads of request bodies that outlive their call

	url     *Template
	query   queryRule
	headers HeaderRule
	expose  []string
	auth    string // the Authorization header for the user in the URL
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
	l := &leaf{spec: s, decode: s.Decode, stream: s.streams(), bound: call.NewBound(0)}
	l.maxBytes = limit(s.MaxBytes, DefaultMaxBytes)
	l.maxErrorBytes = min(limit(s.MaxErrorBytes, DefaultMaxErrorBytes), l.maxBytes)
	url, err := parseURL(s.URL, "http", "https")
	note("url", err)
	if url == nil {
		url = &Template{}
	}
	url.semicolons = s.Semicolons
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
	s := pipe.Step{Mark: mark.Borrows(), Kind: "backend", Name: l.spec.Name, Source: pipe.Here(), Acts: pipe.Both, Effects: pipe.Terminal}
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
	s.Takes = l.headers.Takes()
	if l.stream {
		s.Takes = append(s.Takes, "Te")
		s.Effects |= pipe.Streams
		s.Detail += ", " + l.decode.String()
	} else {
		s.Effects |= pipe.Buffers
		if l.decode != JSON {
			s.Detail += ", " + l.decode.String()
		}
	}
	if l.spec.Statuses != nil {
		s.Detail += fmt.Sprintf(", statuses %d", l.spec.Statuses)
	}
	for _, from := range sortedKeys(l.spec.MapStatus) {
		s.Detail += fmt.Sprintf(", %d → %d", from, l.spec.MapStatus[from])
	}
	if l.spec.PassErrors {
		s.Detail += ", passes 4xx"
	}
	if l.sign != nil {
		s.Detail += ", signed"
	}
	if l.sign != nil || l.auth != "" {
		s.Effects |= pipe.Credentials
	}
	// A round tripper that says it honours its context is treated like a transport of net/http. It
	// runs behind the leaf: it sees only a header that the leaf made for it, and its answer is
	// filtered like that of any upstream; see described. So the promises of call.Scope.Serve do not
	// concern it.
	if honoursContext && isOurs(l.decode) && l.sign == nil {
		s.Effects |= pipe.HonoursContext
	} else {
		s.Effects |= pipe.Opaque
	}
	return s
}

// serve answers one request. A transport that honours its context returns when the context is done,
// except while it reads a request body that does not arrive. For such a body proxy.Hold enforces
// the deadline.
func (l *leaf) serve(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	call := l.call
	if l.held != nil && req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		call = l.held
	}
	res, err := call(ctx, req)
	if l.stream && err == nil && res.Body != nil {
		watch.Note(ctx, "stream", "")
	}
	return res, err
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

// described reports whether no user's function sees the request and the answer; see
// [call.Described]. A plan does not show a user's round tripper that honours its context.
func (l *leaf) described(ctx context.Context) bool { return l.trusted && call.Described(ctx) }

// An exchange is one call of the upstream.
type exchange struct {
	leaf   *leaf
	within context.Context // the context that the transport is given
	ctx    traced          // what that is, if the call is traced by the leaf alone
	out    http.Request
	url    url.URL
	body   *upload     // nil without one
	asked  string      // the protocol that the upstream was asked to switch to, or ""
	answer *streamBody // nil unless the answer is a stream
	values []string    // room for the values of the outgoing header

	connected atomic.Bool // there was a connection for a request that net/http may send again
}

// newExchange makes an exchange in one allocation, which includes the body of the answer if that is
// a stream.
func (l *leaf) newExchange() *exchange {
	if l.stream {
		b := &streamBody{exchange: exchange{leaf: l}}
		b.exchange.answer = b
		return &b.exchange
	}
	d := &struct {
		exchange exchange
		room     [8]string
	}{exchange: exchange{leaf: l}}
	d.exchange.values = d.room[:0]
	return &d.exchange
}

// prepare makes the request for the upstream.
func (c *exchange) prepare(ctx context.Context, req *proxy.Request) error {
	l := c.leaf
	if err := l.url.resolve(&c.url, &req.Params, req.Path); err != nil {
		return &proxy.Error{Status: http.StatusBadGateway, Backend: l.spec.Name, Op: "resolve", Err: err}
	}
	var room [512]byte
	query := l.url.appendQuery(room[:0], &req.Params)
	query, err := l.query.append(query, req)
	if err != nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Backend: l.spec.Name, Op: "resolve", Err: err}
	}
	c.url.RawQuery = string(query)

	c.within = c.traced(ctx, req)
	c.out = http.Request{URL: &c.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if l.direct == nil {
		// Only WithContext can give a request its context. The copy into c.out saves the allocation
		// of its result.
		c.out = *c.out.WithContext(c.within)
	}
	out := &c.out
	if out.Method = l.method(req); out.Method == http.MethodConnect {
		return &proxy.Error{Status: http.StatusNotImplemented, Backend: l.spec.Name, Op: "send", Err: errConnect}
	}
	out.Host = l.host(req)
	if err := c.attach(ctx, out, req); err != nil {
		return l.failed(ctx, "send", err)
	}
	if err := c.header(out, req, l.described(ctx)); err != nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Backend: l.spec.Name, Op: "send", Err: err}
	}
	return nil
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
	return l.spec.Host // "" means the host of the URL
}

// attach gives the outgoing request the body, if there is one and the method takes one. In a
// stream, every method takes a body that a client may send with it. A decoded upstream may be
// called with another method than the gateway was, so there only methods for which content has a
// meaning take one (RFC 9110, section 9.3).
func (c *exchange) attach(ctx context.Context, out *http.Request, req *proxy.Request) error {
	l := c.leaf
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	switch out.Method {
	case http.MethodTrace:
		return nil
	case http.MethodGet, http.MethodHead:
		if !l.stream || l.spec.Method != "" {
			return nil
		}
	}
	c.body = &upload{ctx: ctx, bound: l.bound}
	first := &uploadBody{upload: c.body, rc: call.NewBody(ctx, l.bound, req.Body)}
	out.Body, out.ContentLength = first, req.ContentLength
	if req.GetBody != nil {
		out.GetBody = c.body.again(req.GetBody)
	}
	if l.stream && req.Trailer != nil && out.ContentLength < 0 { // only a chunked body has trailers
		return first.announce(out, req, &l.headers)
	}
	return nil
}

// header makes the header of the outgoing request. If the request is ours alone and the rule lets
// all headers go on, header takes over the request's own map instead of copying it.
func (c *exchange) header(out *http.Request, req *proxy.Request, ours bool) error {
	l := c.leaf
	var b headerBuilder
	trailers := l.stream && field.HasToken(req.Header["Te"], "trailers")
	var ofBody [2][]string
	if out.Body != nil || l.stream && l.headers.all && (req.Body == nil || req.Body == http.NoBody) {
		ofBody = [...][]string{req.Header["Content-Type"], req.Header["Content-Encoding"]}
	}
	if ours && l.headers.all && l.auth == "" && l.sign == nil { // a password or signature must not get into the request
		b.h = l.headers.strip(req.Header)
	} else {
		b = headerBuilder{h: make(http.Header, max(l.headers.most(req), 8)), values: c.values} // eight fit a small map
		l.headers.client(&b, req.Header)
	}
	for i, name := range [...]string{"Content-Type", "Content-Encoding"} {
		if len(ofBody[i]) > 0 && (out.Body != nil || i == 0 && !slices.Contains(l.headers.back, name)) {
			b.copy(name, ofBody[i])
		}
	}
	if out.Body != nil {
		// The transport sends the body even if the upstream refuses it, so that it can keep the
		// connection, unless that is to close: then nobody pulls a body that the client waits to be
		// asked for.
		out.Close = req.GetBody == nil && field.HasToken(b.h["Expect"], "100-continue")
	} else {
		delete(b.h, "Expect")
	}
	if !l.stream {
		b.set("Accept-Encoding", "gzip")
	}
	if l.auth != "" {
		b.set("Authorization", l.auth)
	}
	if err := b.code(req.Upstream); err != nil {
		return err
	}
	if l.stream {
		if trailers {
			b.set("Te", "trailers")
		}
		if isProtocol(req.Upgrade) && !field.EqualToken(req.Upgrade, "h2c") { // h2c bypasses the gateway
			c.asked = req.Upgrade
			b.set("Connection", "Upgrade")
			b.set("Upgrade", req.Upgrade)
		}
	}
	if _, there := b.h["User-Agent"]; !there {
		b.h["User-Agent"] = nil // else the transport makes one up
	}
	out.Header = b.h
	return nil
}

// send sends the request and returns the beginning of the answer.
func (c *exchange) send(ctx context.Context) (*http.Response, error) {
	if err := c.signed(ctx); err != nil {
		return nil, err
	}
	resp, err := c.roundTrip()
	cause := c.body.failure() // of code before us, not of the upstream
	if c.answer != nil {
		cause = errors.Join(cause, c.answer.hints.end())
	}
	switch {
	case err != nil:
		if resp != nil && resp.Body != nil {
			c.leaf.discard(ctx, resp.Body)
		}
		if cause != nil {
			return nil, c.leaf.failed(ctx, "send", cause)
		}
		op := phase(err)
		if c.connected.Load() {
			op = "send" // the one that could not be dialled was for the second time
		}
		return nil, c.leaf.failed(ctx, op, err)
	case resp == nil:
		return nil, c.leaf.failed(ctx, "send", errNothing)
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, nil
}

func (c *exchange) roundTrip() (*http.Response, error) {
	if c.leaf.direct != nil {
		return c.leaf.direct.RoundTripContext(c.within, &c.out)
	}
	return c.leaf.transport.RoundTrip(&c.out)
}

// signed has the request signed.
func (c *exchange) signed(ctx context.Context) error {
	if c.leaf.sign == nil {
		return nil
	}
	err := c.leaf.sign(ctx, &c.out)
	if err == nil {
		return nil
	}
	err = c.leaf.failed(ctx, "sign", err)
	if _, ok := errors.AsType[*proxy.Error](errors.Unwrap(err)); !ok && ctx.Err() == nil {
		err.(*proxy.Error).Status = http.StatusInternalServerError //nolint:errorlint // failed returns one
	}
	return err
}

var errNothing = errors.New("the transport returned neither a response nor an error")

// discard closes the body of an answer that is not read on. That of a transport of net/http needs no
// goroutine of its own.
func (l *leaf) discard(ctx context.Context, body io.ReadCloser) {
	if l.trusted {
		call.ReportPanic(ctx, call.Close(body))
		return
	}
	call.Discard(ctx, body)
}

// end stops the transport from reading the request body any further.
func (c *exchange) end() {
	if c.body != nil {
		c.body.ended.Store(true)
	}
}

// decoded reads the answer into a document.
func (c *exchange) decoded(ctx context.Context, req *proxy.Request, resp *http.Response) (*proxy.Response, error) {
	l := c.leaf
	defer func() { l.discard(ctx, resp.Body) }() // by then hurry may have replaced it
	unchanged := resp.StatusCode == http.StatusNotModified && c.conditional()
	if !unchanged && !l.spec.succeeds(resp.StatusCode) {
		return nil, c.refused(ctx, req, resp)
	}
	res := &proxy.Response{Status: resp.StatusCode}
	if unchanged || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusResetContent {
		hurry(ctx, resp, discard)
	} else {
		var err error
		arena := l.arena(ctx)
		arena.Begin()
		res.Document, err = c.document(ctx, resp, arena)
		arena.Done() // not deferred: after a panic, nobody knows
		if err != nil {
			return nil, err
		}
	}
	res.Origin = l.origin(resp.Header)
	if len(l.expose) > 0 {
		res.Header = exposed(l.expose, res.Origin)
	}
	if res.Header == nil && !call.Described(ctx) { // else nobody adds a header
		res.Header = http.Header{}
	}
	return res, nil
}

// arena returns the arena that lends the memory for the answer, or nil. A watcher may keep what it
// sees, and a plan does not show it.
func (l *leaf) arena(ctx context.Context) *lend.Arena {
	if !l.trusted || watch.Of(ctx) != nil {
		return nil
	}
	return lend.Of(ctx)
}

// document reads and decodes the body, if there is one. The document may hold memory of the arena.
func (c *exchange) document(ctx context.Context, resp *http.Response, arena *lend.Arena) (document.Document, error) {
	body, op, err := c.read(ctx, resp, arena)
	switch {
	case err != nil:
		return document.Document{}, c.leaf.failed(ctx, op, err)
	case len(body) == 0:
		return document.Document{}, nil
	}
	d, err := decode(ctx, c.leaf.decode, resp.Header.Get("Content-Type"), body)
	switch {
	case err != nil && ctx.Err() != nil:
		err = c.leaf.failed(ctx, "decode", err)
	case err != nil:
		err = &proxy.Error{Status: http.StatusBadGateway, Backend: c.leaf.spec.Name, Op: "decode", Err: foreign(err)}
	}
	return d, err
}

// conditional reports whether the request asked for an answer only if there is a new one (RFC 9110,
// section 15.4.5). Only code can have asked for that: a client's conditions go to no upstream whose
// answer is decoded.
func (c *exchange) conditional() bool {
	if c.out.Method != http.MethodGet && c.out.Method != http.MethodHead {
		return false
	}
	return c.out.Header.Get("If-None-Match") != "" || c.out.Header.Get("If-Modified-Since") != ""
}

// origin returns the header of an answer for code to see. A user's transport may give each call the
// same header, so that has to be copied.
func (l *leaf) origin(h http.Header) http.Header {
	switch {
	case h == nil:
		return http.Header{}
	case !l.trusted:
		h = h.Clone()
	}
	return endToEnd(h)
}

// read returns the whole body, decompressed, in memory of the arena. If it fails, op is the phase that
// failed.
func (c *exchange) read(ctx context.Context, resp *http.Response, arena *lend.Arena) (body []byte, op string, err error) {
	switch coding := resp.Header["Content-Encoding"]; {
	case len(coding) == 0 || len(coding) == 1 && (coding[0] == "" || strings.EqualFold(coding[0], "identity")):
		body, err = readBody(resp.Body, resp.ContentLength, c.leaf.maxBytes, arena)
		return body, "read", err
	case isGzip(coding):
		return c.leaf.gunzip(ctx, resp.Body, c.leaf.maxBytes, arena)
	default:
		return nil, "decode", fmt.Errorf("content coding %s", strings.Join(coding, ", "))
	}
}

// refused makes the error for an answer that is not a success. It leaves the connection usable.
func (c *exchange) refused(ctx context.Context, req *proxy.Request, resp *http.Response) error {
	answer := &proxy.UpstreamAnswer{Status: resp.StatusCode}
	e := &proxy.Error{Status: c.failureStatus(req, resp.StatusCode), Backend: c.leaf.spec.Name, Op: "status", Upstream: answer}
	switch {
	case resp.StatusCode < 200: // the body of a 101 is the connection itself
	case c.leaf.spec.PassErrors && e.Status == resp.StatusCode && e.Status <= 499:
		body, _, err := c.read(ctx, resp, nil) // an error may be kept
		if err != nil {
			return c.leaf.failed(ctx, "read", err)
		}
		if isGzip(resp.Header["Content-Encoding"]) {
			delete(resp.Header, "Content-Encoding") // as in keep
			delete(resp.Header, "Content-Length")
		}
		answer.Body, e.Err = body, mark.Passed{Status: resp.StatusCode}
	default:
		answer.Body = c.keep(ctx, resp)
	}
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

// failureStatus returns the status that the client gets for a failure of the upstream.
func (c *exchange) failureStatus(req *proxy.Request, status int) int {
	if to, ok := c.leaf.spec.MapStatus[status]; ok {
		return to
	}
	switch {
	case status == http.StatusUnauthorized && !c.clientCredentials(req), status == http.StatusProxyAuthRequired:
		return http.StatusBadGateway // the gateway failed to authenticate
	case status >= 400 && status <= 499, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return status
	}
	return http.StatusBadGateway
}

// keep reads the beginning of a failure's body for the error. It then drains the rest, within the
// limits of time and size, so that the connection can be used again.
func (c *exchange) keep(ctx context.Context, resp *http.Response) (kept []byte) {
	hurry(ctx, resp, func(body io.Reader) {
		if isGzip(resp.Header["Content-Encoding"]) {
			kept = c.leaf.gunzipSome(ctx, body, c.leaf.maxErrorBytes)
			delete(resp.Header, "Content-Encoding") // it described the compressed bytes
			delete(resp.Header, "Content-Length")
		} else {
			kept, _ = io.ReadAll(io.LimitReader(body, c.leaf.maxErrorBytes))
		}
		discard(body)
	})
	return kept
}

// clientCredentials reports whether the upstream got credentials of the client.
func (c *exchange) clientCredentials(req *proxy.Request) bool {
	for _, name := range [...]string{"Authorization", "Cookie"} {
		replaced := hasName(req.Upstream, name) || name == "Authorization" && c.leaf.auth != ""
		if !replaced && len(req.Header[name]) > 0 && c.leaf.headers.lets(name, name) {
			return true
		}
	}
	return false
}
