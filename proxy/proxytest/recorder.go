package proxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A Call is one call as an upstream saw it.
type Call struct {
	Method string
	URL    string // path and query; for a round tripper with scheme and host
	Path   string // escaped
	Query  url.Values

	// Header is the header of the call. For a proxy, Header is what the client sent, and Upstream
	// is what code sent.
	Header, Upstream http.Header

	Body    string
	BodyErr error // why Body is incomplete
	Time    time.Time
}

// A Recorder keeps the calls it sees. The zero value is ready to use, and safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex // guards what follows
	calls []Call
}

// Record is a decorator that keeps every request before next gets it. It reads a body that can be
// replayed through GetBody, and leaves any other body unread.
func (r *Recorder) Record(next proxy.Proxy) proxy.Proxy {
	next = pipe.Described(next)
	serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		c := callOf(req)
		if req.GetBody != nil {
			get := req.GetBody // it may be called on after the call has returned
			c.Body, c.BodyErr = call.Guard(ctx, nil, nil, func() (string, error) { return readAgain(get) })
		}
		r.add(c)
		return next(ctx, req)
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "record", Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: r}, next)
}

// Calls returns the calls in the order in which they began. Headers and queries are copies made
// when the call began. Do not change them.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// AssertCalls fails the test unless there were n calls.
func (r *Recorder) AssertCalls(t testing.TB, n int) {
	t.Helper()
	if calls := r.Calls(); len(calls) != n {
		t.Errorf("the upstream was called %s, want %s%s", times(len(calls)), times(n), list(calls))
	}
}

// Only returns the only call. The test ends at once unless there was exactly one.
func (r *Recorder) Only(t testing.TB) Call {
	t.Helper()
	calls := r.Calls()
	if len(calls) != 1 {
		t.Fatalf("the upstream was called %s, want once%s", times(len(calls)), list(calls))
	}
	return calls[0]
}

func (r *Recorder) add(c Call) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	return len(r.calls)
}

// String returns the call on one line, as in "GET /orders?page=2".
func (c Call) String() string { return c.Method + " " + c.URL }

// AssertURL fails the test unless the call had this method and URL, as in "GET /orders?page=2".
func (c Call) AssertURL(t testing.TB, want string) {
	t.Helper()
	if c.String() != want {
		t.Errorf("the upstream got %s, want %s", c, want)
	}
}

// AssertHeader fails the test unless the call had exactly these values of a header or, if want is
// empty, did not have the header. Values in Upstream win over those in Header.
func (c Call) AssertHeader(t testing.TB, name string, want ...string) {
	t.Helper()
	got := c.Upstream.Values(name)
	if got == nil {
		got = c.Header.Values(name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the upstream got %s: %q, want %q", http.CanonicalHeaderKey(name), got, want)
	}
}

// AssertBody fails the test unless the call had this body.
func (c Call) AssertBody(t testing.TB, want string) {
	t.Helper()
	if c.BodyErr != nil {
		t.Errorf("the upstream got the body %q and then %v, want %q", c.Body, c.BodyErr, want)
	} else if c.Body != want {
		t.Errorf("the upstream got the body %q, want %q", c.Body, want)
	}
}

func callOf(req *proxy.Request) Call {
	u := url.URL{RawQuery: req.Query.Encode()}
	target := req.Path
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	return Call{Method: req.Method, URL: target, Path: req.Path, Query: url.Values(http.Header(req.Query).Clone()),
		Header: req.Header.Clone(), Upstream: req.Upstream.Clone(), Time: time.Now()}
}

func callOfHTTP(r *http.Request) Call {
	return Call{Method: r.Method, URL: r.URL.String(), Path: r.URL.EscapedPath(), Query: r.URL.Query(),
		Header: r.Header.Clone(), Time: time.Now()}
}

func readAgain(getBody func() (io.ReadCloser, error)) (string, error) {
	body, err := getBody()
	if err != nil {
		return "", err
	}
	text, err := readAll(body)
	return text, errors.Join(err, body.Close())
}

func readAll(body io.Reader) (string, error) {
	if body == nil {
		return "", nil
	}
	b, err := io.ReadAll(body)
	return string(b), err
}

func list(calls []Call) string {
	text := ""
	for _, c := range calls {
		text += "\n\t" + c.String()
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
