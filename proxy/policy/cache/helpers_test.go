package cache_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A store keeps entries in their binary form, as one outside of the process does. It may be told to
// fail.
type store struct {
	mu      sync.Mutex // guards what follows
	entries map[string][]byte
	fails   func(ctx context.Context) error
}

func newStore() *store { return &store{entries: map[string][]byte{}} }

func (s *store) fail(with func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = with
}

func (s *store) failing(ctx context.Context) error {
	s.mu.Lock()
	fails := s.fails
	s.mu.Unlock()
	if fails == nil {
		return nil
	}
	return fails(ctx)
}

func (s *store) Get(ctx context.Context, keys ...string) ([]*cache.Entry, error) {
	if err := s.failing(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make([]*cache.Entry, len(keys))
	for i, key := range keys {
		if b, ok := s.entries[key]; ok {
			entries[i] = new(cache.Entry)
			if err := entries[i].UnmarshalBinary(b); err != nil {
				return nil, err
			}
		}
	}
	return entries, nil
}

func (s *store) Set(ctx context.Context, key string, e *cache.Entry, _ time.Duration) error {
	if err := s.failing(ctx); err != nil {
		return err
	}
	b, err := e.MarshalBinary()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = b
	return nil
}

// An upstream answers with what answer makes, and counts its calls.
type upstream struct {
	calls  atomic.Int64
	answer func(ctx context.Context, req *proxy.Request) (*proxy.Response, error)
}

func (u *upstream) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	u.calls.Add(1)
	return u.answer(ctx, req)
}

// leaf returns a leaf of the plan that takes these headers of a client.
func (u *upstream) leaf(takes ...string) proxy.Proxy {
	return pipe.Describe(u.call, pipe.Step{Kind: "backend", Name: "upstream", Takes: append([]string{}, takes...),
		Effects: pipe.Terminal | pipe.HonoursContext})
}

// says returns an upstream that answers with a Document that says how often it was called, and these
// fields in its Origin.
func says(fields ...string) *upstream {
	u := &upstream{}
	u.answer = func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, _ := document.Of(map[string]int64{"call": u.calls.Load()})
		return &proxy.Response{Header: http.Header{}, Origin: headerOf(fields), Document: doc}, nil
	}
	return u
}

// streams returns an upstream that answers with a stream that says how often it was called.
func streams(status int, fields ...string) *upstream {
	u := &upstream{}
	u.answer = func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: status, Header: headerOf(fields), Body: proxytest.NewBody(strings.Repeat("x", int(u.calls.Load())))}, nil
	}
	return u
}

// headerOf makes a header of lines such as "Vary: Accept".
func headerOf(lines []string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// get returns a request for a path, with fields as headerOf takes them.
func get(path string, fields ...string) *proxy.Request {
	req := proxy.NewRequest("GET", path)
	req.Header = headerOf(fields)
	return req
}

// A got is what a caller got.
type got struct {
	status int
	body   string
	header http.Header
	origin http.Header
	err    error
}

// hit reports whether the answer came from the cache.
func (g got) hit() bool { return strings.Contains(g.header.Get("Cache-Status"), "; hit") }

// ask calls a proxy and reads the answer to its end.
func ask(t testing.TB, p proxy.Proxy, req *proxy.Request) got {
	t.Helper()
	return askWith(t.Context(), t, p, req)
}

func askWith(ctx context.Context, t testing.TB, p proxy.Proxy, req *proxy.Request) got {
	t.Helper()
	res, err := p(ctx, req)
	if err != nil {
		require.Nil(t, res)
		return got{status: proxy.StatusOf(err), err: err}
	}
	g := got{status: res.StatusCode(), body: res.Document.String(), header: res.Header, origin: res.Origin}
	if res.Body != nil {
		b, err := io.ReadAll(res.Body)
		g.body, g.err = string(b), err
	}
	assert.NoError(t, res.Close())
	return g
}
