package proxytest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Options are what the laws need to know to test a decorator, and the ways in which it may differ
// from the strict laws. The zero value means the strict laws.
type Options struct {
	// New makes a new decorator for each law, in the bubble of the law, and is used instead of the
	// given one. Set it for a decorator with state, such as a limit that one law would use up for
	// the next, or with channels or timers. If New is nil, all laws use the given decorator.
	New func() proxy.Decorator

	// Context returns the context that the calls of the laws derive theirs from, with the values
	// that the decorator needs, such as who the caller is. It must not end. nil means
	// context.Background.
	Context func() context.Context

	// Request returns a new request. nil means a GET request with a query, params and headers, and
	// no body.
	Request func() *proxy.Request

	// Response returns the answer of next where a law wants an answer and no stream: a new one for
	// each call, equal to the others. nil means a response with a header and the document
	// {"id":1,"name":"ada"}.
	Response func() *proxy.Response

	// Same reports whether got is what the caller should get when next answered with answered. nil
	// compares status, headers, document and Err. A decorator that changes responses needs its own
	// Same. The bodies of streams must then still be read to their end, but may differ.
	Same func(got, answered *proxy.Response) bool

	// Refused returns a response that the decorator turns into an error, or at which its hook
	// panics. The decorator must close it. nil tests only the responses that every decorator may
	// meet.
	Refused func() *proxy.Response

	// Documents says that the decorator needs documents and refuses a stream with
	// [proxy.ErrStream].
	Documents bool

	// Answers says that the decorator may answer or refuse a call itself, without next, as a limit,
	// a cache or a fallback does.
	Answers bool

	// Recovers says that the decorator promises to turn a panic of next into an error. The panic
	// must then not continue.
	Recovers bool

	// Outlives says that a call of next goes on when its caller leaves, until the deadline of the
	// caller's context. It is for a decorator that keeps the outcome of the call.
	Outlives bool
}

// Conform runs the laws against a decorator, each as a subtest in a bubble of testing/synctest:
// those of package pipetest, and those of requests, responses and their bodies:
//
//   - streams: a stream can be read to its end however long after the call has returned. Closing it
//     releases everything that the call took, including the context of next.
//   - bodies: whatever next answers, its body is handed on, or closed once. The Header of an answer
//     is not nil, not of one without next either, and a partial answer stays partial.
//   - late answers: a response that arrives when nobody waits for it any more is closed.
//   - request bodies: each call of next reads the body from its beginning, and whatever is opened
//     for that is closed. A body that can be read only once is refused with
//     [proxy.ErrBodyNotReplayable] if it would be needed again.
//   - answers: no two answers share a header map or its values, nor does an answer with the
//     request, because each caller may write to its own. A partial answer is never given as
//     complete, not even to a later caller. Whoever gives an answer again declares [pipe.Caches]. A
//     step that declares [pipe.CallsOnce] and has next alone inside hands on the answer of next, or
//     fails.
//
// A decorator that declares [pipe.Borrows] is also tested for that, with the documents of answers; see
// the law of borrowing in package pipetest.
//
// No law judges the key of a cache. All calls of a law have equal requests, so a cache that gives
// one client what was meant for another one passes: which part of a request tells answers apart is
// for a test of its own.
//
// A lock that is held while next runs stops fake time: then the law fails that meets it, after 5 s
// of real time, and the laws after it are not tested.
//
// At most one Options may be given. Do not call Conform in a bubble. Run it with -race.
func Conform(t *testing.T, d proxy.Decorator, o ...Options) {
	t.Helper()
	if len(o) > 1 {
		t.Fatal("proxytest: Conform: there is more than one Options")
	}
	pipetest.Laws(t, subjectOf(d, o...))
}

type (
	subject = pipetest.Subject[*proxy.Request, *proxy.Response]
	law     = pipetest.Law[*proxy.Request, *proxy.Response]
)

func subjectOf(d proxy.Decorator, options ...Options) subject {
	var o Options
	for _, o = range options { // one at most
	}
	r := rules{Options: o}
	if r.Response == nil {
		r.Response = newResponse
	}
	if r.Request == nil {
		r.Request = newRequest
	}
	if r.Context == nil {
		r.Context = context.Background
	}
	s := subject{Decorator: d, Context: r.Context, Request: r.Request, Response: r.Response, Same: sameResponse, Show: show, Snapshot: snapshot, Lent: r.lent,
		Scribble: scribble, Failure: newFailure, Answers: o.Answers, Recovers: o.Recovers, Outlives: o.Outlives, Laws: []law{
			{Name: "streams", Check: r.streams},
			{Name: "bodies", Check: r.bodies},
			{Name: "late answers", Check: r.lateAnswers},
			{Name: "request bodies", Check: r.requestBodies},
			{Name: "answers", Check: r.answers},
		}}
	if o.New != nil {
		s.New = func() proxy.Decorator { return o.New() }
	}
	if o.Same != nil {
		s.Same = o.Same
	}
	return s
}

// lent returns an answer as Response does, with the document in memory of its own.
func (r rules) lent() (*proxy.Response, []byte) {
	res := r.Response()
	d := res.Document
	if d.IsZero() {
		d = user
	}
	memory := d.AppendJSON(make([]byte, 0, d.Size()+32))
	for len(memory) < cap(memory) {
		memory = append(memory, ' ')
	}
	res.Document, _ = document.Parse(memory)
	return res, memory
}

// newFailure returns a failure that may pass, so that a decorator may try again.
func newFailure() error {
	return &proxy.Error{Status: http.StatusServiceUnavailable, Backend: "upstream", Op: "status", Err: errUpstream}
}

var errUpstream = errors.New("the failure of next")

func newRequest() *proxy.Request {
	req := proxy.NewRequest("GET", "/orders/1")
	req.Pattern, req.Host, req.Scheme = "/orders/{id}", "api.test", "http"
	req.Query, req.RawQuery = url.Values{"page": {"2"}, "sort": {"date", "name"}}, "page=2&sort=date&sort=name"
	req.UpstreamQuery = []string{"page"}
	req.Header = http.Header{"Accept": {"application/json"}, "X-Tag": {"a", "b"}}
	req.Upstream = http.Header{"X-Claim": {"ada"}}
	req.Params.Set("id", "1")
	return req
}

func newResponse() *proxy.Response {
	return &proxy.Response{Status: http.StatusOK, Header: http.Header{"X-Tag": {"a", "b"}}, Document: user}
}

var user, _ = document.Parse([]byte(`{"id":1,"name":"ada"}`))

func sameResponse(got, answered *proxy.Response) bool {
	if got == nil || answered == nil {
		return got == answered
	}
	return got.StatusCode() == answered.StatusCode() && got.Document.String() == answered.Document.String() &&
		sameHeader(got.Header, answered.Header) && errors.Is(got.Err, answered.Err)
}

func sameHeader(a, b http.Header) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

// show formats a response for a message.
func show(res *proxy.Response) string {
	if res == nil {
		return "nothing"
	}
	text := fmt.Sprint(res.StatusCode())
	switch {
	case res.Upgrade != nil:
		text += " with a connection"
	case res.Body != nil:
		text += " with a stream"
	case !res.Document.IsZero():
		text += " " + res.Document.String()
	}
	if len(res.Header) > 0 {
		text += fmt.Sprintf(" %v", map[string][]string(res.Header))
	}
	if res.Err != nil {
		text += fmt.Sprintf(" without %v", res.Err)
	}
	return text
}

// A picture is a copy of the content of a request.
type picture struct {
	fields                  []string
	query, header, upstream map[string][]string
	params, sent            []string
}

func snapshot(req *proxy.Request) any {
	p := picture{
		fields: []string{req.Method, req.Path, req.Pattern, req.Host, req.Scheme, req.RawQuery, req.Upgrade,
			req.Remote.String(), fmt.Sprint(req.ContentLength, req.Body != nil, req.GetBody != nil)},
		query:    copyOf(req.Query),
		header:   copyOf(req.Header),
		upstream: copyOf(req.Upstream),
		sent:     slices.Clone(req.UpstreamQuery),
	}
	for _, name := range req.Params.Names() {
		p.params = append(p.params, name, req.Params.Get(name))
	}
	p.params = append(p.params, req.Params.Rest()...)
	return p
}

func copyOf[M ~map[string][]string](m M) map[string][]string { return http.Header(m).Clone() }

// scribble changes everything that a pipe may change in a request, in place where possible.
func scribble(req *proxy.Request) {
	const mark = "scribbled"
	for _, m := range []map[string][]string{req.Query, req.Header, req.Upstream} {
		for _, values := range m {
			for i := range values {
				values[i] = mark
			}
		}
		if m != nil {
			m["Scribbled"] = []string{mark}
		}
	}
	for i := range req.UpstreamQuery {
		req.UpstreamQuery[i] = mark
	}
	for _, name := range req.Params.Names() {
		req.Params.Set(name, mark)
	}
	req.Params.Set(mark, mark)
	req.Method, req.Path, req.Pattern = strings.ToUpper(mark), "/"+mark, "/"+mark
	req.Host, req.Scheme, req.RawQuery = mark, mark, mark
	req.ContentLength = -1
}
