package test_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

// recorder is an upstream that keeps the header it got and answers with headers of one hop. It
// honours its context.
type recorder struct{ got http.Header }

func (r *recorder) HonoursContext() bool { return true }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.got = req.Header.Clone()
	h := http.Header{"Connection": {"X-Hop"}, "X-Hop": {"1"}, "Keep-Alive": {"timeout=5"}, "Alt-Svc": {"h3"}, "X-Plain": {"1"}}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, Header: h, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
}

func (r *recorder) proxy(t *testing.T, s backend.Spec) proxy.Proxy {
	t.Helper()
	s.Name, s.URL = "upstream", "http://upstream.test/"
	p, err := backend.HTTP{Transport: r}.New(s)
	require.NoError(t, err)
	return p
}

func exchange(t *testing.T, p proxy.Proxy, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	h, err := endpoint.New(endpoint.Spec{Proxy: p})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A user's decorator that describes itself looks like one of ours in the plan, but is still not
// trusted: the headers that it sets are filtered, and the response is filtered before the decorator
// sees it.
//
// proves H1, H2
func TestADescribedDecoratorIsNotTrusted(t *testing.T) {
	t.Parallel()
	var upstream recorder
	var seen http.Header
	careless := func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Header = endpoint.HTTPRequest(ctx).Header.Clone()
			res, err := next(ctx, req)
			if err == nil {
				seen = res.Header.Clone()
			}
			return res, err
		}, pipe.Step{Kind: "careless", Effects: pipe.CallsOnce}, next)
	}
	p := upstream.proxy(t, backend.Spec{Headers: []string{"*"}, Decode: backend.Passthrough}).With(careless)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Proxy-Authorization": {"Basic c2Vj"}, "Connection": {"X-Secret"}, "X-Secret": {"1"},
		"X-Nul": {"a\x00b"}, "X-Plain": {"1"}}
	w := exchange(t, p, r)
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, []string{"1"}, upstream.got["X-Plain"])
	for _, name := range []string{"Proxy-Authorization", "Connection", "X-Nul"} {
		assert.NotContains(t, upstream.got, name)
	}
	assert.Equal(t, http.Header{"X-Plain": {"1"}}, seen)
}

// proves H10
func TestParamsGivenToTwoRequestsAreNotShared(t *testing.T) {
	t.Parallel()
	var seen []string
	leaf := pipe.Describe(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		seen = append(seen, req.Params.Get("tenant"), req.Params.Get("added"))
		req.Params.Set("tenant", "changed")
		req.Params.Set("added", "1")
		return &proxy.Response{}, nil
	}, pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
	var params proxy.Params // made once, at wiring
	params.Set("tenant", "acme")
	for range 2 {
		exchange(t, leaf, endpoint.WithParams(httptest.NewRequest("GET", "/", nil), params))
	}
	assert.Equal(t, []string{"acme", "", "acme", ""}, seen)
}

func TestCodeCanSetAHeaderOnEveryAnswer(t *testing.T) {
	t.Parallel()
	var upstream recorder
	sets := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			if err == nil {
				res.Header.Set("X-Own", "1")
			}
			return res, err
		}
	}
	decoded := upstream.proxy(t, backend.Spec{})
	for name, p := range map[string]proxy.Proxy{
		"decoded": decoded, "exposing what is not there": upstream.proxy(t, backend.Spec{Expose: []string{"X-None"}}),
		"merged": proxy.Merge(proxy.Part{Proxy: decoded}), "streamed": upstream.proxy(t, backend.Spec{Decode: backend.Passthrough}),
	} {
		w := exchange(t, p.With(sets), httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, 200, w.Code, name)
		assert.Equal(t, "1", w.Header().Get("X-Own"), name)
	}
}

func TestAStreamIsNoDocument(t *testing.T) {
	t.Parallel()
	var upstream recorder
	stream := upstream.proxy(t, backend.Spec{Decode: backend.Passthrough})
	custom := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
	}
	assert.True(t, call.AlwaysStreams(pipe.PlanOf(stream)))
	assert.False(t, call.AlwaysStreams(pipe.PlanOf(stream.With(custom))), "who knows")
	assert.False(t, call.AlwaysStreams(pipe.PlanOf(upstream.proxy(t, backend.Spec{}))))
	assert.Equal(t, "proxy: Merge: part 1 (upstream) answers with a stream, which cannot be merged: decode it",
		pipetest.Faults(pipe.PlanOf(proxy.Merge(proxy.Part{Proxy: stream}))))
	assert.ErrorIs(t, pipe.PlanOf(stream.With(shape.Response(shape.Group("x")))).Faults(), proxy.ErrStream)
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: upstream.proxy(t, backend.Spec{})})
	require.NoError(t, err)
	for name, d := range map[string]proxy.Decorator{
		"observed": pipe.Observe(func(context.Context, pipe.Observation[*proxy.Request, *proxy.Response]) {}),
		"limited":  policy.Limit(rate.NewLimiter(1, 1)),
		"allowed":  policy.Limit(allower{}),
		"named":    pipe.Named("x", policy.Timeout(time.Second)),
		"chained":  pipe.Named("x", pipe.Chain(policy.Timeout(time.Second), pipe.Recover)),
		"retried":  policy.Retry(policy.Attempts{}),
		"inflight": policy.InFlight(1),
		"shared":   policy.Coalesce(policy.CoalesceSpec{}),
		"queued":   policy.Queue(policy.QueueSpec{InFlight: 1}),
		"adaptive": policy.Adaptive(policy.AdaptiveSpec{}),
		"deadline": policy.SendDeadline("X-Ms"),
		"held":     proxy.Hold(0),
		"shadowed": shadow.Decorate,
		"given":    proxy.Gives("x"),
		"header":   shape.SetHeader("X-A", "b"),
		"answer":   shape.SetResponseHeader("X-A", "b"),
		"status":   shape.MapStatus(map[int]int{404: 410}),
		"query":    shape.RemoveQuery("a"),
		"body":     shape.Body(`{}`),
		"request":  shape.Request(shape.Drop("a")),
		"custom":   passing,
		"switched": func(next proxy.Proxy) proxy.Proxy { return proxy.If(always, next, next) },
		"fallback": func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next, next) },
		"raced": func(next proxy.Proxy) proxy.Proxy {
			return proxy.RaceWith(proxy.RaceSpec{Proxies: []proxy.Proxy{next}, Unsafe: true})
		},
		"sequenced": func(next proxy.Proxy) proxy.Proxy { return proxy.Sequence(proxy.Stage{Proxy: next}) },
	} {
		p := stream.With(d)
		assert.True(t, call.AlwaysStreams(pipe.PlanOf(p)), name)
		assert.Error(t, pipe.PlanOf(proxy.Merge(proxy.Part{Proxy: p})).Faults(), name)
		assert.Error(t, pipe.PlanOf(proxy.Decode[int](p)).Faults(), name)
	}
	for name, d := range map[string]proxy.Decorator{
		"static": proxy.Static(proxy.OnError, document.MustParse(`{}`)),
		"data":   backend.ErrorAsData("x"),
		"either": func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next, upstream.proxy(t, backend.Spec{})) },
		"maybe": func(next proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Proxy: next, When: func(context.Context, *proxy.Request, proxy.Results) bool { return false }})
		},
	} {
		assert.False(t, call.AlwaysStreams(pipe.PlanOf(stream.With(d))), name)
	}
	_, err = proxy.New(proxy.Spec{Parts: []proxy.Part{proxy.Grouped("files", stream)}})
	assert.EqualError(t, err, "proxy: Merge: part 1 (files) answers with a stream, which cannot be merged: decode it")
}

type allower struct{}

func (allower) Allow() bool { return true }

func always(context.Context, *proxy.Request) bool { return true }

// passing is a decorator of a user that says what it does.
func passing(next proxy.Proxy) proxy.Proxy {
	return pipe.Describe(next, pipe.Step{Kind: "mine", Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn}, next)
}

// A passthrough over a user's round tripper still works as a passthrough, whatever the round
// tripper does.
func TestAPassthroughOverAnyTransportStreams(t *testing.T) {
	t.Parallel()
	p, err := backend.HTTP{Transport: roundTripper(http.DefaultTransport.RoundTrip)}.New(
		backend.Spec{Name: "files", URL: "http://upstream.test/", Decode: backend.Passthrough})
	require.NoError(t, err)
	assert.True(t, call.AlwaysStreams(pipe.PlanOf(p)))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBoundNamesTheParamsOfABody(t *testing.T) {
	t.Parallel()
	var upstream recorder
	quotes := upstream.proxy(t, backend.Spec{Method: "POST"}).With(shape.Body(`{"of":"{param.account}"}`))
	route := router.Route{Method: "GET", Pattern: "/quote", Endpoint: endpoint.Spec{Proxy: quotes}}
	err := router.Mount(chi.NewRouter(), route)
	require.Error(t, err)
	assert.Contains(t, err.Error(), `needs the param "account"`)
	assert.Contains(t, err.Error(), "proxy.Gives")
	route.Endpoint.Proxy = quotes.With(proxy.Gives("account"))
	assert.NoError(t, router.Mount(chi.NewRouter(), route))
}

// A careless is a round tripper that honours its context but not the contract of
// http.RoundTripper: it writes to the header of the request.
type careless struct {
	tag  string
	seen *[]string // values that it did not write itself
	mu   *sync.Mutex
}

func (careless) HonoursContext() bool { return true }

func (c careless) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Add("X-Tags", c.tag)
	r.Header["X-One"][0] += c.tag
	tags, one := r.Header["X-Tags"], r.Header["X-One"]
	if tags[len(tags)-1] != c.tag || one[0] != "1"+c.tag {
		c.mu.Lock()
		defer c.mu.Unlock()
		*c.seen = append(*c.seen, tags[len(tags)-1], one[0])
	}
	h := http.Header{"connection": {"X-Hop"}, "X-Hop": {"1"}, "X-Plain": {"1"}}
	return &http.Response{StatusCode: 200, ProtoMajor: 1, Header: h, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

// The plan does not show a round tripper that honours its context, so it gets a header of its own.
// Three lines of one name are the case to test: net/http leaves room for a fourth behind them.
// Run with -race.
//
// proves H10, L4, L5
func TestARoundTripperSharesNoHeaderWithOtherBranches(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	var parts []proxy.Part
	for _, name := range []string{"a", "b", "c"} {
		p, err := backend.HTTP{Transport: careless{name, &seen, &mu}}.New(
			backend.Spec{Name: name, URL: "http://upstream.test/", Headers: []string{"*"}})
		require.NoError(t, err)
		parts = append(parts, proxy.Grouped(name, p))
	}
	h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Merge(parts...)})
	require.NoError(t, err)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header["X-Tags"] = append(make([]string, 0, 4), "1", "2", "3")
				r.Header["X-One"] = []string{"1"}
				h.ServeHTTP(httptest.NewRecorder(), r)
				if r.Header["X-One"][0] != "1" {
					mu.Lock()
					seen = append(seen, "the request of the client")
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	assert.Empty(t, seen)
}

// net/http makes names canonical, but a round tripper may not.
//
// proves H1
func TestAConnectionLineInAnyCaseIsHeededInAStream(t *testing.T) {
	t.Parallel()
	p, err := backend.HTTP{Transport: careless{mu: new(sync.Mutex), seen: new([]string)}}.New(
		backend.Spec{Name: "files", URL: "http://upstream.test/", Headers: []string{"X-One"}, Decode: backend.Passthrough})
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-One", "1")
	w := exchange(t, p, r)
	assert.Equal(t, "1", w.Header().Get("X-Plain"))
	assert.NotContains(t, w.Header(), "X-Hop")
}

// An endpoint makes no map for nothing where only sluice's steps see the request.
func TestEachStepThatWritesMakesTheMapThatIsNotThere(t *testing.T) {
	t.Parallel()
	oneID, err := document.Parse([]byte(`{"id":1}`))
	require.NoError(t, err)
	steps := map[string]proxy.Decorator{
		"set-header":    shape.SetHeader("X-A", "1"),
		"remove-header": shape.RemoveHeader("X-A"),
		"set-query":     shape.SetQuery("a", "1"),
		"remove-query":  shape.RemoveQuery("a"),
		"deadline":      policy.SendDeadline("X-Deadline-Ms"),
		"body":          shape.Request(shape.Keep("a")),
		"binding": func(next proxy.Proxy) proxy.Proxy {
			id := next.With(proxy.Static(proxy.Always, oneID))
			return proxy.Sequence(proxy.Stage{Name: "a", Proxy: id, Internal: true},
				proxy.Stage{Name: "b", Proxy: next, Bind: []proxy.Binding{proxy.BindQuery("q", "a", "id")}})
		},
	}
	for name, d := range steps {
		var upstream recorder
		rec := exchange(t, upstream.proxy(t, backend.Spec{}).With(d), httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, http.StatusOK, rec.Code, name)
	}
}

// A watcher is code of a user, which finds the maps that an endpoint promises.
func TestAWatcherFindsTheMapsOfARequest(t *testing.T) {
	t.Parallel()
	var upstream recorder
	var seen []*proxy.Request
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.proxy(t, backend.Spec{}), Watch: pipe.Watch{
		Start: func(context.Context) pipe.Watcher { return collector{&seen} }}})
	require.NoError(t, err)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.NotEmpty(t, seen)
	for _, req := range seen {
		assert.NotNil(t, req.Query)
		assert.NotNil(t, req.Upstream)
	}
}

// A collector collects the requests of the steps that it watches.
type collector struct{ seen *[]*proxy.Request }

func (c collector) Enter(ctx context.Context, _ *pipe.Step, req any) (context.Context, pipe.Watcher) {
	if req, ok := req.(*proxy.Request); ok {
		*c.seen = append(*c.seen, req)
	}
	return ctx, c
}
func (collector) Leave(any, error)    {}
func (collector) Note(string, string) {}
