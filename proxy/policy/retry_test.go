package policy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
)

// eager are attempts without waits and without a limit on further tries.
func eager(tries int) policy.Attempts {
	return policy.Attempts{Max: tries, Backoff: -1, Budget: policy.NewBudget(-1, -1)}
}

func after(value string) http.Header { return http.Header{"Retry-After": {value}} }

func answered(status int, h http.Header) error {
	shown := status
	if status >= 500 && status != 503 && status != 504 {
		shown = http.StatusBadGateway
	}
	return &proxy.Error{Status: shown, Backend: "users", Op: "status", Header: h, Upstream: &proxy.UpstreamAnswer{Status: status}}
}

func TestRetryRepeatsOnlyFailuresThatMayPass(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	_, broken := document.Parse([]byte("{"))
	tests := []struct {
		name  string
		err   error
		tries int32
	}{
		{"no connection", &proxy.Error{Status: 502, Op: "dial", Err: dial}, 3},
		{"a plain dial error", dial, 3},
		{"a reset before the answer", &proxy.Error{Op: "read", Err: syscall.ECONNRESET}, 3},
		{"a cut answer", &proxy.Error{Status: 502, Op: "read", Err: io.ErrUnexpectedEOF}, 3},
		{"a timeout", context.DeadlineExceeded, 3},
		{"502", answered(502, nil), 3},
		{"503", answered(503, nil), 3},
		{"504", answered(504, nil), 3},
		{"503 with Retry-After", answered(503, after("0")), 3},
		{"503 with a Retry-After that is none", answered(503, after("soon")), 3},
		{"429 with Retry-After", answered(429, after("0")), 3},
		{"429 with a date", answered(429, after("Mon, 01 Jan 2001 00:00:00 GMT")), 3},
		{"wrapped 429", fmt.Errorf("part a: %w", answered(429, after("0"))), 3},
		{"a cut answer, found by the decoder", &proxy.Error{Status: 502, Op: "decode", Err: io.ErrUnexpectedEOF}, 3},
		{"a cancelled call of a caller that is there", &proxy.Error{Status: 502, Op: "send", Err: context.Canceled}, 3},
		{"an answer in another coding", &proxy.Error{Status: 502, Op: "decode", Err: errors.New("content coding zstd")}, 1},
		{"a URL that cannot be made", &proxy.Error{Status: 502, Op: "resolve", Err: errors.New("param id: no value")}, 1},
		{"500, mapped to 503", &proxy.Error{Status: 503, Upstream: &proxy.UpstreamAnswer{Status: 500}}, 3},
		{"429 with the header around it", &proxy.Error{Status: 429, Header: after("0"), Err: &proxy.Error{Op: "status", Header: http.Header{}}}, 3},
		{"429 without", answered(429, nil), 1},
		{"429 with a Retry-After that is none", answered(429, after("-1")), 1},
		{"400", answered(400, nil), 1},
		{"404", answered(404, nil), 1},
		{"408", answered(408, nil), 1},
		{"500, shown as 502", answered(500, nil), 1},
		{"501, shown as 502", answered(501, nil), 1},
		{"401, shown as 502", &proxy.Error{Status: 502, Upstream: &proxy.UpstreamAnswer{Status: 401}}, 1},
		{"wrapped 500", &proxy.Error{Op: "x", Err: answered(500, nil)}, 1},
		{"client gone", context.Canceled, 1},
		{"a panic", pipe.NewPanicError("bug"), 1},
		{"a broken document", &proxy.Error{Status: 502, Op: "decode", Err: broken}, 1},
		{"a stream to be merged", &proxy.Error{Status: 502, Op: "merge", Err: proxy.ErrStream}, 1},
		{"a 304 to be merged", &proxy.Error{Status: 502, Op: "merge", Err: proxy.ErrNotModified}, 1},
		{"a merge that does not fit", &document.MergeError{Err: document.ErrNotObject}, 1},
		{"a body for two", &proxy.Error{Op: "clone", Err: proxy.ErrBodyNotReplayable}, 1},
		{"abandoned calls", &proxy.Error{Status: 503, Op: "hold", Err: proxy.ErrAbandoned}, 1},
		{"our own limit", &proxy.Error{Status: 429, Op: "limit", Err: policy.ErrLimited, Header: after("0")}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			upstream, calls := counted(fails(tt.err))
			_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Equal(t, tt.tries, calls.Load())
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, proxy.StatusOf(tt.err), proxy.StatusOf(err))
			if tt.tries > 1 {
				assert.EqualError(t, err, "retry: 3 tries: "+tt.err.Error())
			} else {
				assert.Equal(t, tt.err, err, "one try needs no word")
			}
		})
	}
}

// proves M19
func TestRetryHoldsACalleeToItsContract(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil })
	res, err := upstream.With(policy.Retry(eager(3)))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Nil(t, res)
	assert.ErrorIs(t, err, proxy.ErrNoResponse)
	assert.EqualValues(t, 1, calls.Load())

	both := newBody("both")
	upstream, calls = counted(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: both}, errReset
	})
	_, err = upstream.With(policy.Retry(eager(3)))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, errReset)
	assert.EqualValues(t, 3, calls.Load())
	assert.EqualValues(t, 3, both.closes.Load())
}

// proves M37
func TestRetryJudgesAStreamByItsStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		header http.Header
		tries  int
	}{
		{"200", 200, nil, 1},
		{"no status", 0, nil, 1},
		{"404", 404, nil, 1},
		{"500", 500, nil, 1},
		{"502", 502, nil, 3},
		{"503", 503, nil, 3},
		{"504", 504, nil, 3},
		{"429", 429, nil, 1},
		{"429 with Retry-After", 429, after("0"), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var bodies []*body
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				bodies = append(bodies, newBody("rows"))
				return &proxy.Response{Status: tt.status, Header: tt.header, Body: bodies[len(bodies)-1]}, nil
			}).With(policy.Retry(eager(3)))
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			require.Len(t, bodies, tt.tries)
			last := bodies[tt.tries-1]
			for _, b := range bodies[:tt.tries-1] {
				assert.EqualValues(t, 1, b.closes.Load())
			}
			assert.Zero(t, last.closes.Load())
			text, err := io.ReadAll(res.Body)
			assert.NoError(t, err)
			assert.Equal(t, "rows", string(text))
			assert.NoError(t, res.Close())
			assert.EqualValues(t, 1, last.closes.Load())
		})
	}
}

func TestRetryTakesADocumentForAnAnswer(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusServiceUnavailable}, nil // as with a Spec that lists 503 in its Statuses
	})
	_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	assert.EqualValues(t, 1, calls.Load())
}

func TestRetryBelievesWhatTheLeavesDeclare(t *testing.T) {
	t.Parallel()
	keyed := func(method string) *proxy.Request {
		req := proxy.NewRequest(method, "/")
		req.Header.Set("Idempotency-Key", "k")
		return req
	}
	credited := proxy.NewRequest("POST", "/")
	credited.Upstream.Set("Idempotency-Key", "k")
	empty := keyed("POST") // code removed the client's key
	empty.Upstream["Idempotency-Key"] = nil
	upgrade := proxy.NewRequest("GET", "/")
	upgrade.Upgrade = "websocket"
	unsafe := eager(2)
	unsafe.Unsafe = true
	tests := []struct {
		name     string
		effects  pipe.Effects
		attempts policy.Attempts
		req      *proxy.Request
		tries    int32
	}{
		{"undeclared, GET", 0, eager(2), proxy.NewRequest("GET", "/"), 2},
		{"undeclared, HEAD", 0, eager(2), proxy.NewRequest("HEAD", "/"), 2},
		{"undeclared, OPTIONS", 0, eager(2), proxy.NewRequest("OPTIONS", "/"), 2},
		{"undeclared, TRACE", 0, eager(2), proxy.NewRequest("TRACE", "/"), 2},
		{"undeclared, PUT", 0, eager(2), proxy.NewRequest("PUT", "/"), 2},
		{"undeclared, DELETE", 0, eager(2), proxy.NewRequest("DELETE", "/"), 2},
		{"undeclared, POST", 0, eager(2), proxy.NewRequest("POST", "/"), 1},
		{"undeclared, PATCH", 0, eager(2), proxy.NewRequest("PATCH", "/"), 1},
		{"undeclared, no method", 0, eager(2), proxy.NewRequest("", "/"), 1},
		{"undeclared, POST with a key of the client", 0, eager(2), keyed("POST"), 1},
		{"undeclared, POST with a key of ours", 0, eager(2), credited, 2},
		{"undeclared, POST with no key of ours", 0, eager(2), empty, 1},
		{"undeclared, POST, unsafe", 0, unsafe, proxy.NewRequest("POST", "/"), 2},
		{"undeclared, upgrade", 0, unsafe, upgrade, 1},
		{"idempotent, POST", pipe.Idempotent, eager(2), proxy.NewRequest("POST", "/"), 2},
		{"not idempotent, GET", pipe.NotIdempotent, eager(2), proxy.NewRequest("GET", "/"), 1},
		{"not idempotent, with a key of the client", pipe.NotIdempotent, eager(2), keyed("GET"), 1},
		{"not idempotent, unsafe", pipe.NotIdempotent, unsafe, proxy.NewRequest("GET", "/"), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			upstream, calls := counted(fails(errReset))
			p := leaf(upstream, tt.effects).With(policy.Retry(tt.attempts))
			_, err := p(t.Context(), tt.req)
			assert.ErrorIs(t, err, errReset)
			assert.Equal(t, tt.tries, calls.Load())
		})
	}
}

func TestRetryLooksAtAllLeaves(t *testing.T) {
	t.Parallel()
	safe, unsafe, silent := leaf(answers, pipe.Idempotent), leaf(answers, pipe.NotIdempotent), leaf(answers, 0)
	merged := func(parts ...proxy.Proxy) proxy.Proxy {
		var list []proxy.Part
		for i, p := range parts {
			list = append(list, proxy.Grouped(fmt.Sprint("part ", i), p))
		}
		return proxy.Merge(list...)
	}
	store := pipe.Describe(proxy.Proxy(answers), pipe.Step{Kind: "idempotency", Effects: pipe.CallsOnce | pipe.Idempotent}, unsafe)
	tests := []struct {
		name string
		next proxy.Proxy
		want string
	}{
		{"all idempotent", merged(safe, safe), "retry (3 tries)"},
		{"one silent", merged(safe, silent), "retry (3 tries of idempotent methods)"},
		{"one not", merged(silent, safe, unsafe), "retry (never: upstream is not idempotent)"},
		{"one not, made so by what is around", merged(safe, store), "retry (3 tries)"},
		{"a function", proxy.Proxy(answers), "retry (3 tries of idempotent methods)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := pipe.PlanOf(tt.next.With(policy.Retry(policy.Attempts{})))
			assert.Contains(t, plan.String(), tt.want)
		})
	}
	unsafely := policy.Retry(policy.Attempts{Max: 1, Unsafe: true})
	assert.Contains(t, pipe.PlanOf(unsafe.With(unsafely)).String(), "retry (1 try, unsafe)")
}

func TestRetryShowsItsEffectsInThePlan(t *testing.T) {
	t.Parallel()
	again := policy.Retry(policy.Attempts{})
	plan := pipe.PlanOf(proxy.Merge(
		proxy.Grouped("a", leaf(answers, pipe.HonoursContext).With(again)),
		proxy.Grouped("b", leaf(answers, pipe.HonoursContext).With(again)),
	))
	step := plan.Find("retry")[0]
	assert.Equal(t, pipe.CallsMany|pipe.PassesOn|pipe.Stateful, step.Effects)
	assert.True(t, step.HonoursContext())
	assert.Contains(t, plan.String(), "retry (3 tries of idempotent methods), shared", "one value, one budget")

	budget := policy.NewBudget(1, 1)
	plan = pipe.PlanOf(proxy.Merge(
		proxy.Grouped("a", proxy.Proxy(answers).With(policy.Retry(policy.Attempts{Budget: budget}))),
		proxy.Grouped("b", proxy.Proxy(answers).With(policy.Retry(policy.Attempts{Budget: budget}))),
		proxy.Grouped("c", proxy.Proxy(answers).With(policy.Retry(policy.Attempts{Max: 2}))),
	))
	assert.Contains(t, plan.String(), "retry (3 tries of idempotent methods), shared")
	assert.Contains(t, plan.String(), "retry (2 tries of idempotent methods)\n")

	once := pipe.PlanOf(leaf(answers, pipe.NotIdempotent).With(again))
	assert.Equal(t, pipe.CallsOnce|pipe.PassesOn, once.Effects)
	for _, unsafe := range []bool{false, true} {
		single := policy.Retry(policy.Attempts{Max: 1, Unsafe: unsafe})
		assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Stateful, pipe.PlanOf(proxy.Proxy(answers).With(single)).Effects)
	}
}

// waits returns the waits before each further try of many calls.
func waits(t *testing.T, calls int, a policy.Attempts) [][]time.Duration {
	all := make([][]time.Duration, a.Max)
	a.Budget = policy.NewBudget(-1, 0)
	for range calls {
		n, last := 0, time.Time{}
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			if n > 0 {
				all[n] = append(all[n], time.Since(last))
			}
			n, last = n+1, time.Now()
			return nil, errReset
		}).With(policy.Retry(a))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
	}
	return all[1:]
}

func TestRetryWaitsRandomlyUpToADoublingBound(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name string
		a    policy.Attempts
		most []time.Duration
	}{
		{"by default", policy.Attempts{Max: 8}, []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms}},
		{"capped", policy.Attempts{Max: 4, Backoff: 100 * ms, MaxBackoff: 150 * ms}, []time.Duration{100 * ms, 150 * ms, 150 * ms}},
		{"capped from the start", policy.Attempts{Max: 3, Backoff: 10 * time.Second}, []time.Duration{1000 * ms, 1000 * ms}},
		{"not capped", policy.Attempts{Max: 4, Backoff: 1000 * ms, MaxBackoff: -1}, []time.Duration{1000 * ms, 2000 * ms, 4000 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for i, seen := range waits(t, 200, tt.a) {
					var least, most time.Duration = seen[0], 0
					for _, d := range seen {
						least, most = min(least, d), max(most, d)
					}
					assert.Less(t, most, tt.most[i])
					assert.Greater(t, most, tt.most[i]*8/10, "the whole range is used")
					assert.Less(t, least, tt.most[i]*2/10)
				}
			})
		})
	}
	t.Run("not at all", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			waits(t, 10, policy.Attempts{Max: 3, Backoff: -1})
			assert.Zero(t, time.Since(start))
		})
	})
}

func TestRetryWithoutLimitsDoesNotOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		a := policy.Attempts{Max: 200, Backoff: 1, MaxBackoff: -1, Budget: policy.NewBudget(-1, 0)}
		upstream, calls := counted(fails(errReset))
		_, err := upstream.With(policy.Retry(a))(ctx, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
		assert.Greater(t, calls.Load(), int32(30))
		assert.NoError(t, ctx.Err())
	})
}

func TestRetryWaitsAsLongAsTheUpstreamAsks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		header func() http.Header
		want   time.Duration
		tries  int32
	}{
		{"seconds", func() http.Header { return after("2") }, 2 * time.Second, 2},
		{"a date", func() http.Header { return after(time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat)) }, 3 * time.Second, 2},
		{"as long as may be", func() http.Header { return after("10") }, 10 * time.Second, 2},
		{"too long", func() http.Header { return after("11") }, 0, 1},
		{"for ever", func() http.Header { return after("99999999999999999999") }, 0, 1},
		{"a date far away", func() http.Header { return after("Fri, 31 Dec 9999 23:59:59 GMT") }, 0, 1},
	}
	for _, status := range []int{429, 503} {
		for _, tt := range tests {
			t.Run(fmt.Sprint(status, " ", tt.name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					upstream, calls := counted(func(context.Context, *proxy.Request) (*proxy.Response, error) {
						return nil, answered(status, tt.header())
					})
					start := time.Now()
					_, err := upstream.With(policy.Retry(policy.Attempts{Max: 2}))(t.Context(), proxy.NewRequest("GET", "/"))
					assert.Equal(t, status, proxy.StatusOf(err))
					assert.Equal(t, tt.tries, calls.Load())
					assert.Equal(t, tt.want, time.Since(start))
					e, ok := errors.AsType[*proxy.Error](err)
					require.True(t, ok)
					assert.NotEmpty(t, e.Header.Get("Retry-After"), "the client is told too")
				})
			})
		}
	}
	t.Run("of an upstream whose failure the client is not told", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			hidden := &proxy.Error{Status: 502, Op: "status", Upstream: &proxy.UpstreamAnswer{Status: 502, Header: after("7")}}
			_, _ = fails(hidden).With(policy.Retry(policy.Attempts{Max: 2}))(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Equal(t, 7*time.Second, time.Since(start))
		})
	})
	t.Run("without a limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p := fails(answered(429, after("86400"))).With(policy.Retry(policy.Attempts{Max: 2, MaxRetryAfter: -1}))
			_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Equal(t, 24*time.Hour, time.Since(start))
		})
	})
}

func TestRetryDoesNotWaitPastTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		upstream, calls := counted(fails(answered(503, after("2"))))
		start := time.Now()
		_, err := upstream.With(policy.Retry(policy.Attempts{}))(ctx, proxy.NewRequest("GET", "/"))
		assert.Zero(t, time.Since(start), "the last error at once")
		assert.EqualValues(t, 1, calls.Load())
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		assert.EqualError(t, err, "retry: 1 try (the next try would be too late): backend users: status: upstream answered 503")
	})
}

// proves T2
func TestRetryEndsAtOnceWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (*proxy.Response, error){
		"after an error": func() (*proxy.Response, error) { return nil, answered(503, after("5")) },
		"after a stream": func() (*proxy.Response, error) {
			return &proxy.Response{Status: 503, Header: after("5"), Body: newBody("")}, nil
		},
		"during the call": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, calls := counted(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					if answer == nil {
						<-ctx.Done()
						return nil, errReset // as some transports do when the context ends
					}
					return answer()
				})
				ctx, leave := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, leave)
				start := time.Now()
				res, err := upstream.With(policy.Retry(policy.Attempts{}))(ctx, proxy.NewRequest("GET", "/"))
				assert.Nil(t, res)
				require.Error(t, err)
				assert.Equal(t, time.Second, time.Since(start))
				assert.EqualValues(t, 1, calls.Load())
				if answer != nil {
					assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
				} else {
					assert.Equal(t, errReset, err, "as it came")
				}
			})
		})
	}
}

// proves M37
func TestRetryClosesADroppedStreamWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stream := newBody("busy")
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 503, Header: after("5"), Body: stream}, nil
		}).With(policy.Retry(policy.Attempts{}))
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		bodies := &replay{text: "order"}
		req := bodies.request("PUT")
		_, err := p(ctx, req)
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		assert.EqualValues(t, 1, stream.closes.Load())
		bodies.assertClosed(t, 1)
	})
}

// A replay replays a request's body and keeps all bodies that it returned.
type replay struct {
	text string
	out  []*body
}

func (r *replay) request(method string) *proxy.Request {
	req := proxy.NewRequest(method, "/")
	req.Body, req.ContentLength = newBody(r.text), int64(len(r.text))
	req.GetBody = func() (io.ReadCloser, error) {
		r.out = append(r.out, newBody(r.text))
		return r.out[len(r.out)-1], nil
	}
	return req
}

func (r *replay) assertClosed(t *testing.T, n int) {
	t.Helper()
	assert.Len(t, r.out, n)
	for _, b := range r.out {
		assert.EqualValues(t, 1, b.closes.Load())
	}
}

// proves H10
func TestRetryGivesEachTryTheRequestAsItWas(t *testing.T) {
	t.Parallel()
	bodies := &replay{text: "order"}
	req := bodies.request("PUT")
	req.Header.Set("Accept", "text/plain")
	req.Query.Set("q", "1")
	req.Params.Set("id", "7")
	tries := 0
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		tries++
		text, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		assert.Equal(t, "order", string(text))
		assert.Equal(t, http.Header{"Accept": {"text/plain"}}, req.Header)
		assert.Empty(t, req.Upstream)
		assert.Equal(t, "1", req.Query.Get("q"))
		assert.Equal(t, "7", req.Params.Get("id"))
		assert.EqualValues(t, 5, req.ContentLength)
		req.Header.Set("Accept", "changed")
		req.Header["Accept"][0] = "changed"
		req.Upstream.Set("Authorization", "try")
		req.Query.Set("q", "2")
		req.Params.Set("id", "8")
		req.SetBody("text/plain", []byte("other"))
		return nil, errReset
	})
	_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), req)
	assert.ErrorIs(t, err, errReset)
	assert.Equal(t, 3, tries)
	bodies.assertClosed(t, 2)
}

func TestRetryKeepsARequestBodyOpenForItsStream(t *testing.T) {
	t.Parallel()
	bodies, first := &replay{text: "order"}, true
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		if first {
			first = false
			return nil, errReset
		}
		return &proxy.Response{Body: newBody("echo")}, nil
	}).With(policy.Retry(eager(2)))
	res, err := p(t.Context(), bodies.request("PUT"))
	require.NoError(t, err)
	require.Len(t, bodies.out, 1)
	assert.Zero(t, bodies.out[0].closes.Load())
	assert.NoError(t, res.Close())
	bodies.assertClosed(t, 1)
}

func TestRetryClosesTheBodyOfATryThatPanics(t *testing.T) {
	t.Parallel()
	bodies, first := &replay{text: "order"}, true
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		if first {
			first = false
			return nil, errReset
		}
		panic("bug")
	}).With(pipe.Recover, policy.Retry(eager(2)))
	synctest.Test(t, func(t *testing.T) { // Close is waited for no longer than 50 ms
		_, err := p(t.Context(), bodies.request("PUT"))
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
		bodies.assertClosed(t, 1)
	})
}

// proves M25
func TestRetryDoesNotRepeatABodyThatCanBeReadOnce(t *testing.T) {
	t.Parallel()
	for _, last := range []error{answered(503, nil), answered(429, after("0"))} {
		req := proxy.NewRequest("PUT", "/")
		req.Body = newBody("once")
		upstream, calls := counted(fails(last))
		_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), req)
		assert.EqualValues(t, 1, calls.Load())
		assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
		assert.ErrorIs(t, err, last)
		assert.Equal(t, proxy.StatusOf(last), proxy.StatusOf(err))
	}
	t.Run("which takes nothing from the budget", func(t *testing.T) {
		t.Parallel()
		req := proxy.NewRequest("PUT", "/")
		req.Body = newBody("once")
		upstream, calls := counted(fails(errReset))
		p := upstream.With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1, Budget: policy.NewBudget(0, 1)}))
		_, _ = p(t.Context(), req)
		_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.EqualValues(t, 3, calls.Load())
	})
	t.Run("a stream is handed on", func(t *testing.T) {
		t.Parallel()
		req := proxy.NewRequest("PUT", "/")
		req.Body = newBody("once")
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 503, Body: newBody("busy")}, nil
		}).With(policy.Retry(eager(3)))
		res, err := p(t.Context(), req)
		require.NoError(t, err)
		text, _ := io.ReadAll(res.Body)
		assert.Equal(t, "busy", string(text))
		assert.NoError(t, res.Close())
	})
	t.Run("nor one that was made replayable meanwhile, for it is not what it was", func(t *testing.T) {
		t.Parallel()
		req := proxy.NewRequest("PUT", "/")
		req.Body = newBody("once")
		upstream, calls := counted(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			text, err := io.ReadAll(req.Body)
			require.NoError(t, err)
			req.Upstream.Add("X-Try", "1")
			req.SetBody("text/plain", append(text, '!'))
			return nil, errReset
		})
		_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), req)
		assert.EqualValues(t, 1, calls.Load())
		assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
		assert.ErrorIs(t, err, errReset)
	})
	t.Run("nor one that fails to open again", func(t *testing.T) {
		t.Parallel()
		lost := errors.New("temporary file is gone")
		for _, why := range []error{lost, errors.Join(lost, context.Canceled), errors.Join(lost, os.ErrDeadlineExceeded)} {
			req := proxy.NewRequest("PUT", "/")
			req.Body, req.GetBody = newBody("x"), func() (io.ReadCloser, error) { return nil, why }
			upstream, calls := counted(fails(answered(503, nil)))
			_, err := upstream.With(policy.Retry(eager(3)))(t.Context(), req)
			assert.EqualValues(t, 1, calls.Load())
			assert.ErrorIs(t, err, lost)
			assert.Equal(t, 503, proxy.StatusOf(err), "that of the failure, whatever the reason")
		}
	})
}

// proves F10
func TestRetryClosesTheLastStreamWhenGetBodyPanics(t *testing.T) {
	t.Parallel()
	stream := newBody("busy")
	req := proxy.NewRequest("PUT", "/")
	req.Body, req.GetBody = newBody("x"), func() (io.ReadCloser, error) { panic("bug") }
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 503, Body: stream}, nil
	}).With(pipe.Recover, policy.Retry(eager(2)))
	_, err := p(t.Context(), req)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.EqualValues(t, 1, stream.closes.Load())
}

func TestRetryAnswersWithTheFirstSuccess(t *testing.T) {
	t.Parallel()
	for failures := range 3 {
		calls := 0
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			if calls++; calls <= failures {
				return nil, errReset
			}
			return &proxy.Response{Status: 201}, nil
		}).With(policy.Retry(eager(3)))
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, 201, res.Status)
		assert.Equal(t, failures+1, calls)
	}
}

// A timeout inside is for each try, one outside for all. A callee that ignores its context delays
// neither.
func TestRetryAndTimeoutNestAsWritten(t *testing.T) {
	t.Parallel()
	for name, effects := range map[string]pipe.Effects{"known to honour its context": pipe.HonoursContext, "unknown": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, calls := counted(hangs)
				p := leaf(upstream, effects).With(policy.Retry(eager(3)), policy.Timeout(300*time.Millisecond))
				start := time.Now()
				_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				assertTimeout(t, err)
				assert.Equal(t, 900*time.Millisecond, time.Since(start))
				assert.EqualValues(t, 3, calls.Load())

				start = time.Now()
				_, err = p.With(policy.Timeout(500*time.Millisecond))(t.Context(), proxy.NewRequest("GET", "/"))
				assertTimeout(t, err)
				assert.Equal(t, 500*time.Millisecond, time.Since(start))
				assert.EqualValues(t, 5, calls.Load(), "the third try is not begun")
			})
		})
	}
}

// proves T3, M3
func TestRetryDoesNotShareTheRequestWithAnAbandonedTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			<-release
			for i := range 100 { // found by the race detector
				req.Header.Set("X-Try", fmt.Sprint(i))
				req.Params.Set("id", fmt.Sprint(i))
				req.Query.Set("q", fmt.Sprint(i))
			}
			return nil, errReset
		}).With(policy.Retry(eager(4)), policy.Timeout(time.Second))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		close(release)
		synctest.Wait()
	})
}

func TestRetryWithTheZeroAttemptsIsSafe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, calls := counted(fails(errReset))
		start := time.Now()
		_, err := upstream.With(policy.Retry(policy.Attempts{}))(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
		assert.EqualValues(t, 3, calls.Load())
		assert.Less(t, time.Since(start), 150*time.Millisecond)
	})
}

func TestRetryReadsABodyInMemoryForEachTry(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		require.NoError(t, err)
		got.WriteString(doc.String())
		return nil, errReset
	}).With(policy.Retry(eager(3)))
	req := proxy.NewRequest("PUT", "/")
	req.SetBody("application/json", []byte(`{"a":1}`))
	_, err := p(t.Context(), req)
	assert.ErrorIs(t, err, errReset)
	assert.Equal(t, `{"a":1}{"a":1}{"a":1}`, got.String())
}

func TestRetryDoesNotRepeatASequenceThatCannotBind(t *testing.T) {
	t.Parallel()
	calls := 0
	user := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		calls++
		doc, err := document.Of(map[string]int{"id": 7})
		return &proxy.Response{Document: doc}, err
	})
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user},
		proxy.Stage{Name: "account", Proxy: user, Bind: []proxy.Binding{proxy.Bind("account", "user", "account")}},
	).With(policy.Retry(policy.Attempts{Backoff: -1}))
	_, err := page(t.Context(), proxy.NewRequest("GET", "/"))
	var missing *proxy.BindError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, 1, calls)
}

func TestEachTryHasItsNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var numbers []int
		next := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			try := proxy.TryOf(ctx)
			mu.Lock()
			numbers = append(numbers, try.Number())
			mu.Unlock()
			assert.False(t, try.Used("host"), "the first use of %d", try.Number())
			if try.Number() > 1 {
				assert.True(t, try.Used("host 1"))
			}
			try.Use(fmt.Sprint("host ", try.Number()))
			time.Sleep(2 * time.Second)
			return nil, errReset
		}
		stack := []proxy.Decorator{policy.Retry(policy.Attempts{Max: 2}), policy.Retry(policy.Attempts{Max: 1}),
			policy.Timeout(time.Minute), policy.Hedge(policy.HedgeSpec{Delay: time.Second})}
		_, err := proxy.Proxy(next).With(stack...)(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Error(t, err)
		assert.Equal(t, []int{1, 2, 3, 4}, numbers, "two tries, each hedged once")
	})
}
