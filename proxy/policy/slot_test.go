package policy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
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

// single are the policies that hold a slot, with one slot.
var single = []struct {
	name string
	new  func() proxy.Decorator
}{
	{"InFlight", func() proxy.Decorator { return policy.InFlight(1) }},
	{"Queue", func() proxy.Decorator { return policy.Queue(policy.QueueSpec{InFlight: 1}) }},
	{"Adaptive", func() proxy.Decorator { return policy.Adaptive(policy.AdaptiveSpec{Max: 1}) }},
}

// slotFaults are the ways in which a call ends. Each is told when the call may answer.
var slotFaults = []struct {
	name   string
	answer func(ctx context.Context) (*proxy.Response, error)
}{
	{"an answer", func(context.Context) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":1}`)}, nil
	}},
	{"a stream", func(context.Context) (*proxy.Response, error) { return &proxy.Response{Body: newBody("rows")}, nil }},
	{"a stream of a failure", func(context.Context) (*proxy.Response, error) {
		return &proxy.Response{Status: 503, Body: newBody("busy")}, nil
	}},
	{"a stream that is cut", func(context.Context) (*proxy.Response, error) {
		return &proxy.Response{Body: io.NopCloser(io.LimitReader(failing{}, 3))}, nil
	}},
	{"a stream whose Close panics", func(context.Context) (*proxy.Response, error) {
		return &proxy.Response{Body: wild{newBody("rows"), func() { panic("bug in Close") }}}, nil
	}},
	{"an error", func(context.Context) (*proxy.Response, error) { return nil, errReset }},
	{"a panic", func(context.Context) (*proxy.Response, error) { panic("bug") }},
	{"runtime.Goexit", func(context.Context) (*proxy.Response, error) { runtime.Goexit(); return nil, nil }},
	{"nothing", func(context.Context) (*proxy.Response, error) { return nil, nil }},
	{"both", func(context.Context) (*proxy.Response, error) {
		return &proxy.Response{Body: newBody("rows")}, errReset
	}},
	{"the end of its context", func(ctx context.Context) (*proxy.Response, error) { <-ctx.Done(); return nil, ctx.Err() }},
	{"an answer that comes too late", func(context.Context) (*proxy.Response, error) {
		<-time.After(time.Minute)
		return &proxy.Response{Body: newBody("late")}, nil
	}},
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errReset }

// Whatever happens to a call, alone, in a merge or as a stream, its slot comes back once: two
// further calls at the same time never both get in, and one of them does.
//
// proves T2, T5
func TestEverySlotComesBackOnce(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(proxy.Proxy) proxy.Proxy{
		"alone": func(p proxy.Proxy) proxy.Proxy { return p },
		"merged": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: answers})
		},
		"in time": func(p proxy.Proxy) proxy.Proxy { return p.With(policy.Timeout(5 * time.Second)) },
		"left":    func(p proxy.Proxy) proxy.Proxy { return p.With(proxy.Hold(0)) },
	}
	for _, s := range single {
		for _, fault := range slotFaults {
			for shape, in := range shapes {
				t.Run(s.name+", "+fault.name+", "+shape, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						answer := fault.answer
						slot := s.new()
						p := in(proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
							return answer(ctx)
						}).With(slot))
						for range 3 {
							ended := make(chan struct{})
							go func() { // runtime.Goexit may end it
								defer close(ended)
								defer func() { _ = recover() }()
								ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
								defer cancel()
								res, err := p(ctx, proxy.NewRequest("GET", "/"))
								assert.NotErrorIs(t, err, policy.ErrFull)
								if err == nil && res.Body != nil {
									_, _ = io.ReadAll(res.Body)
								}
								_ = res.Close()
								_ = res.Close()
							}()
							<-ended
							<-time.After(2 * time.Minute) // a call that was left has returned
							synctest.Wait()
							assertOneSlot(t, slot)
						}
					})
				})
			}
		}
	}
}

// assertOneSlot makes two calls that overlap, of which one is refused.
func assertOneSlot(t *testing.T, slot proxy.Decorator) {
	t.Helper()
	outer := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		_, err := proxy.Proxy(answers).With(slot)(ctx, req)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err), "there is no second slot")
		return answers(ctx, req)
	}).With(slot)
	_, err := outer(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err, "the slot is free")
}

func TestASlotIsHeldUntilTheStreamIsClosed(t *testing.T) {
	t.Parallel()
	for _, s := range single {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					return &proxy.Response{Body: newBody("rows")}, nil
				}).With(s.new())
				first, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				_, err = io.ReadAll(first.Body)
				require.NoError(t, err)
				_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
				assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err), "read, but not closed")
				require.NoError(t, first.Close())
				second, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				assert.NoError(t, second.Close())
			})
		})
	}
}

// proves T3
func TestACallThatIsLeftKeepsItsSlotUntilItReturns(t *testing.T) {
	t.Parallel()
	for _, s := range single {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				deaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Minute)
					return &proxy.Response{}, nil
				}
				slot := s.new()
				p := proxy.Proxy(deaf).With(policy.Timeout(time.Second), slot)
				_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				assertTimeout(t, err)
				_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
				assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err), "it still runs")
				<-time.After(time.Minute)
				synctest.Wait()
				assertOneSlot(t, slot)

				inside := proxy.Proxy(deaf).With(slot, policy.Timeout(time.Second))
				_, err = inside(t.Context(), proxy.NewRequest("GET", "/"))
				assertTimeout(t, err)
				assertOneSlot(t, slot)
				<-time.After(time.Minute)
				synctest.Wait()
			})
		})
	}
}

// proves M23
func TestNoSlotIsTakenForACallThatHasEnded(t *testing.T) {
	t.Parallel()
	for _, s := range single {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			next, calls := counted(answers)
			slot := s.new()
			over, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := next.With(slot)(over, proxy.NewRequest("GET", "/"))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
			assert.Zero(t, calls.Load())
			synctest.Test(t, func(t *testing.T) { assertOneSlot(t, s.new()) })
		})
	}
}

// A refusal is not tried again: it would come at once, and only cost.
func TestRetryDoesNotRepeatARefusalForWantOfASlot(t *testing.T) {
	t.Parallel()
	for _, s := range single {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				slot := s.new()
				seen := func(next proxy.Proxy) proxy.Proxy {
					return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						asked++
						return next(ctx, req)
					}
				}
				inner := proxy.Proxy(answers).With(policy.Retry(eager(5)), seen, slot)
				var refused error
				outer := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					_, refused = inner(ctx, req)
					return answers(ctx, req)
				}).With(slot)
				_, err := outer(t.Context(), proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				e, ok := errors.AsType[*proxy.Error](refused)
				require.True(t, ok)
				assert.Equal(t, http.StatusServiceUnavailable, e.Status)
				assert.Equal(t, 1, asked)
			})
		})
	}
}

func TestASlotIsSharedWhereItsDecoratorIs(t *testing.T) {
	t.Parallel()
	for _, s := range single {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			same := s.new()
			merged := func(a, b proxy.Decorator) string {
				return pipe.PlanOf(proxy.Merge(proxy.Grouped("a", proxy.Proxy(answers).With(a)),
					proxy.Grouped("b", proxy.Proxy(answers).With(b)))).String()
			}
			assert.Contains(t, merged(same, same), ", shared")
			assert.NotContains(t, merged(s.new(), s.new()), ", shared")
			known := leaf(answers, pipe.HonoursContext)
			assert.True(t, pipe.PlanOf(known.With(same)).HonoursContext())
		})
	}
}

// proves T5
func TestNoMoreCallsRunThanThereAreSlots(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		name string
		new  func(n int) proxy.Decorator
	}{
		{"InFlight", policy.InFlight},
		{"Adaptive", func(n int) proxy.Decorator { return policy.Adaptive(policy.AdaptiveSpec{Min: n, Max: n}) }},
		{"Queue", func(n int) proxy.Decorator { return policy.Queue(policy.QueueSpec{InFlight: n}) }},
		{"Queue by priority", func(n int) proxy.Decorator {
			return policy.Queue(policy.QueueSpec{InFlight: n, Length: 5, Wait: time.Millisecond, Target: 100 * time.Microsecond, Priority: byParam})
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const slots = 7
				var mu sync.Mutex
				running, most := 0, 0
				count := func(by int) {
					mu.Lock()
					defer mu.Unlock()
					running += by
					most = max(most, running)
				}
				p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
					count(1)
					defer count(-1)
					return hangsFor(ctx, time.Millisecond)
				}).With(d.new(slots))
				var all sync.WaitGroup
				for i := range 2000 {
					all.Go(func() {
						<-time.After(time.Duration(i%97) * 100 * time.Microsecond)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%11)*200*time.Microsecond) // some leave
						defer cancel()
						req := proxy.NewRequest("GET", "/")
						req.Params.Set("priority", strconv.Itoa(i%5))
						_, _ = p(ctx, req)
					})
				}
				all.Wait()
				assert.Equal(t, slots, most)
				for range slots { // every slot is back
					_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
					assert.NoError(t, err)
				}
			})
		})
	}
}

// byParam returns the priority that a param names.
func byParam(req *proxy.Request) int {
	n, _ := strconv.Atoi(req.Params.Get("priority"))
	return n
}

// hangsFor answers after d.
func hangsFor(ctx context.Context, d time.Duration) (*proxy.Response, error) {
	select {
	case <-time.After(d):
		return &proxy.Response{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
