package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
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
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A reply is how one call of a scripted upstream goes.
type reply struct {
	takes  time.Duration
	err    error
	body   *body // a stream of this status, instead of a document
	status int
	panics any
	exits  bool
	deaf   bool // it does not look at its context
}

// scripted returns an upstream whose calls go as the replies say, the last one again and again. A
// document names the call. It keeps when each call began.
func scripted(replies ...*reply) (proxy.Proxy, *script) {
	s := &script{replies: replies, start: time.Now()}
	return s.call, s
}

type script struct {
	replies []*reply
	start   time.Time

	mu        sync.Mutex
	began     []time.Duration
	cancelled int
	bodies    []string
}

func (s *script) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	s.mu.Lock()
	n := len(s.began)
	s.began = append(s.began, time.Since(s.start))
	s.mu.Unlock()
	if req.Body != nil {
		text, _ := io.ReadAll(req.Body)
		s.mu.Lock()
		s.bodies = append(s.bodies, string(text))
		s.mu.Unlock()
	}
	req.Header.Set("X-Written", "by the call") // a call may write its request
	r := s.replies[min(n, len(s.replies)-1)]
	end := ctx.Done()
	if r.deaf {
		end = nil
	}
	select {
	case <-time.After(r.takes):
	case <-end:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancelled++
		return nil, ctx.Err()
	}
	switch {
	case r.exits:
		runtime.Goexit()
	case r.panics != nil:
		panic(r.panics)
	case r.err != nil:
		return nil, r.err
	case r.body != nil:
		return &proxy.Response{Status: r.status, Body: r.body}, nil
	}
	return &proxy.Response{Document: document.MustParse(fmt.Sprintf(`{"call":%d}`, n+1)), Header: http.Header{}}, nil
}

// free hedges without a limit on further calls.
func free(delay time.Duration) policy.HedgeSpec {
	return policy.HedgeSpec{Delay: delay, Budget: policy.NewBudget(-1, -1)}
}

const ms = time.Millisecond

// hedgeShapes are what a hedge may stand around: an upstream, known or not, and a merge of it.
var hedgeShapes = map[string]func(proxy.Proxy) proxy.Proxy{
	"single": func(p proxy.Proxy) proxy.Proxy { return p },
	"known":  func(p proxy.Proxy) proxy.Proxy { return leaf(p, pipe.HonoursContext|pipe.Idempotent) },
	"merge":  func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(proxy.Part{Name: "a", Proxy: p}) },
}

// proves M1, M2, M21, M35, T3, T4
func TestHedgeAnswersWithWhatComesFirst(t *testing.T) {
	t.Parallel()
	slow, quick := &reply{takes: 500 * ms}, &reply{takes: 10 * ms}
	tests := []struct {
		name    string
		replies []*reply
		call    int // that is answered with; 0 if none
		status  int
		is      error
		text    string
		takes   time.Duration
		began   []time.Duration
		deaf    bool
	}{
		{name: "quick", replies: []*reply{quick}, call: 1, takes: 10 * ms, began: []time.Duration{0}},
		{name: "just in time", replies: []*reply{{takes: 99 * ms}}, call: 1, takes: 99 * ms, began: []time.Duration{0}},
		{name: "slow", replies: []*reply{slow, quick}, call: 2, takes: 110 * ms, began: []time.Duration{0, 100 * ms}},
		{name: "slow, twice", replies: []*reply{slow, slow}, call: 1, takes: 500 * ms, began: []time.Duration{0, 100 * ms}},
		{name: "hangs", replies: []*reply{{takes: time.Hour}, quick}, call: 2, takes: 110 * ms, began: []time.Duration{0, 100 * ms}},
		{name: "is deaf", replies: []*reply{{takes: time.Hour, deaf: true}, quick}, call: 2, takes: 110 * ms, began: []time.Duration{0, 100 * ms}, deaf: true},
		{name: "all hang", replies: []*reply{{takes: time.Hour}}, status: 504, is: context.DeadlineExceeded, takes: time.Second,
			began: []time.Duration{0, 100 * ms}},
		{name: "all are deaf", replies: []*reply{{takes: time.Hour, deaf: true}}, status: 504, is: context.DeadlineExceeded, takes: time.Second,
			began: []time.Duration{0, 100 * ms}, deaf: true},
		{name: "fails before", replies: []*reply{{takes: 50 * ms, err: errReset}, quick}, status: 502, is: errReset, takes: 50 * ms,
			began: []time.Duration{0}},
		{name: "panics before", replies: []*reply{{takes: 50 * ms, panics: errReset}, quick}, status: 500, is: errReset, takes: 50 * ms,
			began: []time.Duration{0}},
		{name: "fails meanwhile", replies: []*reply{{takes: 150 * ms, err: errReset}, {takes: 200 * ms}}, call: 2, takes: 300 * ms,
			began: []time.Duration{0, 100 * ms}},
		{name: "panics meanwhile", replies: []*reply{{takes: 150 * ms, panics: errReset}, {takes: 200 * ms}}, call: 2, takes: 300 * ms,
			began: []time.Duration{0, 100 * ms}},
		{name: "the hedge fails", replies: []*reply{{takes: 200 * ms}, {takes: 10 * ms, err: errReset}}, call: 1, takes: 200 * ms,
			began: []time.Duration{0, 100 * ms}},
		{name: "the hedge panics", replies: []*reply{{takes: 200 * ms}, {takes: 10 * ms, panics: "bug"}}, call: 1, takes: 200 * ms,
			began: []time.Duration{0, 100 * ms}},
		{name: "the hedge exits", replies: []*reply{{takes: 200 * ms}, {takes: 10 * ms, exits: true}}, call: 1, takes: 200 * ms,
			began: []time.Duration{0, 100 * ms}},
		{name: "all fail", replies: []*reply{{takes: 200 * ms, err: answered(503, nil)}, {err: errReset}}, status: 503, takes: 200 * ms,
			text: "hedge: 2 calls: ", began: []time.Duration{0, 100 * ms}},
		{name: "404 wins", replies: []*reply{{takes: 150 * ms, err: answered(404, nil)}, slow}, status: 404, takes: 150 * ms,
			began: []time.Duration{0, 100 * ms}},
	}
	for shape, around := range hedgeShapes {
		for _, tt := range tests {
			if shape == "known" && tt.deaf {
				continue
			}
			t.Run(shape+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					upstream, script := scripted(tt.replies...)
					p := around(upstream).With(policy.Hedge(free(100 * ms)))
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					req := proxy.NewRequest("GET", "/")
					start := time.Now()
					res, err := p(ctx, req)
					assert.Equal(t, tt.takes, time.Since(start))
					if tt.call > 0 {
						require.NoError(t, err)
						assert.Equal(t, fmt.Sprintf(`{"call":%d}`, tt.call), res.Document.String())
						assert.NoError(t, res.Close())
					} else {
						assert.Equal(t, tt.status, proxy.StatusOf(err))
						assert.ErrorContains(t, err, tt.text)
						if tt.is != nil {
							assert.ErrorIs(t, err, tt.is)
						}
					}
					<-time.After(2 * time.Hour)
					synctest.Wait()
					assert.Equal(t, tt.began, script.began)
				})
			})
		}
	}
}

// proves M37
func TestHedgeOfAStream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		replies []reply // with a body each
		call    int
		status  int
	}{
		{"quick", []reply{{takes: 10 * ms}}, 1, 200},
		{"slow", []reply{{takes: 500 * ms}, {takes: 10 * ms}}, 2, 200},
		{"a 503 before", []reply{{takes: 10 * ms, status: 503}, {}}, 1, 503},
		{"a 503 meanwhile", []reply{{takes: 150 * ms, status: 503}, {takes: 100 * ms}}, 2, 200},
		{"a 503 twice", []reply{{takes: 150 * ms, status: 503}, {takes: 100 * ms, status: 502}}, 1, 503},
		{"a 404", []reply{{takes: 150 * ms, status: 404}, {takes: 100 * ms}}, 1, 404},
		{"the hedge has a 503", []reply{{takes: 300 * ms}, {takes: 10 * ms, status: 503}}, 1, 200},
		{"late and deaf", []reply{{takes: time.Hour, deaf: true}, {takes: 10 * ms}}, 2, 200},
	}
	for _, tt := range tests {
		for _, known := range []bool{false, true} {
			if known && tt.replies[0].deaf {
				continue
			}
			t.Run(fmt.Sprintf("%s, known: %v", tt.name, known), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var replies []*reply
					for i, r := range tt.replies {
						r.body = newBody(fmt.Sprint("rows of call ", i+1))
						replies = append(replies, &r)
					}
					var mu sync.Mutex
					var inside []context.Context
					upstream, _ := scripted(replies...)
					p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						mu.Lock()
						inside = append(inside, ctx)
						mu.Unlock()
						return upstream(ctx, req)
					})
					if known {
						p = leaf(p, pipe.HonoursContext)
					}
					res, err := p.With(policy.Hedge(free(100*ms)))(t.Context(), proxy.NewRequest("GET", "/"))
					require.NoError(t, err)
					assert.Equal(t, tt.status, res.StatusCode())
					<-time.After(2 * time.Hour)
					synctest.Wait()
					for i, r := range replies[:len(inside)] {
						if i == tt.call-1 {
							assert.NoError(t, inside[i].Err(), "the context of the winner lives")
							assert.Zero(t, r.body.closes.Load())
						} else {
							assert.Error(t, inside[i].Err())
						}
					}
					text, err := io.ReadAll(res.Body)
					assert.NoError(t, err)
					assert.Equal(t, fmt.Sprint("rows of call ", tt.call), string(text))
					assert.NoError(t, res.Close())
					assert.ErrorIs(t, inside[tt.call-1].Err(), context.Canceled)
					for i, r := range replies {
						if got := r.body.closes.Load(); i == tt.call-1 {
							assert.EqualValues(t, 1, got)
						} else {
							assert.LessOrEqual(t, got, int32(1))
						}
					}
				})
			})
		}
	}
}

// proves T2
func TestHedgeEndsWithAClientThatLeaves(t *testing.T) {
	t.Parallel()
	for shape, around := range hedgeShapes {
		for leaves, calls := range map[time.Duration]int{50 * ms: 1, 150 * ms: 2} {
			t.Run(fmt.Sprintf("%s, after %v", shape, leaves), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					upstream, script := scripted(&reply{takes: time.Hour})
					ctx, cancel := context.WithCancel(t.Context())
					defer time.AfterFunc(leaves, cancel).Stop()
					start := time.Now()
					_, err := around(upstream).With(policy.Hedge(free(100*ms)))(ctx, proxy.NewRequest("GET", "/"))
					assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
					assert.Equal(t, leaves, time.Since(start))
					synctest.Wait()
					assert.Len(t, script.began, calls)
					assert.Equal(t, calls, script.cancelled)
				})
			})
		}
	}
}

// proves M23
func TestHedgeDoesNotCallIfTheContextHasEnded(t *testing.T) {
	t.Parallel()
	for _, s := range []policy.HedgeSpec{free(ms), {Max: 1}, {}} {
		next, calls := counted(answers)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := next.With(policy.Hedge(s))(over, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, calls.Load())
	}
}

func TestHedgeSendsNoCallForWhichThereIsNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, script := scripted(&reply{takes: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		_, err := upstream.With(policy.Hedge(free(100*ms)))(ctx, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Len(t, script.began, 1)
	})
}

func TestHedgeOfThreeCalls(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replies []*reply
		call    int
		takes   time.Duration
		calls   int
	}{
		"the third is first":               {[]*reply{{takes: time.Hour}, {takes: time.Hour}, {takes: 10 * ms}}, 3, 210 * ms, 3},
		"the second fails":                 {[]*reply{{takes: time.Hour}, {err: errReset}, {takes: 10 * ms}}, 3, 210 * ms, 3},
		"the first fails meanwhile":        {[]*reply{{takes: 150 * ms, err: errReset}, {takes: time.Hour}, {takes: 10 * ms}}, 3, 210 * ms, 3},
		"two fail, and none is on its way": {[]*reply{{takes: 150 * ms, err: errReset}, {takes: 10 * ms, err: errReset}, {}}, 0, 150 * ms, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, script := scripted(tt.replies...)
				s := free(100 * ms)
				s.Max = 3
				start := time.Now()
				res, err := upstream.With(policy.Hedge(s))(t.Context(), proxy.NewRequest("GET", "/"))
				assert.Equal(t, tt.takes, time.Since(start))
				if tt.call > 0 && assert.NoError(t, err) {
					assert.Equal(t, fmt.Sprintf(`{"call":%d}`, tt.call), res.Document.String())
				} else if tt.call == 0 {
					assert.EqualError(t, err, "hedge: 2 calls: connection reset by peer")
				}
				synctest.Wait()
				assert.Len(t, script.began, tt.calls)
			})
		})
	}
}

func TestHedgeBelievesWhatTheLeavesDeclare(t *testing.T) {
	t.Parallel()
	upgrade := proxy.NewRequest("GET", "/")
	upgrade.Upgrade = "websocket"
	unsafe := free(100 * ms)
	unsafe.Unsafe = true
	single := free(100 * ms)
	single.Max = 1
	for _, tt := range []struct {
		name    string
		effects pipe.Effects
		spec    policy.HedgeSpec
		req     *proxy.Request
		calls   int
		plan    string
	}{
		{"undeclared, GET", 0, free(100 * ms), proxy.NewRequest("GET", "/"), 2, "hedge (2 calls, the second after 100ms, of idempotent methods)"},
		{"undeclared, POST", 0, free(100 * ms), proxy.NewRequest("POST", "/"), 1, "of idempotent methods"},
		{"undeclared, POST, unsafe", 0, unsafe, proxy.NewRequest("POST", "/"), 2, "hedge (2 calls, the second after 100ms, unsafe)"},
		{"undeclared, upgrade", 0, unsafe, upgrade, 1, "unsafe"},
		{"idempotent, POST", pipe.Idempotent, free(100 * ms), proxy.NewRequest("POST", "/"), 2, "hedge (2 calls, the second after 100ms)"},
		{"not idempotent, GET", pipe.NotIdempotent, free(100 * ms), proxy.NewRequest("GET", "/"), 1, "hedge (never: upstream is not idempotent)"},
		{"one call", 0, single, proxy.NewRequest("GET", "/"), 1, "hedge (1 call)"},
		{"three calls", pipe.Idempotent, policy.HedgeSpec{Max: 3}, proxy.NewRequest("GET", "/"), 1, "hedge (3 calls, each after the 0.95 quantile)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, script := scripted(&reply{takes: 200 * ms})
				p := leaf(upstream, tt.effects).With(policy.Hedge(tt.spec))
				_, err := p(t.Context(), tt.req)
				assert.NoError(t, err)
				synctest.Wait()
				assert.Len(t, script.began, tt.calls)
				assert.Contains(t, pipe.PlanOf(p).String(), tt.plan)
			})
		})
	}
}

// proves M25
func TestHedgeOfABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, script := scripted(&reply{takes: time.Hour}, &reply{takes: 10 * ms})
		var opened []*body
		req := proxy.NewRequest("PUT", "/")
		req.Body, req.ContentLength = newBody("data"), 4
		req.GetBody = func() (io.ReadCloser, error) {
			opened = append(opened, newBody("data"))
			return opened[len(opened)-1], nil
		}
		res, err := upstream.With(policy.Hedge(free(100*ms)))(t.Context(), req)
		require.NoError(t, err)
		assert.NoError(t, res.Close())
		synctest.Wait()
		assert.Equal(t, []string{"data", "data"}, script.bodies)
		require.Len(t, opened, 1)
		assert.EqualValues(t, 1, opened[0].closes.Load())
	})
	for takes, replayable := range map[time.Duration]string{
		99 * ms:  "connection reset by peer",
		100 * ms: "hedge: 1 call (the request body cannot be replayed): connection reset by peer",
	} {
		synctest.Test(t, func(t *testing.T) {
			upstream, script := scripted(&reply{takes: takes, err: errReset})
			req := proxy.NewRequest("PUT", "/")
			req.Body = newBody("once")
			_, err := upstream.With(policy.Hedge(free(100*ms)))(t.Context(), req)
			assert.EqualError(t, err, replayable)
			assert.Equal(t, takes == 100*ms, errors.Is(err, proxy.ErrBodyNotReplayable))
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
			synctest.Wait()
			assert.Len(t, script.began, 1)
		})
	}
}

func TestABodyThatCannotBeOpenedIsWhyThereIsNoHedge(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func() (io.ReadCloser, error){
		"fails":  func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe },
		"panics": func() (io.ReadCloser, error) { panic(io.ErrClosedPipe) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, _ := scripted(&reply{takes: 200 * ms, err: answered(503, nil)})
				req := proxy.NewRequest("PUT", "/")
				req.Body, req.GetBody = newBody("data"), get
				_, err := upstream.With(policy.Hedge(free(100*ms)))(t.Context(), req)
				assert.ErrorIs(t, err, io.ErrClosedPipe)
				assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
			})
		})
	}
}

func TestHedgeThatIsNoLongerNeededIsNoReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, _ := scripted(&reply{takes: 150 * ms, err: errReset})
		req := proxy.NewRequest("PUT", "/")
		late := newBody("data")
		req.Body, req.GetBody = newBody("data"), func() (io.ReadCloser, error) {
			<-time.After(100 * ms) // the first call fails meanwhile
			return late, nil
		}
		start := time.Now()
		_, err := upstream.With(policy.Hedge(free(100*ms)))(t.Context(), req)
		assert.EqualError(t, err, "connection reset by peer")
		assert.Equal(t, 150*ms, time.Since(start))
		<-time.After(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, late.closes.Load())
	})
}

func TestHedgeStopsWhenTheBudgetIsUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, script := scripted(&reply{takes: 200 * ms, err: answered(503, nil)})
		p := upstream.With(policy.Hedge(policy.HedgeSpec{Delay: 100 * ms, Budget: policy.NewBudget(0.5, 0)}))
		var said []string
		for range 3 {
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			said = append(said, fmt.Sprint(errors.Is(err, policy.ErrBudget), proxy.StatusOf(err), " ", err))
		}
		const why = "backend users: status: upstream answered 503"
		assert.Equal(t, []string{"true 503 hedge: 1 call (the retry budget is used up): " + why, "false 503 hedge: 2 calls: " + why,
			"true 503 hedge: 1 call (the retry budget is used up): " + why}, said)
		synctest.Wait()
		assert.Len(t, script.began, 4)
	})
}

// A call earns a fraction of a try once, however many policies share the budget and whatever they
// send.
func TestABudgetEarnsOncePerCall(t *testing.T) {
	t.Parallel()
	for name, around := range map[string]func(b *policy.Budget) []proxy.Decorator{
		"Retry around Hedge": func(b *policy.Budget) []proxy.Decorator {
			return []proxy.Decorator{policy.Retry(policy.Attempts{Max: 3, Backoff: -1, Budget: b}), policy.Hedge(policy.HedgeSpec{Delay: 100 * ms, Budget: b})}
		},
		"Hedge around Retry": func(b *policy.Budget) []proxy.Decorator {
			return []proxy.Decorator{policy.Hedge(policy.HedgeSpec{Delay: 100 * ms, Budget: b}), policy.Retry(policy.Attempts{Max: 3, Backoff: -1, Budget: b})}
		},
		"Retry around Retry": func(b *policy.Budget) []proxy.Decorator {
			return []proxy.Decorator{policy.Retry(policy.Attempts{Backoff: -1, Budget: b}), policy.Retry(policy.Attempts{Backoff: -1, Budget: b})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, script := scripted(&reply{takes: 150 * ms, err: answered(503, nil)})
				p := upstream.With(around(policy.NewBudget(0.2, 0))...)
				for range 100 {
					_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
				}
				synctest.Wait()
				assert.Len(t, script.began, 120)
			})
		})
	}
}

func TestHedgeTellsABreakerNothingAboutCallsThatLose(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*reply{"hangs": {takes: time.Hour}, "is deaf": {takes: time.Hour, deaf: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := new(ledger)
				upstream, _ := scripted(r, &reply{takes: 10 * ms})
				_, err := upstream.With(policy.Hedge(free(100*ms)), policy.Break(l))(t.Context(), proxy.NewRequest("GET", "/"))
				assert.NoError(t, err)
				synctest.Wait()
				assert.ElementsMatch(t, []string{"success", "undecided"}, strings.Split(l.all(), ", "))
				<-time.After(2 * time.Hour)
				synctest.Wait()
				assert.Len(t, l.told, 2)
			})
		})
	}
}

func TestHedgeNotesWhatItDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, _ := scripted(&reply{takes: time.Hour}, &reply{takes: 10 * ms})
		p := leaf(upstream, pipe.HonoursContext).With(policy.Hedge(free(100 * ms)))
		for _, want := range [][]string{{"hedge 2 of 2", "lost 1 of 2", "won 2 of 2"}, nil} {
			trace := explain.New(pipe.PlanOf(p))
			_, err := pipe.Watched(p, trace.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
			assert.NoError(t, err)
			synctest.Wait()
			assert.NoError(t, trace.Check(pipe.PlanOf(p)))
			var got []string
			for _, n := range trace.Entries()[0].Notes {
				got = append(got, n.What+" "+n.Detail)
			}
			assert.Equal(t, want, got)
		}
	})
}

// proves M21
func TestHedgeReportsAPanicThatNobodyGets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reported []string
		scope := &call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err.Error()) }}
		upstream, _ := scripted(&reply{takes: 200 * ms}, &reply{takes: 10 * ms, panics: "bug"})
		_, err := upstream.With(policy.Hedge(free(100*ms)))(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
		assert.NoError(t, err)
		assert.Equal(t, []string{"panic: bug"}, reported)
	})
}

func TestHedgeNeedsTwentyCallsToKnowTheQuantile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		var fails atomic.Bool
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			select {
			case <-time.After(time.Duration(takes.Load())):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if fails.Load() {
				return nil, errReset
			}
			return &proxy.Response{}, nil
		})
		p := next.With(policy.Hedge(policy.HedgeSpec{Budget: policy.NewBudget(-1, 0), Quantile: 0.9}))
		ask := func(d time.Duration) (sent int32) {
			takes.Store(int64(d))
			before := calls.Load()
			_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
			return calls.Load() - before
		}
		fails.Store(true)
		for range 30 {
			ask(time.Hour)
		}
		fails.Store(false)
		for i := range 19 {
			assert.EqualValues(t, 1, ask(time.Duration(i+1)*ms), "failures say nothing, and 19 are too few")
		}
		assert.EqualValues(t, 1, ask(time.Hour))
		assert.EqualValues(t, 1, ask(18*ms-1), "just below the quantile")
		assert.EqualValues(t, 2, ask(18*ms+1), "just above")
	})
}

// If the time of a call that has won counted from when that call was sent, the quantile would fall
// further with every hedge, and everything would be hedged.
func TestHedgeSendsAsManyCallsAsTheQuantileSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng, mu := rand.New(rand.NewPCG(1, 2)), new(sync.Mutex)
		next, calls := counted(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			mu.Lock()
			takes := 10*ms + time.Duration(rng.Int64N(int64(10*ms)))
			if rng.IntN(100) < 4 {
				takes = time.Minute
			}
			mu.Unlock()
			select {
			case <-time.After(takes):
				return &proxy.Response{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		p := next.With(policy.Hedge(policy.HedgeSpec{Budget: policy.NewBudget(-1, 0)}))
		const n = 5000
		for range n {
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.NoError(t, err)
		}
		assert.InDelta(t, 0.05, float64(calls.Load()-n)/n, 0.015)
	})
}
