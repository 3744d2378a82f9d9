package policy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func coalesced(p proxy.Proxy) proxy.Proxy { return p.With(policy.Coalesce(policy.CoalesceSpec{})) }

// slowly answers with what answer returns, after a second of which it heeds its context.
func slowly(answer func() (*proxy.Response, error)) proxy.Proxy {
	return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		select {
		case <-time.After(time.Second):
			return answer()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func item() (*proxy.Response, error) {
	return &proxy.Response{Header: http.Header{"X-Tag": {"a"}}, Document: document.MustParse(`{"id":1}`)}, nil
}

// An outcome is what a caller got, and when.
type outcome struct {
	res  *proxy.Response
	err  error
	took time.Duration
}

// meeting makes n calls of p at the same time, each with a context that makes made for it.
func meeting(t *testing.T, p proxy.Proxy, n int, made func(i int) (context.Context, context.CancelFunc)) []outcome {
	t.Helper()
	outcomes := make([]outcome, n)
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		if made != nil {
			ctx, cancel = made(i)
		}
		all.Go(func() {
			defer cancel()
			o := &outcomes[i]
			o.res, o.err = p(ctx, proxy.NewRequest("GET", "/item"))
			o.took = time.Since(start)
			if o.res != nil && o.res.Body != nil {
				_, _ = io.ReadAll(o.res.Body)
				_ = o.res.Close()
			}
		})
		synctest.Wait() // so that the callers come in their order
	}
	all.Wait()
	synctest.Wait()
	return outcomes
}

// proves M34
func TestAThousandCallersMakeOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(slowly(item))
		p := coalesced(next)
		for range 2 { // nothing is kept
			calls.Store(0)
			outcomes := meeting(t, p, 1000, nil)
			assert.EqualValues(t, 1, calls.Load())
			seen := map[*proxy.Response]bool{}
			for _, o := range outcomes {
				require.NoError(t, o.err)
				assert.False(t, seen[o.res], "a response of its own")
				seen[o.res] = true
				require.Equal(t, http.Header{"X-Tag": {"a"}}, o.res.Header, "nobody else's writing")
				o.res.Header["X-Tag"][0] = "mine"
				o.res.Header.Set("X-More", "mine")
				assert.JSONEq(t, `{"id":1}`, o.res.Document.String())
				assert.Equal(t, time.Second, o.took)
			}
		}
	})
}

// proves T2
func TestASharedCallEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		start := time.Now()
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			ended = time.Since(start)
			return nil, ctx.Err()
		})
		outcomes := meeting(t, coalesced(next), 5, func(i int) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(i+1)*time.Second, cancel)
			return ctx, cancel
		})
		for i, o := range outcomes {
			assert.ErrorIs(t, o.err, context.Canceled)
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(o.err))
			assert.Equal(t, time.Duration(i+1)*time.Second, o.took)
		}
		assert.EqualValues(t, 1, calls.Load())
		assert.Equal(t, 5*time.Second, ended)
	})
}

func TestACallerThatLeavesDoesNotEndTheCallOfOthers(t *testing.T) {
	t.Parallel()
	for leaving := range 3 {
		synctest.Test(t, func(t *testing.T) {
			next, calls := counted(slowly(item))
			outcomes := meeting(t, coalesced(next), 3, func(i int) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				if i == leaving {
					time.AfterFunc(time.Millisecond, cancel)
				}
				return ctx, cancel
			})
			for i, o := range outcomes {
				if i == leaving {
					assert.ErrorIs(t, o.err, context.Canceled)
					assert.Equal(t, time.Millisecond, o.took)
				} else {
					assert.NoError(t, o.err)
				}
			}
			assert.EqualValues(t, 1, calls.Load())
		})
	}
}

// proves T3
func TestCallersWithMoreTimeShareOneMoreCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			return slowly(item)(ctx, nil)
		})
		times := []time.Duration{500 * time.Millisecond, 200 * time.Millisecond, 5 * time.Second, 10 * time.Second, 4 * time.Second, 500 * time.Millisecond}
		outcomes := meeting(t, coalesced(next), len(times), func(i int) (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), times[i])
		})
		for i, o := range outcomes {
			if times[i] < time.Second {
				assert.ErrorIs(t, o.err, context.DeadlineExceeded)
				assert.Equal(t, times[i], o.took)
			} else {
				assert.NoError(t, o.err)
				assert.Equal(t, 1500*time.Millisecond, o.took)
			}
		}
		assert.EqualValues(t, 2, calls.Load())
	})
}

func TestTheLeaderOfAFurtherCallMayLeave(t *testing.T) {
	t.Parallel()
	for range 50 { // which of the two comes first is chance
		synctest.Test(t, func(t *testing.T) {
			next, calls := counted(slowly(item))
			outcomes := meeting(t, coalesced(next), 4, func(i int) (context.Context, context.CancelFunc) {
				if i == 0 {
					return context.WithTimeout(t.Context(), 500*time.Millisecond)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Minute)
				if i == 3 { // has most time, and leaves as it is to lead
					time.AfterFunc(500*time.Millisecond, cancel)
				}
				return ctx, cancel
			})
			assert.ErrorIs(t, outcomes[0].err, context.DeadlineExceeded)
			for _, o := range outcomes[1:3] {
				assert.NoError(t, o.err)
				assert.Equal(t, 1500*time.Millisecond, o.took)
			}
			assert.ErrorIs(t, outcomes[3].err, context.Canceled)
			assert.LessOrEqual(t, calls.Load(), int32(3))
		})
	}
}

// proves T3
func TestTheFurtherCallIsThatOfTheCallerWithMostTime(t *testing.T) {
	t.Parallel()
	times := []time.Duration{500 * time.Millisecond, 4 * time.Second, time.Minute, 5 * time.Second}
	deadlines := func(t *testing.T) func(int) (context.Context, context.CancelFunc) {
		return func(i int) (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), times[i]) }
	}
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			return hangsFor(ctx, 6*time.Second)
		})
		for i, o := range meeting(t, coalesced(next), len(times), deadlines(t)) {
			if i == 2 {
				assert.NoError(t, o.err)
				assert.Equal(t, 6500*time.Millisecond, o.took)
			} else {
				assert.ErrorIs(t, o.err, context.DeadlineExceeded)
				assert.Equal(t, times[i], o.took)
			}
		}
		assert.EqualValues(t, 2, calls.Load())
	})
	synctest.Test(t, func(t *testing.T) { // who has begun a call has its stream, and does not call again
		next, calls := counted(slowly(func() (*proxy.Response, error) { return &proxy.Response{Body: newBody("rows")}, nil }))
		outcomes := meeting(t, coalesced(next), len(times), deadlines(t))
		assert.ErrorIs(t, outcomes[0].err, context.DeadlineExceeded)
		assert.Equal(t, 2500*time.Millisecond, outcomes[1].took)
		assert.Equal(t, 1500*time.Millisecond, outcomes[2].took)
		assert.Equal(t, 2500*time.Millisecond, outcomes[3].took)
		assert.EqualValues(t, 4, calls.Load())
	})
	synctest.Test(t, func(t *testing.T) { // a stream that comes as the time is over could not be read
		late := newBody("late")
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			if late.closes.Load() > 0 {
				return item()
			}
			<-ctx.Done()
			return &proxy.Response{Body: late}, nil
		})
		outcomes := meeting(t, coalesced(leaf(next, pipe.HonoursContext)), 2, deadlines(t))
		assert.ErrorIs(t, outcomes[0].err, context.DeadlineExceeded)
		require.NoError(t, outcomes[1].err)
		assert.Nil(t, outcomes[1].res.Body)
		assert.EqualValues(t, 2, calls.Load())
		assert.EqualValues(t, 1, late.closes.Load())
	})
}

// A leavingContext ends when it is first waited for, after before has run.
type leavingContext struct {
	context.Context
	before func()
	cancel context.CancelFunc
}

func (c *leavingContext) Done() <-chan struct{} {
	if before := c.before; before != nil {
		c.before = nil
		before()
		c.cancel()
	}
	return c.Context.Done()
}

func TestACallerThatLeavesBeforeItsCallBeginsIsReplaced(t *testing.T) {
	t.Parallel()
	for range 20 { // whether it begins the call or leaves first is chance
		synctest.Test(t, func(t *testing.T) {
			p := coalesced(slowly(item))
			var others sync.WaitGroup
			inner, cancel := context.WithCancel(t.Context())
			ctx := &leavingContext{Context: inner, cancel: cancel, before: func() {
				for range 2 {
					others.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						_, err := p(ctx, proxy.NewRequest("GET", "/"))
						assert.NoError(t, err)
					})
				}
				synctest.Wait() // they wait for the call
			}}
			_, err := p(ctx, proxy.NewRequest("GET", "/"))
			assert.ErrorIs(t, err, context.Canceled)
			others.Wait()
			synctest.Wait()
		})
	}
}

func TestACallThatAllHaveLeftIsNotJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := coalesced(leaf(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := slowly(item)(ctx, req)
			if err != nil {
				<-time.After(time.Millisecond) // it has to clean up
			}
			return res, err
		}, pipe.HonoursContext))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, context.Canceled)
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.NoError(t, err)
	})
}

func TestCallersWhoseAnswersAreMadeInAnotherWayShareNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var scope call.Scope
		scope.Serve(&pipe.Step{}) // no code of a user sees an answer
		next, calls := counted(slowly(item))
		meeting(t, coalesced(next), 4, func(i int) (context.Context, context.CancelFunc) {
			if i%2 == 0 {
				return context.WithCancel(t.Context())
			}
			return context.WithCancel(scope.Context(t.Context()))
		})
		assert.EqualValues(t, 2, calls.Load())
	})
}

// proves T4
func TestAPanicOfAKeyReachesItsCallerAlone(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(answers).With(pipe.Recover, policy.Coalesce(policy.CoalesceSpec{
		Key: func(_ context.Context, req *proxy.Request) (string, error) {
			if req.Path == "/bug" {
				panic("bug")
			}
			return "", nil
		}}))
	_, err := p(t.Context(), proxy.NewRequest("GET", "/bug"))
	assert.True(t, call.Panicked(err))
	_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	assert.False(t, pipe.PlanOf(p).HonoursContext(), "nobody knows how long the Key takes")
}

// proves T4
func TestFailuresAreShared(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (*proxy.Response, error){
		"an error":       func() (*proxy.Response, error) { return nil, errReset },
		"a panic":        func() (*proxy.Response, error) { panic("bug") },
		"runtime.Goexit": func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil },
		"nothing":        func() (*proxy.Response, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := counted(slowly(answer))
				p := coalesced(next)
				for _, o := range meeting(t, p, 10, nil) {
					require.Error(t, o.err)
					assert.Nil(t, o.res)
					switch name {
					case "an error":
						assert.ErrorIs(t, o.err, errReset)
					case "nothing":
						assert.ErrorIs(t, o.err, proxy.ErrNoResponse)
					default:
						_, ok := errors.AsType[*pipe.PanicError](o.err)
						assert.True(t, ok, o.err)
						assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(o.err))
					}
				}
				assert.EqualValues(t, 1, calls.Load())
			})
		})
	}
}

// proves T8
func TestAnAnswerThatMustNotBeSharedGoesToOneCaller(t *testing.T) {
	t.Parallel()
	with := func(name, value string) func() (*proxy.Response, error) {
		return func() (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{name: {value}}, Document: document.MustParse(`1`)}, nil
		}
	}
	for name, answer := range map[string]func() (*proxy.Response, error){
		"a stream":      func() (*proxy.Response, error) { return &proxy.Response{Body: newBody("rows")}, nil },
		"Set-Cookie":    with("Set-Cookie", "session=1"),
		"private":       with("Cache-Control", "max-age=5, Private"),
		"private field": with("Cache-Control", `private="X-Tag, X-User"`),
		"no-store":      with("Cache-Control", "no-store"),
		"Vary":          with("Vary", "Accept, *"),
		"private for a client of the upstream": func() (*proxy.Response, error) {
			return &proxy.Response{Origin: http.Header{"Cache-Control": {"private"}}, Document: document.MustParse(`1`)}, nil
		},
		"too large": func() (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse(`"` + strings.Repeat("x", 1<<20) + `"`)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := counted(slowly(answer))
				p := coalesced(next)
				took := func(want ...time.Duration) {
					t.Helper()
					outcomes := meeting(t, p, len(want), nil)
					for i, o := range outcomes {
						require.NoError(t, o.err)
						assert.Equal(t, want[i], o.took)
					}
				}
				took(time.Second, 2*time.Second, 2*time.Second, 2*time.Second)
				assert.EqualValues(t, 4, calls.Load(), "the others call at once")
				took(time.Second, time.Second, time.Second)
				assert.EqualValues(t, 7, calls.Load(), "the key is left alone")
				<-time.After(8*time.Second - time.Nanosecond) // from the answer until here: 10 s but a moment
				took(time.Second, time.Second)
				assert.EqualValues(t, 9, calls.Load())
				took(time.Second, 2*time.Second)
				assert.EqualValues(t, 11, calls.Load(), "it is tried again")
			})
		})
	}
}

func TestOneCallersAnswerIsItsOwnIfTheLeaderHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bodies []*body
		next, calls := counted(slowly(func() (*proxy.Response, error) {
			b := newBody("rows")
			bodies = append(bodies, b)
			return &proxy.Response{Body: b}, nil
		}))
		outcomes := meeting(t, coalesced(next), 2, func(i int) (context.Context, context.CancelFunc) {
			if i == 0 {
				return context.WithTimeout(t.Context(), time.Minute)
			}
			return context.WithTimeout(t.Context(), time.Hour)
		})
		require.NoError(t, errors.Join(outcomes[0].err, outcomes[1].err))
		assert.EqualValues(t, 2, calls.Load())

		outcomes = meeting(t, coalesced(next), 2, func(i int) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			if i == 0 {
				time.AfterFunc(time.Millisecond, cancel)
			}
			return ctx, cancel
		})
		assert.ErrorIs(t, outcomes[0].err, context.Canceled)
		assert.NoError(t, outcomes[1].err)
		assert.EqualValues(t, 3, calls.Load())
		for _, b := range bodies {
			assert.EqualValues(t, 1, b.closes.Load())
		}
	})
}

func TestAStreamLivesAsLongAsItsCaller(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"closed", "left"} {
		synctest.Test(t, func(t *testing.T) {
			var inner context.Context
			p := coalesced(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				inner = ctx
				return &proxy.Response{Body: newBody("rows")}, nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := p(ctx, proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			<-time.After(time.Hour)
			assert.NoError(t, inner.Err())
			if end == "closed" {
				require.NoError(t, res.Close())
			} else {
				cancel()
				synctest.Wait()
			}
			assert.ErrorIs(t, inner.Err(), context.Canceled)
			_ = res.Close()
		})
	}
}

// Each row differs from the call that it is made beside in one thing.
//
// proves T8
func TestCallsThatDifferShareNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(req *proxy.Request){
		"method":                     func(req *proxy.Request) { req.Method = "HEAD" },
		"scheme":                     func(req *proxy.Request) { req.Scheme = "https" },
		"host":                       func(req *proxy.Request) { req.Host = "other.test" },
		"path":                       func(req *proxy.Request) { req.Path = "/b" },
		"pattern":                    func(req *proxy.Request) { req.Pattern = "/{id}" },
		"query":                      func(req *proxy.Request) { req.Query.Set("q", "ab,c") },
		"a further value":            func(req *proxy.Request) { req.Query["q"] = []string{"ab", "c", ""} },
		"the bounds of values":       func(req *proxy.Request) { req.Query["q"] = []string{"a", "bc"} },
		"raw query":                  func(req *proxy.Request) { req.RawQuery = "q=ab&q=%63" },
		"what code sends of a query": func(req *proxy.Request) { req.UpstreamQuery = []string{"q"} },
		"a param":                    func(req *proxy.Request) { req.Params.Set("id", "2") },
		"the rest of a path":         func(req *proxy.Request) { req.Params.SetRest("a") },
		"Authorization":              func(req *proxy.Request) { req.Header.Set("Authorization", "Bearer b") },
		"Cookie":                     func(req *proxy.Request) { req.Header.Set("Cookie", "session=2") },
		"a header without a value":   func(req *proxy.Request) { req.Header["X-None"] = nil },
		"Upstream":                   func(req *proxy.Request) { req.Upstream.Set("X-User", "eve") },
		"a header moved to Upstream": func(req *proxy.Request) { req.Header.Del("X-H"); req.Upstream.Set("X-H", "h") },
		"the address of the client":  func(req *proxy.Request) { req.Remote = netip.MustParseAddrPort("192.0.2.1:1") },
		"the certificate of the client": func(req *proxy.Request) {
			req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("eve")}}}
		},
		"the caller":                  func(req *proxy.Request) { req.Caller = &proxy.Caller{ID: "eve"} },
		"a change of protocols":       func(req *proxy.Request) { req.Upgrade = "websocket" },
		"a body":                      func(req *proxy.Request) { req.SetBody("text/plain", []byte("x")) },
		"a method that is not a safe": func(req *proxy.Request) { req.Method = "POST" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := counted(slowly(item))
				p := coalesced(next)
				var all sync.WaitGroup
				for i := range 3 {
					req := proxy.NewRequest("GET", "/a")
					req.Scheme, req.Host, req.Pattern, req.RawQuery = "http", "a.test", "/a", "q=ab&q=c"
					req.Query["q"] = []string{"ab", "c"}
					req.Header.Set("X-H", "h")
					req.Header.Set("Authorization", "Bearer a")
					req.Header.Set("Cookie", "session=1")
					req.Upstream.Set("X-User", "ada")
					req.Params.Set("id", "1")
					if i == 2 {
						change(req)
					}
					all.Go(func() {
						_, err := p(t.Context(), req)
						assert.NoError(t, err)
					})
				}
				all.Wait()
				assert.EqualValues(t, 2, calls.Load())
			})
		})
	}
}

// taking returns p as a leaf that takes headers of the client.
func taking(p proxy.Proxy, names []string) proxy.Proxy {
	return pipe.Describe(p, pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext, Takes: names})
}

func TestByDefaultCountsWhatReachesAnUpstream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		takes []string // of the leaf
		calls int64    // by clients with two languages and three cookies, each from an address of its own
	}{
		{"nothing", []string{}, 1},
		{"a named header", []string{"Accept-Language"}, 2},
		{"two named headers", []string{"accept-language", "Cookie"}, 6},
		{"all but one", []string{"*", "-cookie"}, 2},
		{"all", []string{"*"}, 6},
		{"not told", nil, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := counted(slowly(item))
				for _, p := range []proxy.Proxy{taking(next, c.takes), taking(next, c.takes).With(policy.Retry(policy.Attempts{}))} {
					calls.Store(0)
					p := p.With(policy.Coalesce(policy.CoalesceSpec{}))
					var all sync.WaitGroup
					for i := range 60 {
						req := proxy.NewRequest("GET", "/")
						req.Header.Set("Accept-Language", []string{"en", "de"}[i%2])
						req.Header.Set("Cookie", fmt.Sprint(i/2%3))
						req.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1)
						all.Go(func() {
							_, err := p(t.Context(), req)
							assert.NoError(t, err)
						})
					}
					all.Wait()
					assert.EqualValues(t, c.calls, calls.Load())
				}
			})
		})
	}
}

// proves T8
func TestCallersShareNothingWhereSomethingInsideGoesByThem(t *testing.T) {
	t.Parallel()
	asks := func(next proxy.Proxy) proxy.Proxy { // as a step that admits callers does
		return pipe.Describe(next, pipe.Step{Kind: "allow", Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller, Takes: []string{}}, next)
	}
	one := func(context.Context, *proxy.Request) (string, error) { return "", nil }
	for _, c := range []struct {
		name  string
		next  func(proxy.Proxy) proxy.Proxy
		spec  policy.CoalesceSpec
		calls int64 // by three callers and nobody
	}{
		{"nothing inside goes by the caller", func(p proxy.Proxy) proxy.Proxy { return taking(p, []string{}) }, policy.CoalesceSpec{}, 1},
		{"code that no plan shows is inside", func(p proxy.Proxy) proxy.Proxy { return p }, policy.CoalesceSpec{}, 4},
		{"a step inside decides by the caller, whatever the Key", func(p proxy.Proxy) proxy.Proxy { return taking(p, []string{}).With(asks) }, policy.CoalesceSpec{Key: one}, 4},
		{"the Key is the caller", func(p proxy.Proxy) proxy.Proxy { return p }, policy.CoalesceSpec{Key: policy.ByCaller}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				next, calls := counted(slowly(item))
				p := c.next(next).With(policy.Coalesce(c.spec))
				require.NoError(t, pipe.PlanOf(p).Faults())
				var all sync.WaitGroup
				for i := range 12 {
					req := by([]string{"", "ann", "bob", "cleo"}[i%4])
					all.Go(func() {
						_, err := p(t.Context(), req)
						assert.NoError(t, err)
					})
				}
				all.Wait()
				assert.EqualValues(t, c.calls, calls.Load())
			})
		})
	}
	for _, key := range []policy.Key{nil, one} {
		inside := taking(answers, []string{}).With(policy.Coalesce(policy.CoalesceSpec{Key: key}), authenticates)
		assert.ErrorContains(t, pipe.PlanOf(inside).Faults(), "policy: Coalesce: auth inside finds out who the caller is: put it outside")
	}
}

// proves T8
func TestATokenDoesNotShareTheAnswerForAnotherOfItsUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		admin := func(next proxy.Proxy) proxy.Proxy {
			return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				if !req.Caller.HasScope("admin") {
					return nil, &proxy.Error{Status: http.StatusForbidden}
				}
				return next(ctx, req)
			}, pipe.Step{Kind: "allow", Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller, Takes: []string{}}, next)
		}
		p := taking(slowly(item), []string{}).With(policy.Coalesce(policy.CoalesceSpec{Key: policy.ByCaller}), admin)
		var all sync.WaitGroup
		for i, want := range []int{http.StatusOK, http.StatusForbidden} {
			req := by("ada")
			req.Caller = &proxy.Caller{Scheme: "jwt", ID: "ada", Scopes: [][]string{{"admin"}, nil}[i]}
			all.Go(func() {
				res, err := p(t.Context(), req)
				if want == http.StatusOK {
					assert.NoError(t, err)
					assert.Equal(t, want, res.StatusCode())
				} else {
					assert.Equal(t, want, proxy.StatusOf(err))
				}
			})
			synctest.Wait()
		}
		all.Wait()
	})
}

func TestAKeySaysWhatOfTheClientCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		language := func(_ context.Context, req *proxy.Request) (string, error) {
			if req.Header.Get("Accept-Language") == "?" {
				return "", errReset
			}
			return req.Header.Get("Accept-Language"), nil
		}
		next, calls := counted(slowly(item))
		p := next.With(policy.Coalesce(policy.CoalesceSpec{Key: language}))
		var all sync.WaitGroup
		for i := range 40 {
			req := proxy.NewRequest("GET", "/")
			req.Header.Set("User-Agent", fmt.Sprint(i))
			req.Header.Set("Accept-Language", []string{"en", "de"}[i%2])
			req.Upstream.Set("Authorization", []string{"a", "b"}[i/2%2])
			all.Go(func() {
				_, err := p(t.Context(), req)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		assert.EqualValues(t, 4, calls.Load(), "languages and credentials")

		req := proxy.NewRequest("GET", "/")
		req.Header.Set("Accept-Language", "?")
		_, err := p(t.Context(), req)
		assert.EqualError(t, err, "coalesce: connection reset by peer")
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	})
}

// proves T5
func TestCoalesceIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(slowly(item))
		p := next.With(policy.Coalesce(policy.CoalesceSpec{MaxKeys: 2}))
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, err := p(t.Context(), proxy.NewRequest("GET", fmt.Sprint("/", i%4)))
				assert.NoError(t, err)
			})
			synctest.Wait()
		}
		all.Wait()
		assert.EqualValues(t, 2+4, calls.Load(), "two keys are shared, and the calls of two are not")
	})
}

// proves T5
func TestKeysThatAreLeftAloneAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(slowly(func() (*proxy.Response, error) { return &proxy.Response{Body: newBody("x")}, nil }))
		p := next.With(policy.Coalesce(policy.CoalesceSpec{MaxKeys: 1}))
		get := func(path string) {
			res, err := p(t.Context(), proxy.NewRequest("GET", path))
			require.NoError(t, err)
			require.NoError(t, res.Close())
		}
		get("/a")
		get("/b") // takes the place of /a
		calls.Store(0)
		start := time.Now()
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { get("/a") })
		}
		all.Wait()
		assert.Equal(t, 2*time.Second, time.Since(start), "shared again, in vain")
	})
}

// proves T3
func TestACalleeThatIgnoresItsContextIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &reports{}
		scope := r.scope()
		late := newBody("late")
		p := coalesced(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-time.After(time.Minute)
			return &proxy.Response{Body: late}, nil
		})
		for _, o := range meeting(t, p, 3, func(int) (context.Context, context.CancelFunc) {
			return context.WithTimeout(scope.Context(t.Context()), time.Second)
		}) {
			assert.ErrorIs(t, o.err, context.DeadlineExceeded)
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(o.err))
			assert.Equal(t, time.Second, o.took)
		}
		assert.Equal(t, 1, scope.Abandoned())
		<-time.After(time.Hour)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assert.EqualValues(t, 1, late.closes.Load())
	})
}

func TestAPanicThatNobodyWaitsForIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &reports{}
		p := coalesced(leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			panic("bug at the end")
		}, pipe.HonoursContext))
		ctx, cancel := context.WithCancel(r.scope().Context(t.Context()))
		time.AfterFunc(time.Second, cancel)
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		require.Len(t, r.errs, 1)
		assert.True(t, call.Panicked(r.errs[0]))
	})
}

// Whatever becomes of a call, alone, in a merge or as a stream, nothing is left: the next callers
// share a call again.
//
// proves T2, T5
func TestNothingIsLeftOfASharedCall(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(proxy.Proxy) proxy.Proxy{
		"alone": func(p proxy.Proxy) proxy.Proxy { return p },
		"merged": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: answers})
		},
		"left": func(p proxy.Proxy) proxy.Proxy { return p.With(proxy.Hold(0)) },
	}
	for _, fault := range slotFaults {
		for shape, in := range shapes {
			t.Run(fault.name+", "+shape, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var healed atomic.Bool
					next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
						if healed.Load() {
							return slowly(item)(ctx, nil)
						}
						return fault.answer(ctx)
					})
					p := in(coalesced(next))
					deadline := func(int) (context.Context, context.CancelFunc) {
						return context.WithTimeout(t.Context(), 10*time.Second)
					}
					meeting(t, p, 5, deadline)
					<-time.After(2 * time.Minute)
					healed.Store(true)
					calls.Store(0)
					for _, o := range meeting(t, p, 5, deadline) {
						assert.NoError(t, o.err)
					}
					assert.EqualValues(t, 1, calls.Load())
				})
			})
		}
	}
}

// Callers with random patience come and go; nobody gets a wrong answer or waits beyond its time.
func TestCallersOfSharedCallsComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		p := coalesced(leaf(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if _, err := hangsFor(ctx, 700*time.Microsecond); err != nil {
				return nil, err
			}
			return &proxy.Response{Header: http.Header{"X-Path": {req.Path}}}, nil
		}, pipe.HonoursContext))
		var all sync.WaitGroup
		for i := range 3000 {
			all.Go(func() {
				<-time.After(time.Duration(1+i%97) * 100 * time.Microsecond)
				d := time.Duration(1+i%13) * 150 * time.Microsecond
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				path, start := fmt.Sprint("/", i%3), time.Now()
				res, err := p(ctx, proxy.NewRequest("GET", path))
				assert.LessOrEqual(t, time.Since(start), d)
				if err == nil {
					assert.Equal(t, path, res.Header.Get("X-Path"))
					res.Header.Set("X-Path", "mine")
				} else {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		assert.Zero(t, running.Load())
		assert.LessOrEqual(t, most.Load(), int32(6), "a call of each key, and one that is ending")
	})
}

// Callers that are watched share a call, and some leave: what each of them has seen keeps the law.
func TestTheTracesOfCallersThatShareACall(t *testing.T) {
	t.Parallel()
	for _, known := range []pipe.Effects{0, pipe.HonoursContext} {
		for leaving := range 4 { // 3 is none
			synctest.Test(t, func(t *testing.T) {
				p := coalesced(leaf(slowly(item), known))
				plan := pipe.PlanOf(p)
				traces := make([]*explain.Trace, 3)
				var all sync.WaitGroup
				for i := range traces {
					trace := explain.New(plan)
					traces[i] = trace
					all.Go(func() {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						if i == leaving {
							time.AfterFunc(time.Millisecond, cancel)
						}
						_, err := pipe.Watched(p, trace.Watch())(ctx, proxy.NewRequest("GET", "/"))
						assert.Equal(t, i == leaving, err != nil)
					})
					synctest.Wait()
				}
				all.Wait()
				synctest.Wait()
				for i, trace := range traces {
					assert.NoError(t, trace.Check(plan), "%v", trace)
					assert.Equal(t, i > 0, strings.Contains(trace.String(), "coalesced"), "%v", trace)
					assert.Equal(t, i > 0, strings.Contains(trace.String(), "did not run"), "%v", trace)
					assert.Equal(t, i == 0 && leaving == 0, strings.Contains(trace.String(), "abandoned"), "%v", trace)
				}
				for step := range plan.All() {
					assert.False(t, step.Watched())
				}
			})
		}
	}
}

func TestCoalesceInThePlan(t *testing.T) {
	t.Parallel()
	known := leaf(answers, pipe.HonoursContext)
	plan := func(p proxy.Proxy, s policy.CoalesceSpec) string {
		return pipe.PlanOf(p.With(policy.Coalesce(s))).String()
	}
	for by, next := range map[string]proxy.Proxy{
		"":                          taking(answers, []string{}),
		"by Accept-Language, Dnt, ": taking(answers, []string{"Dnt", "accept-language"}),
		"by header, ":               taking(answers, []string{"*", "-Cookie"}),
		"by client and header, ":    known,
	} {
		assert.Contains(t, plan(next, policy.CoalesceSpec{}), "coalesce ("+by+"10000 keys, up to 1048576 bytes)")
	}
	assert.Contains(t, plan(known, policy.CoalesceSpec{Name: "items", Key: policy.ByClient, MaxKeys: -1, MaxShare: -1}),
		"coalesce items (by client, any number of keys, any size)")
	assert.Contains(t, plan(leaf(answers, pipe.NotIdempotent), policy.CoalesceSpec{}), "coalesce (never: upstream is not idempotent)")
	assert.Contains(t, plan(leaf(answers, pipe.Streams), policy.CoalesceSpec{}), "coalesce (never: the answers are streams)")
	assert.True(t, pipe.PlanOf(coalesced(answers)).HonoursContext())

	trusting := func(context.Context, *proxy.Request) bool { return true }
	inside := known.With(policy.Coalesce(policy.CoalesceSpec{Name: "items"}), policy.TakeDeadline("X-Deadline", trusting))
	assert.Contains(t, pipetest.Faults(pipe.PlanOf(inside)), "policy: Coalesce (items): ")
	assert.Contains(t, pipetest.Faults(pipe.PlanOf(inside)), " inside decides by who the caller is: put it outside, or set Key")
	assert.Contains(t, pipetest.Faults(pipe.PlanOf(known.With(policy.Coalesce(policy.CoalesceSpec{Key: policy.ByParam("")})))),
		"policy: ByParam: the name is empty")
}

func TestCoalesceConforms(t *testing.T) {
	t.Parallel()
	for _, spec := range []policy.CoalesceSpec{{}, {Key: policy.ByClient, MaxKeys: 1, MaxShare: 1}} {
		coalesce := func() proxy.Decorator { return policy.Coalesce(spec) }
		proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: coalesce})
		var n atomic.Int64 // no two requests are equal, so that each call must have an answer of its own
		proxytest.Conform(t, nil, proxytest.Options{New: coalesce, Request: func() *proxy.Request {
			return proxy.NewRequest("GET", fmt.Sprint("/", n.Add(1)))
		}})
	}
	proxytest.Conform(t, nil, proxytest.Options{New: func() proxy.Decorator { return policy.Coalesce(policy.CoalesceSpec{}) },
		Request: func() *proxy.Request { return proxy.NewRequest("POST", "/orders") }})
}
