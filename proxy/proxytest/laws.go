package proxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// soon is when the laws end a context in the middle of a call. It comes before any timeout of a
// decorator.
const soon = time.Microsecond

const rows = "the rows of a stream"

// rules are the laws of this package.
type rules struct{ Options }

// A form is how next appears in the plan. Decorators may act by it.
type form struct {
	name    string
	effects pipe.Effects
}

var forms = []form{
	{"where next may ignore its context", pipe.Terminal | pipe.Opaque},
	{"where next honours its context", pipe.Terminal | pipe.HonoursContext},
}

// around returns next wrapped in a decorator.
func (f form) around(d proxy.Decorator, next proxy.Proxy) proxy.Proxy {
	return pipe.Describe(next, pipe.Step{Mark: mark.Borrows(), Kind: "next", Effects: f.effects}).With(d)
}

// A given keeps the answers of next and the contexts it was called with.
type given struct {
	mu       sync.Mutex // guards what follows
	contexts []context.Context
	answers  []*watched
}

// A watched is a response of next and what becomes of it.
type watched struct {
	*proxy.Response
	body     *Body // nil without one
	released int   // calls of the function registered with OnClose

	hasBody, hasHeader bool // at the moment next answered
}

// give keeps a new response and returns it.
func (g *given) give(ctx context.Context, res *proxy.Response) *proxy.Response {
	w := &watched{Response: res, hasBody: res.Body != nil || res.Upgrade != nil, hasHeader: res.Header != nil}
	switch b := res.Body.(type) {
	case *Body:
		w.body = b
		b.ctx = ctx
	case nil:
	default:
		w.body = &Body{}
		res.Body = &counted{res.Body, w.body}
	}
	if u, ok := res.Upgrade.(*upgraded); ok {
		w.body = u.Body
	}
	if w.hasBody {
		res.OnClose(func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			w.released++
		})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = append(g.answers, w)
	return res
}

func (g *given) called(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.contexts = append(g.contexts, ctx)
}

func (g *given) all() ([]context.Context, []*watched) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.contexts, g.answers
}

// A counted is the body of a user's response whose closes are counted.
type counted struct {
	io.ReadCloser
	body *Body
}

func (c *counted) Close() error {
	_ = c.body.Close()
	return c.ReadCloser.Close()
}

// An upgraded is the connection of a response with status 101.
type upgraded struct{ *Body }

func (*upgraded) Write(p []byte) (int, error) { return len(p), nil }

// closedOnce fails t unless every body that was given is closed exactly once.
func (g *given) closedOnce(t testing.TB, f form, when string) {
	synctest.Wait()
	_, answers := g.all()
	for _, w := range answers {
		if !w.hasBody {
			continue
		}
		if n := w.body.Closes(); n != 1 {
			t.Errorf("%s, the body of next's answer was closed %s, want once (%s)", when, times(n), f.name)
			return
		}
		g.mu.Lock()
		released := w.released
		g.mu.Unlock()
		if released != 1 {
			t.Errorf("%s, the function registered with OnClose ran %s, want once: close the response, not its body (%s)",
				when, times(released), f.name)
		}
	}
}

// released fails t if a context that was derived for next is still alive.
func (g *given) released(t testing.TB, f form, caller context.Context, when string) {
	contexts, _ := g.all()
	for _, ctx := range contexts {
		if ctx.Done() != nil && ctx.Done() != caller.Done() && ctx.Err() == nil {
			t.Errorf("%s, the context of next is still alive: cancel it, for a stream in OnClose (%s)", when, f.name)
			return
		}
	}
}

func (r rules) streams(t testing.TB, s subject) {
	for _, f := range forms {
		r.stream(t, s, f)
		r.document(t, s, f)
	}
}

// document tests an answer without a body, after which there is nothing to wait for.
func (r rules) document(t testing.TB, s subject, f form) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	g := new(given)
	o := pipetest.Try(ctx, f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		g.called(ctx)
		return g.give(ctx, r.Response()), nil
	}), s.Request())
	_ = o.Res.Close()
	g.released(t, f, ctx, "when the answer is closed")
}

func (r rules) stream(t testing.TB, s subject, f form) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	g := new(given)
	o := pipetest.Try(ctx, f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		g.called(ctx)
		res := &proxy.Response{Status: http.StatusOK, Header: http.Header{"X-Tag": {"a"}}, Body: NewBody(rows)}
		res.Trailer = func() http.Header { return http.Header{"X-Sum": {"1"}} }
		return g.give(ctx, res), nil
	}), s.Request())
	const when = "when next answers with a stream"
	switch {
	case !o.Returned():
		t.Errorf("%s, the call did not return: %v (%s)", when, o.Panic, f.name)
		return
	case o.Err != nil || o.Res == nil:
		switch {
		case r.Documents && !errors.Is(o.Err, proxy.ErrStream):
			t.Errorf("%s, the error is not proxy.ErrStream: %v (%s)", when, o.Err, f.name)
		case !r.Documents && !r.Answers:
			t.Errorf("%s, the call failed: %v; if the decorator needs documents, set Documents (%s)", when, o.Err, f.name)
		}
		g.closedOnce(t, f, when+" that is refused")
		g.released(t, f, ctx, when+" that is refused")
		return
	}
	defer o.Res.Close()
	_, answers := g.all()
	if len(answers) == 0 {
		return // it answered itself
	}
	last := answers[len(answers)-1]
	if last.body.Closes() > 0 && o.Res.Body != nil {
		t.Errorf("%s, its body is closed when the call returns (%s)", when, f.name)
		return
	}
	if o.Res.Body == nil {
		if !r.Answers && r.Same == nil {
			t.Errorf("%s, the caller got %s (%s)", when, show(o.Res), f.name)
		}
	} else {
		r.read(t, f, o.Res)
	}
	_ = o.Res.Close()
	_ = o.Res.Close()
	g.closedOnce(t, f, "when the caller has closed a stream")
	g.released(t, f, ctx, "when the caller has closed a stream")
}

// read reads a stream, part of it long after the call.
func (r rules) read(t testing.TB, f form, res *proxy.Response) {
	begin := make([]byte, 4)
	n, err := io.ReadFull(res.Body, begin)
	var rest []byte
	if err == nil {
		<-time.After(pipetest.Patience / 2)
		rest, err = io.ReadAll(res.Body)
	}
	got := string(begin[:n]) + string(rest)
	switch {
	case err != nil:
		t.Errorf("a stream cannot be read to its end once the call has returned: %v (%s)", err, f.name)
	case r.Same == nil && got != rows:
		t.Errorf("the stream is %q, and next answered with %q (%s)", got, rows, f.name)
	case r.Same == nil && (res.Trailer == nil || res.Trailer().Get("X-Sum") == ""):
		t.Errorf("a stream has lost its trailers (%s)", f.name)
	}
}

// An odd is an answer that not every author of a decorator thinks of.
type odd struct {
	name   string
	answer func() (*proxy.Response, error)
	own    bool // made by Options.Refused
}

func (r rules) odd() []odd {
	answers := func(make func() *proxy.Response) func() (*proxy.Response, error) {
		return func() (*proxy.Response, error) { return make(), nil }
	}
	list := []odd{
		{"an answer", answers(r.Response), false},
		{"an empty response", answers(func() *proxy.Response { return new(proxy.Response) }), false},
		{"an array", answers(func() *proxy.Response {
			d, _ := document.Parse([]byte("[1]"))
			return &proxy.Response{Header: http.Header{}, Document: d}
		}), false},
		{"a partial answer", answers(func() *proxy.Response {
			res := r.Response()
			res.Err = errMissing
			return res
		}), false},
		{"a stream of status 503", answers(func() *proxy.Response {
			return &proxy.Response{Status: http.StatusServiceUnavailable, Header: http.Header{}, Body: NewBody(rows)}
		}), false},
		{"a stream that breaks", answers(func() *proxy.Response {
			return &proxy.Response{Header: http.Header{}, Body: NewBrokenBody("the", io.ErrUnexpectedEOF)}
		}), false},
		{"a protocol switch", answers(func() *proxy.Response {
			return &proxy.Response{Status: http.StatusSwitchingProtocols, Header: http.Header{}, Upgrade: &upgraded{NewBody("")}}
		}), false},
		{"a response and an error", func() (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{}, Body: NewBody(rows)}, newFailure()
		}, false},
	}
	if r.Refused != nil {
		list = append(list, odd{"the response to be refused", answers(r.Refused), true})
	}
	return list
}

var errMissing = errors.New("a part is missing")

func (r rules) bodies(t testing.TB, s subject) {
	for _, f := range forms {
		for _, odd := range r.odd() {
			r.body(t, s, f, odd)
		}
	}
}

func (r rules) body(t testing.TB, s subject, f form, odd odd) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	g := new(given)
	o := pipetest.Try(ctx, f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		g.called(ctx)
		res, err := odd.answer()
		return g.give(ctx, res), err
	}), s.Request())
	when := fmt.Sprintf("when next answers with %s", odd.name)
	_, answers := g.all()
	switch {
	case o.Hung:
		t.Errorf("%s, the call never returned (%s)", when, f.name)
		return
	case !o.Returned() && !odd.own:
		t.Errorf("%s, the call panicked: %v (%s)", when, o.Panic, f.name)
	case odd.own && o.Returned() && o.Err == nil:
		t.Errorf("%s, it was not refused (%s)", when, f.name)
	case o.Err == nil && o.Res != nil && len(answers) > 0:
		last := answers[len(answers)-1]
		if o.Res.Header == nil && (last.hasHeader || last.Response != o.Res) {
			t.Errorf("%s, the Header of the caller's response is nil (%s)", when, f.name)
		}
		if odd.name == "a partial answer" && !errors.Is(o.Res.Err, errMissing) && !r.Answers {
			t.Errorf("%s, the caller gets a complete one: hand Err on (%s)", when, f.name)
		}
		if w := last; w.hasBody && w.body.Closes() > 0 && (o.Res.Body != nil || o.Res.Upgrade != nil) && w.Response == o.Res {
			t.Errorf("%s, its body is closed when the call returns (%s)", when, f.name)
			return
		}
	}
	_ = o.Res.Close()
	g.closedOnce(t, f, when)
	g.released(t, f, ctx, when)
}

func (r rules) lateAnswers(t testing.TB, s subject) {
	for _, f := range forms {
		for _, tt := range []struct {
			when  string
			after time.Duration
		}{
			{"when an answer comes at the moment in which the context ends", soon},
			{"when an answer comes after the context has ended", 2 * soon},
		} {
			ctx, cancel := context.WithTimeout(r.Context(), soon)
			g := new(given)
			o := pipetest.Try(ctx, f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				g.called(ctx)
				<-time.After(tt.after) // whatever the context says
				return g.give(context.Background(), &proxy.Response{Header: http.Header{}, Body: NewBody(rows)}), nil
			}), s.Request())
			<-time.After(time.Minute)
			if !o.Returned() {
				t.Errorf("%s, the call did not return: %v (%s)", tt.when, o.Panic, f.name)
			}
			_ = o.Res.Close()
			g.closedOnce(t, f, tt.when)
			cancel()
		}
	}
}

// sent is the body of the requests under test.
const sent = `{"id":1,"name":"ada"}`

func (r rules) requestBodies(t testing.TB, s subject) {
	for _, f := range forms {
		for _, failures := range []int{0, 1, 100} {
			r.requestBody(t, s, f, failures, true)
			r.requestBody(t, s, f, failures, false)
		}
	}
}

// requestBody tests a request for which the first calls of next fail in a way that may pass.
func (r rules) requestBody(t testing.TB, s subject, f form, failures int, replayable bool) {
	when := "with a body that can be read only once"
	req := s.Request()
	req.Method, req.ContentLength, req.Body, req.GetBody = "PUT", int64(len(sent)), NewBody(sent), nil
	req.Header.Set("Content-Type", "application/json")
	var mu sync.Mutex // guards what follows
	var opened []*Body
	var read []string
	if replayable {
		when = "with a body that can be replayed"
		req.GetBody = func() (io.ReadCloser, error) {
			mu.Lock()
			defer mu.Unlock()
			b := NewBody(sent)
			opened = append(opened, b)
			return b, nil
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	o := pipetest.Try(ctx, f.around(s.Decorator, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		text, err := readAll(req.Body)
		if err != nil {
			text = err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		if read = append(read, text); len(read) <= failures {
			return nil, newFailure()
		}
		return r.Response(), nil
	}), req)
	_ = o.Res.Close()
	<-time.After(pipetest.Patience / 2) // for a call that runs on beside the caller's
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	switch {
	case !o.Returned():
		t.Errorf("%s, the call did not return: %v (%s)", when, o.Panic, f.name)
	case len(read) == 0 && !r.Answers && !errors.Is(o.Err, proxy.ErrBodyNotReplayable):
		t.Errorf("%s, next was not called, and the error is not proxy.ErrBodyNotReplayable: %v (%s)", when, o.Err, f.name)
	case len(read) == 0 && replayable && !r.Answers:
		t.Errorf("%s, it was refused: %v (%s)", when, o.Err, f.name)
	}
	for i, text := range read {
		if text == "" || text != read[0] {
			t.Errorf("%s, call %d of next read %q, want it from its beginning, or proxy.ErrBodyNotReplayable (%s)",
				when, i+1, text, f.name)
		}
	}
	for _, b := range opened {
		if n := b.Closes(); n != 1 {
			t.Errorf("%s, a body that GetBody opened was closed %s, want once (%s)", when, times(n), f.name)
			return
		}
	}
}
