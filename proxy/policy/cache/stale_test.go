package cache_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// validated returns an upstream that answers 304 to a condition that holds.
func validated(stream bool, also ...string) *upstream {
	const etag = `"1"`
	return &upstream{answer: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		h := headerOf([]string{"Cache-Control: max-age=60", "Etag: " + etag, "X-Version: " + time.Now().Format(time.TimeOnly), "Content-Type: text/plain"})
		res := &proxy.Response{Header: http.Header{}, Origin: h, Document: document.MustParse(`{"id":1}`)}
		if stream {
			res = &proxy.Response{Header: h, Body: proxytest.NewBody("rows")}
		}
		if req.Upstream.Get("If-None-Match") == etag {
			for _, name := range []string{"If-None-Match", "Range", "If-Range"} {
				if req.Header.Get(name) != "" {
					return nil, errors.New("the condition of the client stands beside that of the cache")
				}
			}
			res.Status, res.Document = http.StatusNotModified, document.Document{}
			if stream {
				res.Body = http.NoBody
			}
			h.Set("Content-Type", "text/html") // which is not that of the payload that is kept
			for _, line := range also {
				name, value, _ := strings.Cut(line, ": ")
				h.Set(name, value)
			}
		}
		return res, nil
	}}
}

func TestAStaleAnswerIsValidated(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := validated(stream)
			p := u.leaf("*").With(cache.New(cache.Spec{}).Decorate)
			first := ask(t, p, get("/"))
			<-time.After(61 * time.Second)
			req := get("/", `If-None-Match: "other"`, "Range: bytes=0-0", `If-Range: "other"`)
			got := ask(t, p, req)
			assert.Equal(t, http.StatusOK, got.status)
			assert.Equal(t, first.body, got.body)
			assert.Equal(t, "sluice; fwd=stale; fwd-status=304; stored", got.header.Get("Cache-Status"))
			assert.Equal(t, "0", got.header.Get("Age"))
			assert.Empty(t, req.Upstream, "the request of the caller is left alone")
			said := got.origin
			if stream {
				said = got.header
			}
			assert.Equal(t, "00:01:01", said.Get("X-Version"), "what the 304 says is taken over")
			assert.Equal(t, "text/plain", said.Get("Content-Type"), "but not what describes its payload")
			<-time.After(59 * time.Second)
			assert.True(t, ask(t, p, get("/")).hit(), "it is fresh again")
			assert.EqualValues(t, 2, u.calls.Load())
		})
	}
}

func TestA304MayForbidToKeepWhatIsKept(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := validated(stream, "Cache-Control: no-store", "Set-Cookie: session=b")
			p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
			ask(t, p, get("/"))
			<-time.After(61 * time.Second)
			got := ask(t, p, get("/"))
			assert.Equal(t, "sluice; fwd=stale; fwd-status=304", got.header.Get("Cache-Status"))
			assert.Equal(t, stream, got.header.Get("Set-Cookie") != "", "of a stream, for the one whose call it was")
			assert.False(t, ask(t, p, get("/")).hit())
		})
	}
}

func TestTheCookieOfA304IsForOneClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := validated(true, "Set-Cookie: session=b")
		p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
		ask(t, p, get("/"))
		<-time.After(61 * time.Second)
		assert.Equal(t, "session=b", ask(t, p, get("/")).header.Get("Set-Cookie"))
		got := ask(t, p, get("/"))
		assert.True(t, got.hit())
		assert.Empty(t, got.header.Get("Set-Cookie"))
	})
}

// A fault is a way in which what is around upstreams fails.
type fault struct {
	name   string
	around func(p proxy.Proxy, on func() bool) proxy.Proxy
	status int
	stream bool // of a stream alone
}

var faults = []fault{
	{name: "an answer of status 503", status: 503, around: failsWith(&proxy.Error{Status: 503, Op: "status"})},
	{name: "a reset", status: 502, around: failsWith(errors.New("connection reset by peer"))},
	{name: "a timeout", status: 504, around: func(p proxy.Proxy, on func() bool) proxy.Proxy {
		return proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if on() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p(ctx, req)
		}).With(policy.Timeout(time.Second))
	}},
	{name: "an open breaker", status: 503, around: failsWith(&proxy.Error{Status: 503, Op: "break", Err: policy.ErrOpen})},
	{name: "a panic", status: 500, around: func(p proxy.Proxy, on func() bool) proxy.Proxy {
		return proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if on() {
				panic("bug")
			}
			return p(ctx, req)
		}).With(pipe.Recover)
	}},
	{name: "a stream of status 500", stream: true, status: 500, around: func(p proxy.Proxy, on func() bool) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if on() {
				return &proxy.Response{Status: 500, Header: http.Header{}, Body: proxytest.NewBody("sorry")}, nil
			}
			return p(ctx, req)
		}
	}},
}

func failsWith(err error) func(p proxy.Proxy, on func() bool) proxy.Proxy {
	return func(p proxy.Proxy, on func() bool) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if on() {
				return nil, err
			}
			return p(ctx, req)
		}
	}
}

// forms are what can be around a fault: a single upstream, a merge, a stream.
func forms() map[string]proxy.Proxy {
	return map[string]proxy.Proxy{
		"single": says("Cache-Control: max-age=60").leaf(),
		"merge":  proxy.Merge(proxy.Part{Name: "a", Proxy: says().leaf()}, proxy.Grouped("b", says().leaf())),
		"stream": streams(200, "Cache-Control: max-age=60").leaf(),
	}
}

// proves F3
func TestFaultsOfASingleUpstreamAMergeAndAStream(t *testing.T) {
	t.Parallel()
	for form := range forms() {
		for _, f := range faults {
			if f.stream && form != "stream" {
				continue
			}
			for _, also := range []string{"", "; no stale answers"} {
				t.Run(form+", "+f.name+also, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						down := false
						spec := cache.Spec{TTL: time.Minute, StaleIfError: time.Minute}
						if also != "" {
							spec.StaleIfError = 0
						}
						cached := cache.New(spec)
						p := f.around(forms()[form], func() bool { return down }).With(cached.Decorate)
						first := ask(t, p, get("/"))
						down = true
						<-time.After(59 * time.Second)
						assert.True(t, ask(t, p, get("/")).hit(), "fresh")
						<-time.After(2 * time.Second)
						var reported []error
						scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
						got := askWith(scope.Context(t.Context()), t, p, get("/"))
						if spec.StaleIfError == 0 {
							assert.Equal(t, f.status, got.status)
							return
						}
						assert.Equal(t, first.body, got.body)
						assert.Equal(t, first.status, got.status)
						assert.Contains(t, got.header.Get("Cache-Status"), "sluice; fwd=stale; fwd-status=5")
						assert.Equal(t, !f.stream, len(reported) > 0, "why next was not heard is reported")
						assert.Equal(t, cache.Stats{Hits: 1, Misses: 1, Stale: 1}, withoutSize(cached.Stats()))

						assert.Equal(t, f.status, ask(t, p, get("/", "Cache-Control: no-cache")).status, "to who wants no stale one")
						<-time.After(time.Minute)
						assert.Equal(t, f.status, ask(t, p, get("/")).status, "too late")
						down = false
						assert.Equal(t, 200, ask(t, p, get("/")).status)
						assert.True(t, ask(t, p, get("/")).hit())
					})
				})
			}
		}
	}
}

func TestAFailureOfTheClientIsNoReasonForAStaleAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := false
		p := failsWith(&proxy.Error{Status: 404, Op: "status"})(says("Cache-Control: max-age=60").leaf(), func() bool { return down }).
			With(cache.New(cache.Spec{StaleIfError: time.Hour}).Decorate)
		ask(t, p, get("/"))
		down = true
		<-time.After(61 * time.Second)
		assert.Equal(t, 404, ask(t, p, get("/")).status)
	})
}

func TestAnAnswerThatIsStaleAtOnceStandsInForFailures(t *testing.T) {
	t.Parallel()
	for said, status := range map[string]int{"max-age=0, stale-if-error=60": 200, "max-age=0": 503, "max-age=0, stale-if-error=60, must-revalidate": 503} {
		synctest.Test(t, func(t *testing.T) {
			down := false
			p := failsWith(&proxy.Error{Status: 503})(says("Cache-Control: "+said).leaf(), func() bool { return down }).With(cache.New(cache.Spec{}).Decorate)
			ask(t, p, get("/"))
			down = true
			assert.Equal(t, status, ask(t, p, get("/")).status, said)
		})
	}
}

func TestStaleAnswersAreForbidden(t *testing.T) {
	t.Parallel()
	for _, also := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"} {
		synctest.Test(t, func(t *testing.T) {
			down := false
			p := failsWith(&proxy.Error{Status: 503})(says("Cache-Control: max-age=60, stale-if-error=600, stale-while-revalidate=600, "+also, `Etag: "1"`).leaf(),
				func() bool { return down }).With(cache.New(cache.Spec{}).Decorate)
			ask(t, p, get("/"))
			down = true
			<-time.After(61 * time.Second)
			assert.Equal(t, 503, ask(t, p, get("/")).status, also)
		})
	}
}

// running runs a cache until the test ends.
func running(t *testing.T, cached *cache.Cache) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, cached.Run(ctx)) })
	synctest.Wait()
	return func() { cancel(); wg.Wait() }
}

// slow returns next, whose calls take a second.
func slow(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return next(ctx, req)
	}
}

func TestAStaleAnswerIsGivenWhileItIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, u := range []*upstream{says("Cache-Control: max-age=60, stale-while-revalidate=60"), streams(200, "Cache-Control: max-age=60, stale-while-revalidate=60")} {
		synctest.Test(t, func(t *testing.T) {
			u.calls.Store(0)
			cached := cache.New(cache.Spec{})
			stop := running(t, cached)
			p := slow(u.leaf()).With(cached.Decorate)
			first := ask(t, p, get("/"))
			<-time.After(61 * time.Second)
			start := time.Now()
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				got := askWith(ctx, t, p, get("/"))
				cancel() // the call in the background goes on
				assert.Equal(t, first.body, got.body)
				assert.Equal(t, "sluice; hit; ttl=-2", got.header.Get("Cache-Status"), "the call has taken a second")
			}
			assert.Zero(t, time.Since(start))
			<-time.After(1100 * time.Millisecond)
			got := ask(t, p, get("/"))
			assert.NotEqual(t, first.body, got.body)
			assert.True(t, got.hit())
			assert.EqualValues(t, 2, u.calls.Load())
			assert.Equal(t, cache.Stats{Hits: 1, Stale: 3, Misses: 1}, withoutSize(cached.Stats()))
			<-time.After(200 * time.Second)
			assert.False(t, ask(t, p, get("/")).hit(), "too late")
			stop()
		})
	}
}

func withoutSize(s cache.Stats) cache.Stats {
	s.Entries, s.Bytes = 0, 0
	return s
}

func TestWithoutRunTheFirstCallerAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := says("Cache-Control: max-age=60, stale-while-revalidate=60")
		p := slow(u.leaf()).With(cache.New(cache.Spec{}).Decorate)
		first := ask(t, p, get("/"))
		<-time.After(61 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			assert.NotEqual(t, first.body, ask(t, p, get("/")).body)
			assert.Equal(t, time.Second, time.Since(start))
		})
		synctest.Wait()
		start := time.Now()
		assert.Equal(t, first.body, ask(t, p, get("/")).body, "others get the stale one")
		assert.Zero(t, time.Since(start))
		wg.Wait()
		assert.EqualValues(t, 2, u.calls.Load())
	})
}

// proves T2, T5
func TestCallsInTheBackgroundAreBoundedAndEndWithRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := says("Cache-Control: max-age=60, stale-while-revalidate=600")
		hangs, ignores := false, false
		var mu sync.Mutex // guards ended
		var ended []error
		next := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			switch {
			case ignores:
				<-time.After(time.Hour)
			case hangs:
				<-ctx.Done()
				mu.Lock()
				ended = append(ended, ctx.Err())
				mu.Unlock()
				return nil, ctx.Err()
			}
			return u.call(ctx, req)
		}
		cached := cache.New(cache.Spec{MaxRevalidations: 2})
		stop := running(t, cached)
		p := proxy.Proxy(next).With(cached.Decorate)
		paths := []string{"/a", "/b", "/c"}
		for _, path := range paths {
			ask(t, p, get(path))
		}
		<-time.After(61 * time.Second)
		hangs = true
		start := time.Now()
		for _, path := range paths {
			assert.True(t, ask(t, p, get(path)).hit())
		}
		<-time.After(11 * time.Second) // the Timeout
		synctest.Wait()
		assert.Len(t, ended, 2, "calls at a time")
		assert.ErrorIs(t, ended[0], context.DeadlineExceeded)
		ask(t, p, get("/a"))
		synctest.Wait()
		stop()
		synctest.Wait()
		assert.Len(t, ended, 3)
		assert.ErrorIs(t, ended[2], context.Canceled, "with Run")
		assert.Equal(t, 11*time.Second, time.Since(start))

		hangs, ignores = false, true
		stop = running(t, cached)
		ask(t, p, get("/b"))
		synctest.Wait()
		start = time.Now()
		stop()
		assert.LessOrEqual(t, time.Since(start), 500*time.Millisecond, "a callee that ignores its context is left")
		<-time.After(2 * time.Hour)
	})
}

func TestAFailureInTheBackgroundIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fails := range []proxy.Proxy{
			func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") },
			func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errors.New("reset") },
		} {
			cached := cache.New(cache.Spec{})
			stop := running(t, cached)
			down := false
			u := says("Cache-Control: max-age=60, stale-while-revalidate=600")
			p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				if down {
					return fails(ctx, req)
				}
				return u.call(ctx, req)
			}).With(cached.Decorate)
			reported := make(chan error, 10)
			scope := call.Scope{Report: func(_ context.Context, err error) { reported <- err }}
			ctx := scope.Context(t.Context())
			askWith(ctx, t, p, get("/"))
			down = true
			<-time.After(61 * time.Second)
			assert.True(t, askWith(ctx, t, p, get("/")).hit())
			synctest.Wait()
			require.Len(t, reported, 1)
			assert.True(t, askWith(ctx, t, p, get("/")).hit(), "and the next one tries again")
			synctest.Wait()
			assert.Len(t, reported, 2)
			stop()
		}
	})
}

func TestAWatcherHearsWhatTheCacheDidAndNothingOfTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cached := cache.New(cache.Spec{})
		stop := running(t, cached)
		p := says("Cache-Control: max-age=60, stale-while-revalidate=60").leaf().With(cached.Decorate)
		plan := pipe.PlanOf(p)
		for _, tt := range []struct {
			after time.Duration
			note  string
			ran   bool
		}{{0, "fwd=uri-miss", true}, {59 * time.Second, "hit", false}, {2 * time.Second, "stale", false}, {10 * time.Minute, "fwd=stale", true}} {
			<-time.After(tt.after)
			trace := explain.New(plan)
			ask(t, func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := pipe.Watched(p, trace.Watch())(ctx, req)
				synctest.Wait() // for what runs in the background
				return res, err
			}, get("/"))
			assert.NoError(t, trace.Check(plan))
			assert.Contains(t, trace.String(), "cache: "+tt.note)
			assert.Equal(t, !tt.ran, strings.Contains(trace.String(), "did not run"), trace.String())
		}
		stop()
	})
}

func TestAHeadHasTheAnswerAskedForAgainWithAGet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := streams(200, "Cache-Control: max-age=60, stale-while-revalidate=60")
		var methods []string
		cached := cache.New(cache.Spec{})
		stop := running(t, cached)
		p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			methods = append(methods, req.Method)
			return u.call(ctx, req)
		}).With(cached.Decorate)
		ask(t, p, get("/"))
		<-time.After(61 * time.Second)
		head := get("/", "Cache-Control: foo")
		head.Method = "HEAD"
		assert.True(t, ask(t, p, head).hit())
		synctest.Wait()
		assert.Equal(t, []string{"GET", "GET"}, methods)
		assert.Equal(t, "xx", ask(t, p, get("/")).body)
		stop()
	})
}
