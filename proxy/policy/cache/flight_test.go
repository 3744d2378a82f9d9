package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// together has n callers ask at the same time.
func together(t *testing.T, n int, p proxy.Proxy, req func(i int) *proxy.Request) []got {
	answers := make([]got, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = ask(t, p, req(i)) })
	}
	wg.Wait()
	return answers
}

func home(int) *proxy.Request { return get("/") }

// proves T26
func TestAThousandCallersOfAnExpiredKeyMakeOneCall(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*upstream{
		"document":                   says("Cache-Control: max-age=60"),
		"document that is validated": validated(false),
		"stream":                     streams(200, "Cache-Control: max-age=60"),
		"stream of a known length": {answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: headerOf([]string{"Cache-Control: max-age=60", "Content-Length: 4"}), Body: proxytest.NewBody("rows")}, nil
		}},
		"stream that is validated": validated(true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cached := cache.New(cache.Spec{})
				p := slow(u.leaf("*")).With(cached.Decorate)
				for round := range int64(3) {
					answers := together(t, 1000, p, home)
					assert.Equal(t, round+1, u.calls.Load(), "calls")
					for _, got := range answers {
						require.NoError(t, got.err)
						assert.Equal(t, answers[0].body, got.body)
						assert.Equal(t, http.StatusOK, got.status)
					}
					assert.EqualValues(t, 999*(round+1), cached.Stats().Shared)
					<-time.After(61 * time.Second)
				}
			})
		})
	}
}

// proves T26
func TestAnAnswerThatIsNotForAllGoesToOneCaller(t *testing.T) {
	t.Parallel()
	for _, u := range []*upstream{says("Cache-Control: private"), streams(200)} {
		synctest.Test(t, func(t *testing.T) {
			u.calls.Store(0)
			p := slow(u.leaf("*")).With(cache.New(cache.Spec{}).Decorate)
			start := time.Now()
			answers := together(t, 10, p, home)
			assert.Equal(t, 2*time.Second, time.Since(start), "the others call at once, not in turn")
			assert.EqualValues(t, 10, u.calls.Load())
			seen := map[string]bool{}
			for _, got := range answers {
				seen[got.body] = true
			}
			assert.Greater(t, len(seen), 1)
			start = time.Now()
			together(t, 10, p, home)
			assert.Equal(t, time.Second, time.Since(start), "for a while nobody waits")
			<-time.After(11 * time.Second)
			start = time.Now()
			together(t, 10, p, home)
			assert.Equal(t, 2*time.Second, time.Since(start))
		})
	}
}

func TestCallersOfAnotherVariantDoNotGetTheSharedAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := personal(false, []string{"X-User"}, "Cache-Control: max-age=60", "Vary: X-User")
		p := slow(u.leaf("X-User")).With(cache.New(cache.Spec{}).Decorate)
		answers := together(t, 10, p, func(i int) *proxy.Request { return get("/", "X-User: "+string(rune('a'+i%2))) })
		for i, got := range answers {
			assert.Contains(t, got.body, string(rune('a'+i%2)))
		}
	})
}

func TestErrorsAreSharedUnlessTheCallerHasLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fails func() (*proxy.Response, error)
	}{
		{"an error", func() (*proxy.Response, error) { return nil, &proxy.Error{Status: 503, Op: "status"} }},
		{"a panic", func() (*proxy.Response, error) { panic("bug") }},
		{"runtime.Goexit", func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) { return tt.fails() }}
				p := slow(u.leaf()).With(cache.New(cache.Spec{}).Decorate)
				var mu sync.Mutex // guards failures
				failures := 0
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						defer func() { _ = recover() }()
						_, err := p(t.Context(), get("/"))
						if assert.GreaterOrEqual(t, proxy.StatusOf(err), 500) {
							mu.Lock()
							failures++
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				assert.EqualValues(t, 1, u.calls.Load())
				assert.GreaterOrEqual(t, failures, 9)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		u := says("Cache-Control: max-age=60")
		p := slow(u.leaf()).With(cache.New(cache.Spec{}).Decorate)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			got := askWith(ctx, t, p, get("/"))
			assert.ErrorIs(t, got.err, context.Canceled)
		})
		synctest.Wait()
		for range 9 {
			wg.Go(func() {
				got := ask(t, p, get("/"))
				assert.NoError(t, got.err)
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		assert.EqualValues(t, 1, u.calls.Load(), "of the first one, which was cancelled, nothing came")
	})
}

// proves T2
func TestACallerThatWaitsLeavesWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := slow(says("Cache-Control: max-age=60").leaf()).With(cache.New(cache.Spec{}).Decorate)
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, p, get("/")) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		got := askWith(ctx, t, p, get("/"))
		assert.ErrorIs(t, got.err, context.DeadlineExceeded)
		assert.Equal(t, http.StatusGatewayTimeout, got.status)
		assert.Equal(t, time.Millisecond, time.Since(start))
		wg.Wait()
	})
}

func TestNobodyWaitsLongForASlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := streams(200, "Cache-Control: max-age=60")
		p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
		res, err := p(t.Context(), get("/"))
		require.NoError(t, err)
		start := time.Now()
		together(t, 3, p, home)
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
		start = time.Now()
		ask(t, p, get("/"))
		assert.Zero(t, time.Since(start), "and those who come later not at all")
		assert.NoError(t, res.Close())
	})
}

func TestAStreamThatOthersWaitForIsReadAtTheSpeedOfTheUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := false
		body := proxytest.NewBody(strings.Repeat("x", 100_000))
		u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			res := &proxy.Response{Header: headerOf([]string{"Cache-Control: max-age=60", "Content-Length: 100000"}), Body: body}
			if broken {
				res.Body = proxytest.NewBrokenBody("x", io.ErrUnexpectedEOF)
			}
			return res, nil
		}}
		p := slow(u.leaf()).With(cache.New(cache.Spec{}).Decorate)
		var first *proxy.Response
		var wg sync.WaitGroup
		wg.Go(func() { first, _ = p(t.Context(), get("/")) })
		synctest.Wait()
		wg.Go(func() { assert.Len(t, ask(t, p, get("/")).body, 100_000) })
		wg.Wait() // although the first one has not read yet
		b, err := io.ReadAll(first.Body)
		assert.NoError(t, err)
		assert.Len(t, b, 100_000)
		assert.NoError(t, first.Close())
		assert.Equal(t, 1, body.Closes())

		broken = true
		<-time.After(61 * time.Second)
		for _, got := range together(t, 3, p, home) {
			assert.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
		}
	})
}

// proves T5
func TestSharedCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := says("Cache-Control: max-age=60")
		p := slow(u.leaf()).With(cache.New(cache.Spec{MaxCalls: 1}).Decorate)
		together(t, 4, p, func(i int) *proxy.Request { return get([]string{"/a", "/b"}[i%2]) })
		assert.EqualValues(t, 3, u.calls.Load())
	})
}

// proves T24
func TestPurge(t *testing.T) {
	t.Parallel()
	for _, store := range []cache.Store{nil, newStore()} {
		u := says("Cache-Control: max-age=60", "Cache-Tag: news, a-1  sports", "Vary: X-User")
		cached := cache.New(cache.Spec{Store: store, Tags: "Cache-Tag"})
		answer := u.answer
		u.answer = func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if res, ok := ctx.Value(writes{}).(*proxy.Response); ok {
				return res, nil
			}
			return answer(ctx, req)
		}
		p := u.leaf("*").With(cached.Decorate)
		asks := func(user string) got {
			req := get("/items/a%2Fb", "X-User: "+user)
			req.Query.Set("b", "1")
			req.Query.Set("a", "ü")
			req.Host = "shop.test"
			return ask(t, p, req)
		}
		for name, purge := range map[string]func() error{
			"target":     func() error { return cached.Purge(t.Context(), "/other", "/items/a%2Fb?b=1&a=%C3%BC") },
			"URL":        func() error { return cached.Purge(t.Context(), "https://any.test/items/a%2Fb?a=%c3%bc&b=1") },
			"a tag":      func() error { return cached.PurgeTag(t.Context(), "none", "sports") },
			"a POST":     func() error { return write(t, p, "POST", "/items/a%2Fb", 201) },
			"a Location": func() error { return write(t, p, "PUT", "/", 201, "Location: a/../items/a%2Fb?a=%C3%BC&b=1") },
		} {
			asks("a")
			asks("b")
			assert.True(t, asks("a").hit(), name)
			assert.True(t, asks("b").hit(), name)
			require.NoError(t, purge(), name)
			if name != "a POST" { // its target has no query
				assert.False(t, asks("a").hit(), name)
				assert.False(t, asks("b").hit(), name)
			}
			assert.True(t, asks("b").hit(), name)
		}
		for name, purge := range map[string]func() error{
			"another target": func() error { return cached.Purge(t.Context(), "/items/a%2Fb", "/items/a/b?a=%C3%BC&b=1") },
			"another tag":    func() error { return cached.PurgeTag(t.Context(), "spor", "ts", "") },
			"a failed POST":  func() error { return write(t, p, "POST", "/", 400, "Location: /items/a%2Fb?a=%C3%BC&b=1") },
			"another origin": func() error {
				return write(t, p, "POST", "/", 201, "Location: https://x.test/items/a%2Fb?a=%C3%BC&b=1")
			},
			"a request for it": func() error { asks("c"); return nil },
		} {
			asks("a")
			require.NoError(t, purge(), name)
			assert.True(t, asks("a").hit(), name)
		}
		assert.Error(t, cached.Purge(t.Context(), "://", "/?a=%zz"))
		for _, text := range []string{"", "items/1", "?a=1", "mailto:a"} {
			assert.EqualError(t, cached.Purge(t.Context(), text), fmt.Sprintf("cache: purge: %q is neither a path that begins with / nor a URL", text))
		}
		assert.NoError(t, cached.Purge(t.Context(), "https://any.test"))
		assert.Error(t, cache.New(cache.Spec{}).PurgeTag(t.Context(), "a"), "no answer has tags")
	}
}

// write has an upstream answer an unsafe request.
func write(t *testing.T, p proxy.Proxy, method, path string, status int, fields ...string) error {
	req := proxy.NewRequest(method, path)
	req.Host = "shop.test"
	_, err := p(context.WithValue(t.Context(), writes{}, &proxy.Response{Status: status, Header: headerOf(fields)}), req)
	return err
}

type writes struct{}

func TestAnUnsafeRequestPurges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method string
		status int
		fails  bool
		purges bool
	}{
		{"POST", 200, false, true}, {"PUT", 204, false, true}, {"DELETE", 303, false, true}, {"M-SEARCH", 200, false, true},
		{"POST", 400, false, false}, {"POST", 500, false, false}, {"POST", 0, true, false}, {"OPTIONS", 200, false, false},
	} {
		u := says("Cache-Control: max-age=60")
		p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			switch {
			case req.Method == "GET":
				return u.call(ctx, req)
			case tt.fails:
				return nil, errors.New("reset")
			}
			req.Path = "/changed" // which a proxy may
			return &proxy.Response{Status: tt.status}, nil
		}).With(cache.New(cache.Spec{}).Decorate)
		ask(t, p, get("/"))
		req := get("/")
		req.Method = tt.method
		got := ask(t, p, req)
		if !tt.fails {
			assert.Equal(t, "sluice; fwd=method", got.header.Get("Cache-Status"))
		}
		assert.Equal(t, !tt.purges, ask(t, p, get("/")).hit(), "%s %d", tt.method, tt.status)
	}
}

// proves T24
func TestAPurgeHoldsAgainstAnAnswerInFlight(t *testing.T) {
	t.Parallel()
	for _, outside := range []bool{false, true} {
		for name, purge := range map[string]func(context.Context, *cache.Cache) error{
			"target": func(ctx context.Context, c *cache.Cache) error { return c.Purge(ctx, "/") },
			"tag":    func(ctx context.Context, c *cache.Cache) error { return c.PurgeTag(ctx, "news") },
		} {
			for _, known := range []bool{false, true} { // the target was asked for before
				for _, u := range []*upstream{says("Cache-Control: max-age=60", "Cache-Tag: news"), streams(200, "Cache-Control: max-age=60", "Cache-Tag: news")} {
					synctest.Test(t, func(t *testing.T) {
						u.calls.Store(0)
						spec := cache.Spec{Tags: "Cache-Tag"}
						if outside {
							spec.Store = newStore()
						}
						cached := cache.New(spec)
						p := slow(u.leaf()).With(cached.Decorate)
						if known {
							ask(t, p, get("/"))
							<-time.After(61 * time.Second)
						}
						var wg sync.WaitGroup
						wg.Go(func() { ask(t, p, get("/")) })
						<-time.After(time.Millisecond)
						require.NoError(t, purge(t.Context(), cached))
						before := u.calls.Load()
						wg.Go(func() { ask(t, p, get("/")) }) // and does not wait for the one before
						wg.Wait()
						assert.Equal(t, before+2, u.calls.Load(), "%s", name)
						got := ask(t, p, get("/"))
						assert.True(t, got.hit() && strings.Contains(got.header.Get("Cache-Status"), "hit"), "%s: that of the second is kept", name)
					})
				}
			}
		}
	}
}

func TestAnAnswerWithTooManyTagsIsNotKept(t *testing.T) {
	t.Parallel()
	for n, kept := range map[int]bool{64: true, 65: false} {
		u := says("Cache-Control: max-age=60", "Cache-Tag: "+numbers(n))
		p := u.leaf().With(cache.New(cache.Spec{Tags: "cache-tag"}).Decorate)
		ask(t, p, get("/"))
		assert.Equal(t, kept, ask(t, p, get("/")).hit())
	}
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprint(&b, i, ",")
	}
	return b.String()
}

func TestATagThatIsThereTwiceIsOne(t *testing.T) {
	t.Parallel()
	u := says("Cache-Control: max-age=60", "Cache-Tag: "+strings.Repeat("a ", 100))
	p := u.leaf().With(cache.New(cache.Spec{Tags: "Cache-Tag"}).Decorate)
	ask(t, p, get("/"))
	assert.True(t, ask(t, p, get("/")).hit())
}

// proves T24
func TestAnAnswerFromBeforeAPurgeIsNotFoundWhateverComesAfterIt(t *testing.T) {
	t.Parallel()
	for _, also := range []string{"X-Other: 1", "Vary: Accept"} {
		for _, tag := range []bool{false, true} {
			for _, second := range []time.Duration{0, time.Second, 3 * time.Second} { // no other call, one that ends before, one that ends after
				for _, outside := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) {
						u := says("Cache-Control: max-age=60", "Cache-Tag: news", also)
						spec := cache.Spec{Tags: "Cache-Tag"}
						if outside {
							spec.Store = newStore()
						}
						cached := cache.New(spec)
						var takes atomic.Int64
						takes.Store(int64(2 * time.Second))
						p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
							res, err := u.call(ctx, req)
							<-time.After(time.Duration(takes.Load()))
							return res, err
						}).With(cached.Decorate)
						var wg sync.WaitGroup
						var before got
						wg.Go(func() { before = ask(t, p, get("/")) })
						<-time.After(time.Millisecond)
						if tag {
							require.NoError(t, cached.PurgeTag(t.Context(), "news"))
						} else {
							require.NoError(t, cached.Purge(t.Context(), "/"))
						}
						if takes.Store(int64(second)); second > 0 {
							wg.Go(func() { assert.NotEqual(t, "", ask(t, p, get("/")).body) })
						}
						wg.Wait()
						after := ask(t, p, get("/"))
						assert.NotEqual(t, before.body, after.body)
						assert.NotEqual(t, before.body, ask(t, p, get("/")).body)
						assert.True(t, ask(t, p, get("/")).hit())
					})
				}
			}
		}
	}
}

// proves T24
func TestWhoAsksAfterAPurgeNeverGetsWhatWasBefore(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]cache.Store{"large": nil, "small": cache.NewMemory(8 << 10), "outside": newStore()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var version atomic.Int64
			cached := cache.New(cache.Spec{Store: store, Tags: "Cache-Tag"})
			p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
				now := fmt.Sprint(version.Load())
				runtime.Gosched()
				h := headerOf([]string{"Cache-Control: max-age=60", "Cache-Tag: news", "Vary: " + req.Header.Get("Vary-By")})
				return &proxy.Response{Header: h, Body: proxytest.NewBody(now)}, nil
			}).With(cached.Decorate)
			var wg sync.WaitGroup
			for worker := range 8 {
				wg.Go(func() {
					for i := range 200 {
						path := fmt.Sprint("/", i%3)
						var least int64
						if worker < 2 {
							least = version.Add(1)
							if worker == 0 {
								assert.NoError(t, cached.Purge(t.Context(), path))
							} else {
								assert.NoError(t, cached.PurgeTag(t.Context(), "news"))
							}
						}
						got := ask(t, p, get(path, "Vary-By: Accept", fmt.Sprint("Accept: ", i%2)))
						n, err := strconv.ParseInt(got.body, 10, 64)
						if assert.NoError(t, err) {
							assert.GreaterOrEqual(t, n, least)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// proves T24, T26
func TestCallersOfANewTargetWaitForItsMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.fail(func(context.Context) error { <-time.After(time.Second); return nil }) // it is slow
		u := says("Cache-Control: max-age=60")
		cached := cache.New(cache.Spec{Store: s})
		p := u.leaf().With(cached.Decorate)
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, p, get("/")) })
		<-time.After(500 * time.Millisecond) // neither has found a mark, and the first one sets it
		assert.Zero(t, u.calls.Load())
		wg.Go(func() { ask(t, p, get("/")) })
		wg.Wait()
		assert.EqualValues(t, 1, u.calls.Load())
		s.fail(nil)
		assert.True(t, ask(t, p, get("/")).hit())
	})
}
