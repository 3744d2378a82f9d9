package async_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These are the interfaces that package adapter runs and drains; async does not import adapter.
var _ interface {
	Run(ctx context.Context) error
	Drain(ctx context.Context) error
} = (*async.Agent)(nil)

// proves O18, M28
func TestAgentAcknowledgesAfterTheAnswerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var order []string
		note := func(s string) { order = append(order, s) }
		leaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			note("leaf")
			res := &proxy.Response{Body: &body{Reader: strings.NewReader("rows")}}
			res.OnClose(func() { note("closed") })
			return res, nil
		}
		outer := func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, req)
				<-time.After(time.Second)
				note("outer")
				return res, err
			}
		}
		l := &ledger{}
		m := l.message("1")
		m.Ack = func(context.Context) error { note("ack"); return nil }
		runs(t, l, async.Spec{Proxy: proxy.Proxy(leaf).With(outer)}, gives(m))
		assert.Equal(t, []string{"leaf", "outer", "closed", "ack"}, order)
		assert.Empty(t, l.nacked)
		assert.Empty(t, l.reports)
	})
}

// A broken is a reader that fails before its end.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// proves O18, M19, M21, M28, T4, L1
func TestAgentHandsAFailedMessageBackWithTheReasonAndGoesOn(t *testing.T) {
	t.Parallel()
	reset := errors.New("reset")
	stream := func(status int, r io.Reader) *proxy.Response {
		return &proxy.Response{Status: status, Body: &body{Reader: r}}
	}
	tests := []struct {
		name   string
		answer func() (*proxy.Response, error)
		status int
		cause  error // nil is any
	}{
		{"an error", func() (*proxy.Response, error) { return nil, reset }, 502, reset},
		{"a typed error", func() (*proxy.Response, error) { return nil, &proxy.Error{Status: 429, Err: reset} }, 429, reset},
		{"a response beside an error", func() (*proxy.Response, error) { return &proxy.Response{}, reset }, 502, reset},
		{"neither a response nor an error", func() (*proxy.Response, error) { return nil, nil }, 500, proxy.ErrNoResponse},
		{"a partial answer", func() (*proxy.Response, error) { return &proxy.Response{Err: reset}, nil }, 502, reset},
		{"a partial answer as such", func() (*proxy.Response, error) { return &proxy.Response{Err: reset}, nil }, 502, async.ErrPartial},
		{"a failure status", func() (*proxy.Response, error) { return &proxy.Response{Status: 404}, nil }, 404, nil},
		{"a redirect", func() (*proxy.Response, error) { return &proxy.Response{Status: 307}, nil }, 502, nil},
		{"no status at all", func() (*proxy.Response, error) { return &proxy.Response{Status: 7}, nil }, 502, nil},
		{"a stream of a failure", func() (*proxy.Response, error) { return stream(503, strings.NewReader("no")), nil }, 503, nil},
		{"a stream that is cut", func() (*proxy.Response, error) { return stream(200, broken{}), nil }, 502, io.ErrUnexpectedEOF},
		{"a panic", func() (*proxy.Response, error) { panic(reset) }, 500, reset},
		{"Goexit", func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }, 500, nil},
		{"a panic on close", func() (*proxy.Response, error) {
			res := stream(200, strings.NewReader("rows"))
			res.OnClose(func() { panic(reset) })
			return res, nil
		}, 500, reset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				p := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					if req.Path == "/bad" {
						return tt.answer()
					}
					return &proxy.Response{}, nil
				}
				runs(t, l, async.Spec{Proxy: p}, l.delivers("bad"), l.delivers("good"))
				assert.Equal(t, []string{"bad"}, l.nacked)
				assert.Equal(t, []string{"good"}, l.acked)
				require.Len(t, l.causes, 1)
				assert.Equal(t, tt.status, proxy.StatusOf(l.causes[0]))
				if tt.cause != nil {
					assert.ErrorIs(t, l.causes[0], tt.cause)
				}
				require.Len(t, l.reports, 1, "reported once")
				failure, isMessage := errors.AsType[*async.MessageError](l.reports[0])
				require.True(t, isMessage)
				assert.Equal(t, l.causes[0], failure.Err)
				assert.Equal(t, "bad", failure.ID)
			})
		})
	}
}

func TestAgentAcceptsAPartialAnswerWhereTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		lost := errors.New("recs are down")
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{Err: lost}, nil }
		runs(t, l, async.Spec{Proxy: p, PartialOK: true}, l.delivers("1"))
		assert.Equal(t, []string{"1"}, l.acked)
		assert.Empty(t, l.nacked)
		require.Len(t, l.reports, 1)
		assert.ErrorIs(t, l.reports[0], lost)
		assert.Contains(t, l.reports[0].Error(), "partial")
	})
}

func TestAgentClosesEveryAnswerOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500} {
		for _, missing := range []error{nil, errors.New("a part")} {
			t.Run(fmt.Sprint(status, missing), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					b := &body{Reader: strings.NewReader("rows")}
					p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
						return &proxy.Response{Status: status, Body: b, Err: missing}, nil
					}
					l := &ledger{}
					runs(t, l, async.Spec{Proxy: p}, l.delivers("1"))
					assert.Equal(t, int32(1), b.closes.Load())
				})
			})
		}
	}
}

// proves T3, M28
func TestAgentDoesNotWaitForAPipeThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		late := &body{Reader: strings.NewReader("late")}
		deaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return &proxy.Response{Body: late}, nil
		}
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1"), fails(io.EOF)}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: deaf})
		start := time.Now()
		require.NoError(t, a.Run(t.Context()))
		assert.Equal(t, 10*time.Second, time.Since(start), "the default")
		assert.Equal(t, []string{"1"}, l.nacked)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(l.causes[0]))
		assert.Equal(t, 1, a.Abandoned())
		close(release)
		synctest.Wait()
		assert.Zero(t, a.Abandoned())
		assert.Equal(t, int32(1), late.closes.Load())
		assert.Len(t, l.reports, 1)
	})
}

func TestAgentBoundsTheCallsThatAreAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: deaf, Timeout: time.Second, MaxAbandoned: 1}, l.delivers("1"), l.delivers("2"))
		require.Len(t, l.causes, 2)
		assert.ErrorIs(t, l.causes[0], context.DeadlineExceeded)
		assert.ErrorIs(t, l.causes[1], proxy.ErrAbandoned)
		assert.Equal(t, 503, proxy.StatusOf(l.causes[1]))
	})
}

func TestAgentHoldsTheTimeoutAgainstAStreamedAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			r, w := io.Pipe()
			context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
			return &proxy.Response{Body: r}, nil
		}
		l := &ledger{}
		start := time.Now()
		runs(t, l, async.Spec{Proxy: p, Timeout: 2 * time.Second}, l.delivers("1"))
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.Equal(t, []string{"1"}, l.nacked)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(l.causes[0]))
	})
}

func TestAgentWithoutATimeoutWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			_, limited := ctx.Deadline()
			assert.False(t, limited)
			<-time.After(24 * time.Hour)
			return &proxy.Response{}, nil
		}
		l := &ledger{}
		runs(t, l, async.Spec{Proxy: p, Timeout: -1}, l.delivers("1"))
		assert.Equal(t, []string{"1"}, l.acked)
	})
}

func TestAgentTakesNoMoreMessagesThanWorkersAreFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1"), l.delivers("2"), l.delivers("3"), l.delivers("4"), fails(io.EOF)}}
		release := make(chan struct{})
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return &proxy.Response{}, nil
		}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: p, Workers: 3})
		ended := make(chan error, 1)
		go func() { ended <- a.Run(t.Context()) }()
		synctest.Wait()
		assert.Equal(t, int32(3), s.calls.Load(), "three workers are busy: nobody receives")
		release <- struct{}{}
		synctest.Wait()
		assert.Equal(t, int32(4), s.calls.Load())
		close(release)
		require.NoError(t, <-ended)
		assert.ElementsMatch(t, []string{"1", "2", "3", "4"}, l.acked)
		assert.False(t, s.overlap.Load(), "Receive is called by one goroutine at a time")
	})
}

// proves O20
func TestNewJoinsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	broken := pipe.Check(proxy.New(proxy.Spec{}))
	_, err := async.New(async.Spec{Name: "orders", Workers: -1, Proxy: needs("user", "id", "*").With(sets("id"))})
	require.Error(t, err)
	for _, want := range []string{"agent orders: the Source is nil", "there are -1 Workers, want 0 or more",
		`backend user needs the param "*", which neither Params nor a step before it gives (if your code sets it, name it in backend.Spec.Given)`} {
		assert.Contains(t, err.Error(), want)
	}
	assert.NotContains(t, err.Error(), `"id"`, "a step around it gives it")
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: broken})
	assert.ErrorContains(t, err, "there are no parts")
	_, err = async.New(async.Spec{Source: async.NewMemory(1)})
	assert.ErrorContains(t, err, "the Proxy is nil")
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: needs("user", "id", "*"), Params: []string{"*", "id"}})
	assert.NoError(t, err)
	stages := pipe.Describe(ok, pipe.Step{Kind: "sequence", Layout: pipe.Serial}, proxy.Proxy(ok).With(sets("id")), needs("user", "id"))
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: stages})
	assert.ErrorContains(t, err, `backend user needs the param "id"`, "an earlier stage has a request of its own")
	twice := needs("user", "id")
	both := pipe.Describe(ok, pipe.Step{Kind: "merge", Layout: pipe.Parallel}, twice, twice)
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: both})
	assert.Equal(t, 1, strings.Count(fmt.Sprint(err), `backend user needs the param "id"`), "once, wherever it stands")
	parts := pipe.Describe(ok, pipe.Step{Kind: "merge", Layout: pipe.Parallel}, proxy.Proxy(ok).With(sets("id")), needs("user", "id"))
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: parts})
	assert.ErrorContains(t, err, `backend user needs the param "id"`, "a part beside it does not")
	_, err = async.New(async.Spec{Source: async.NewMemory(1), Proxy: ok, Params: []string{"id", "*", "{id}", "", "id", "a b", "*"}})
	require.Error(t, err)
	assert.Equal(t, `async: agent: Params has "{id}", which is not a valid placeholder name
async: agent: Params has "", which is not a valid placeholder name
async: agent: Params has "id" twice
async: agent: Params has "a b", which is not a valid placeholder name
async: agent: Params has "*" twice`, err.Error())
	_, err = async.New(async.Spec{})
	assert.ErrorContains(t, err, "the Source is nil")
	assert.ErrorContains(t, err, "the Proxy is nil")
}

func TestNewRefusesAllFaultsOfItsPipeAndItsSource(t *testing.T) {
	t.Parallel()
	work := proxy.Proxy(ok).With(policy.Timeout(0), proxy.Gives(), policy.Retry(policy.Attempts{Max: -1}))
	_, err := async.New(async.Spec{Name: "orders", Source: async.NewMemory(0), Proxy: work})
	require.Error(t, err)
	assert.Equal(t, []string{
		"async: agent orders: the Source: async: NewMemory: n is 0, want 1 or more",
		"async: agent orders: policy: Timeout: d is 0s, want more than 0",
		"async: agent orders: proxy: Gives: there are no names",
		"async: agent orders: policy: Retry: Max is -1, want 0 or more",
	}, strings.Split(regexp.MustCompile(` \(agent_test\.go:\d+\)`).ReplaceAllString(err.Error(), ""), "\n"))
	assert.Equal(t, 3, strings.Count(err.Error(), "(agent_test.go:"), "with their places")
	_, err = async.FactoryFunc(nil).New(async.Spec{})
	assert.EqualError(t, err, "async: FactoryFunc: the function is nil")
}

// needs is a leaf like an upstream with placeholders.
func needs(name string, params ...string) proxy.Proxy {
	return pipe.Describe(ok, pipe.Step{Kind: "backend", Name: name, Needs: params, Effects: pipe.Terminal})
}

// sets is a decorator that declares that it gives a param.
func sets(param string) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(next, pipe.Step{Kind: "bind", Gives: []string{param}}, next)
	}
}

func TestAgentShowsItselfAroundItsPipe(t *testing.T) {
	t.Parallel()
	a, err := async.New(async.Spec{Name: "orders", Source: async.NewMemory(1), Workers: 4, Timeout: time.Minute,
		Params: []string{"id"}, Proxy: needs("user", "id").With(pipe.Recover)})
	require.NoError(t, err)
	plan := a.Plan()
	assert.Equal(t, "↔ agent orders (4 workers, timeout 1m0s)", strings.SplitN(plan.String(), "\n", 2)[0])
	assert.NoError(t, plan.Inside("user", "orders"))
	assert.True(t, plan.HonoursContext())
	assert.Equal(t, []string{"id"}, plan.Gives)
	assert.Contains(t, plan.Source, "agent_test.go:")
	plan.Name = "changed"
	assert.Equal(t, "orders", a.Plan().Name, "a plan belongs to who asked")
}

// proves H14
func TestMessageErrorStaysOnOneLine(t *testing.T) {
	t.Parallel()
	cause := errors.New("no\n2026 level=info msg=all\u2028well\x1b[2J")
	err := error(&async.MessageError{Agent: "or\nders", ID: "7\r\n" + strings.Repeat("x", 1000), Attempt: 2, Op: "ack", Err: cause})
	assert.NotContains(t, err.Error(), "\n")
	assert.NotContains(t, err.Error(), "\r")
	assert.NotContains(t, err.Error(), "\x1b")
	assert.NotContains(t, err.Error(), "\u2028")
	assert.Less(t, len(err.Error()), 300)
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, "agent: message \"7\"", (&async.MessageError{ID: "7"}).Error())
}

func TestThePlanTellsHowLongAMessageTakesAtMost(t *testing.T) {
	t.Parallel()
	for timeout, within := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second, -1: 0} {
		work := func(context.Context, *proxy.Request) (*proxy.Response, error) { return new(proxy.Response), nil }
		agent, err := async.New(async.Spec{Source: async.NewMemory(1), Proxy: work, Timeout: timeout})
		require.NoError(t, err)
		assert.Equal(t, within, agent.Plan().Within, "Timeout %v", timeout)
	}
}
