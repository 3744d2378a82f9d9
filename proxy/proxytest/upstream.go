package proxytest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// An Upstream follows its script and keeps what it saw. It is an [http.Handler] and an
// [http.RoundTripper], and [Upstream.Proxy] returns it as a leaf. All of them take their replies
// from the same script.
//
// An Upstream is safe for concurrent use.
type Upstream struct {
	Recorder

	script []Reply

	mu     sync.Mutex // guards what follows
	bodies []*Body
}

// NewUpstream returns an upstream that gives the replies one after another and repeats the last one
// for every further call. Without replies it answers 200 without a body.
func NewUpstream(script ...Reply) *Upstream {
	if len(script) == 0 {
		script = []Reply{{}}
	}
	return &Upstream{script: slices.Clone(script)}
}

// Proxy returns the upstream as a leaf. The plan shows it as "upstream". It declares that it
// honours its context, unless a reply is deaf, panics, exits or returns nothing, as only a user's
// function does. It declares that it streams if every reply is a stream, and that it takes all
// headers of the client, because it keeps what it saw.
//
// The leaf reads the body of a request to its end. Each response has its own Header, which is not
// nil.
func (u *Upstream) Proxy() proxy.Proxy {
	step := pipe.Step{Mark: mark.Borrows(), Kind: "upstream", Source: pipe.Here(), Effects: pipe.Terminal | pipe.HonoursContext | pipe.Streams,
		Takes: []string{"*"}}
	var details []string
	for _, r := range u.script {
		details = append(details, r.String())
		if !r.honours() {
			step.Effects = step.Effects&^pipe.HonoursContext | pipe.Opaque
		}
		if !r.stream {
			step.Effects &^= pipe.Streams
		}
	}
	step.Detail = strings.Join(details, "; ")
	return pipe.Describe(u.leaf, step)
}

// Bodies returns the bodies of all answers that were streams or that RoundTrip returned, in the
// order of the answers.
func (u *Upstream) Bodies() []*Body {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.bodies)
}

// AssertClosedOnce fails the test unless each of [Upstream.Bodies] was closed exactly once.
func (u *Upstream) AssertClosedOnce(t testing.TB) {
	t.Helper()
	for i, b := range u.Bodies() {
		if n := b.Closes(); n != 1 {
			t.Errorf("body %d of the upstream was closed %s, want once", i+1, times(n))
		}
	}
}

// readUntil reads a body, but no longer than ctx.
func readUntil(ctx context.Context, body io.Reader) (string, error) {
	return call.Guard(ctx, nil, nil, func() (string, error) { return readAll(body) })
}

// next records a call and returns the reply to it.
func (u *Upstream) next(c Call) Reply {
	return u.script[min(u.add(c), len(u.script))-1]
}

// stream returns the body of an answer, and keeps it.
func (u *Upstream) stream(ctx context.Context, r Reply) *Body {
	b := r.newBody(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bodies = append(u.bodies, b)
	return b
}

// newBody returns the body of the answer. Reading it fails once ctx is done.
func (r Reply) newBody(ctx context.Context) *Body {
	b := NewBody(r.text())
	b.ctx, b.hangs = ctx, r.stall
	if r.cut {
		b.err = r.cutErr
		if b.err == nil {
			b.err = io.ErrUnexpectedEOF
		}
	}
	return b
}

func (u *Upstream) leaf(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	c := callOf(req)
	c.Body, c.BodyErr = readUntil(ctx, req.Body)
	r := u.next(c)
	for _, i := range r.inform {
		if req.Inform != nil {
			req.Inform(i.status, i.header.Clone())
		}
	}
	if err := r.begin(ctx); err != nil || r.kind == kindNothing {
		return nil, err
	}
	res := &proxy.Response{Status: r.statusCode(), Header: r.header.Clone(), Err: r.missing}
	if res.Header == nil {
		res.Header = http.Header{}
	}
	if !r.stream {
		return r.decoded(ctx, res)
	}
	res.Body = u.stream(ctx, r)
	if r.trailer != nil {
		res.Trailer = r.trailer.Clone
	}
	return res, nil
}

// decoded returns the answer as a backend would decode it.
func (r Reply) decoded(ctx context.Context, res *proxy.Response) (*proxy.Response, error) {
	failed := func(op string, status int, err error) (*proxy.Response, error) {
		return nil, &proxy.Error{Status: status, Backend: "upstream", Op: op, Err: err}
	}
	switch {
	case r.stall:
		<-ctx.Done()
		return failed("read", 0, ctx.Err())
	case r.cut && r.cutErr != nil:
		return failed("read", http.StatusBadGateway, r.cutErr)
	case r.cut:
		return failed("read", http.StatusBadGateway, io.ErrUnexpectedEOF)
	case res.Status >= 400:
		status := res.Status
		if status >= 500 && status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout {
			status = http.StatusBadGateway
		}
		return nil, &proxy.Error{Status: status, Backend: "upstream", Op: "status",
			Upstream: &proxy.UpstreamAnswer{Status: res.Status, Header: res.Header, Body: []byte(r.body)}}
	}
	if res.Origin = r.header.Clone(); res.Origin == nil {
		res.Origin = http.Header{}
	}
	if r.body == "" {
		return res, nil
	}
	var err error
	if res.Document, err = document.Parse([]byte(r.body)); err != nil {
		return failed("decode", http.StatusBadGateway, err)
	}
	return res, nil
}

// ServeHTTP replies over HTTP.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c := callOfHTTP(req)
	c.Body, c.BodyErr = readAll(req.Body)
	u.next(c).write(w, req)
}

// write replies over HTTP.
func (r Reply) write(w http.ResponseWriter, req *http.Request) {
	for _, i := range r.inform {
		fill(w.Header(), i.header)
		w.WriteHeader(i.status)
		clear(w.Header())
	}
	if r.begin(req.Context()) != nil {
		panic(http.ErrAbortHandler)
	}
	if r.kind == kindNothing {
		return
	}
	fill(w.Header(), r.header)
	for name, values := range r.trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
	if r.trailer == nil && hasBody(r.statusCode()) && w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	w.WriteHeader(r.statusCode())
	_, _ = io.WriteString(w, r.text())
	if r.cut || r.stall {
		_ = http.NewResponseController(w).Flush()
	}
	if r.stall {
		<-req.Context().Done()
	}
	if r.cut || r.stall {
		panic(http.ErrAbortHandler)
	}
}

// RoundTrip replies in place of a transport.
func (u *Upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callOfHTTP(req)
	if req.Body != nil {
		c.Body, c.BodyErr = readUntil(req.Context(), req.Body)
		_ = req.Body.Close()
	}
	r := u.next(c)
	ctx := req.Context()
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.Got1xxResponse != nil {
		for _, i := range r.inform {
			if err := trace.Got1xxResponse(i.status, textproto.MIMEHeader(i.header.Clone())); err != nil {
				return nil, err
			}
		}
	}
	if err := r.begin(ctx); err != nil || r.kind == kindNothing {
		return nil, err
	}
	return r.response(req, u.stream(ctx, r)), nil
}

// response returns the answer with a body, as a transport would.
func (r Reply) response(req *http.Request, body *Body) *http.Response {
	status := r.statusCode()
	res := &http.Response{Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Trailer: r.trailer.Clone(),
		ContentLength: int64(len(r.body)), Body: body, Request: req}
	fill(res.Header, r.header)
	if r.trailer != nil {
		res.ContentLength = -1
	}
	return res
}

func hasBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func fill(h, from http.Header) {
	for name, values := range from {
		h[name] = slices.Clone(values)
	}
}
