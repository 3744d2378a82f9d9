package policy_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

const deadlineMs = "X-Deadline-Ms"

func anybody(context.Context, *proxy.Request) bool { return true }

// asking returns a request with these headers of a deadline.
func asking(values ...string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	if values != nil {
		req.Header[deadlineMs] = values
	}
	return req
}

func TestSendDeadlineSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		left time.Duration // 0: no deadline
		want []string
	}{
		{"some time", 1500 * time.Millisecond, []string{"1500"}},
		{"rounded down", 2*time.Millisecond - 1, []string{"1"}},
		{"next to nothing", time.Microsecond, []string{"0"}},
		{"no deadline", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.left > 0 {
					timed, cancel := context.WithTimeout(ctx, tt.left)
					defer cancel()
					ctx = timed
				}
				var upstream, client http.Header
				p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					upstream, client = req.Upstream, req.Header
					return &proxy.Response{}, nil
				}).With(policy.SendDeadline("x-deadline-ms"))
				req := asking("99999")
				req.Header["X_Deadline.Ms"] = []string{"88888"} // some upstreams take it for the same
				req.Header.Set("Accept", "text/plain")
				req.Upstream = http.Header{deadlineMs: {"77777"}, "X-Claim": {"ada"}}
				_, err := p(ctx, req)
				require.NoError(t, err)
				assert.Equal(t, tt.want, upstream[deadlineMs])
				assert.Equal(t, "ada", upstream.Get("X-Claim"))
				assert.Equal(t, http.Header{"Accept": {"text/plain"}}, client)
			})
		})
	}
}

// Every try sends what it has left itself.
func TestSendDeadlineInsideRetryIsForEachTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		p := leaf(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			sent = append(sent, req.Upstream.Get(deadlineMs))
			return hangs(ctx, req)
		}, pipe.HonoursContext).With(
			policy.Timeout(800*time.Millisecond),
			policy.Retry(policy.Attempts{Max: 3, Backoff: -1}),
			policy.Timeout(300*time.Millisecond),
			policy.SendDeadline(deadlineMs),
		)
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		assert.Equal(t, []string{"300", "300", "200"}, sent)
	})
}

// deaf answers after ten seconds, whatever its context says.
func deaf(context.Context, *proxy.Request) (*proxy.Response, error) {
	<-time.After(10 * time.Second)
	return &proxy.Response{}, nil
}

// proves T3
func TestTakeDeadlineEndsTheCallInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		header []string
		trusts bool
		want   time.Duration
	}{
		{"what is left", []string{"120"}, true, 120 * time.Millisecond},
		{"leading zeros", []string{"000120"}, true, 120 * time.Millisecond},
		{"nothing is left", []string{"0"}, true, 0},
		{"longer than what there is", []string{"5000"}, true, time.Second},
		{"for ever", []string{"18446744073709551615"}, true, time.Second},
		{"more than any number", []string{"99999999999999999999999"}, true, time.Second},
		{"more than a duration", []string{"9223372036854775"}, true, time.Second},
		{"not trusted", []string{"120"}, false, time.Second},
		{"not trusted, nothing left", []string{"0"}, false, time.Second},
		{"no header", nil, true, time.Second},
		{"twice", []string{"120", "120"}, true, time.Second},
		{"a list", []string{"120, 120"}, true, time.Second},
		{"empty", []string{""}, true, time.Second},
		{"negative", []string{"-5"}, true, time.Second},
		{"a sign", []string{"+5"}, true, time.Second},
		{"a space", []string{" 5"}, true, time.Second},
		{"a fraction", []string{"1.5"}, true, time.Second},
		{"a unit", []string{"5ms"}, true, time.Second},
		{"hexadecimal", []string{"0x5"}, true, time.Second},
		{"an underscore", []string{"1_0"}, true, time.Second},
		{"other digits", []string{"１２"}, true, time.Second},
	} {
		for name, callee := range map[string]proxy.Proxy{"deaf": deaf, "known": leaf(hangs, pipe.HonoursContext)} {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					next, calls := counted(callee)
					p := next.With(policy.Timeout(time.Second),
						policy.TakeDeadline(deadlineMs, func(context.Context, *proxy.Request) bool { return tt.trusts }))
					start := time.Now()
					_, err := p(t.Context(), asking(tt.header...))
					assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
					assert.ErrorIs(t, err, policy.ErrTimeout)
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, tt.want, time.Since(start))
					assert.Equal(t, tt.want > 0, calls.Load() == 1)
					<-time.After(time.Minute)
					synctest.Wait()
				})
			})
		}
	}
}

func TestTakeDeadlineSaysThatItWasTheClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := leaf(hangs, pipe.HonoursContext).With(policy.TakeDeadline(deadlineMs, anybody))
		_, err := p(t.Context(), asking("120"))
		assert.EqualError(t, err, "deadline: no answer in time (120ms): context deadline exceeded")
		_, err = p(t.Context(), asking("0"))
		assert.EqualError(t, err, "deadline: no answer in time (0s): context deadline exceeded")
	})
}

func TestTakeDeadlineDoesNotTimeAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inside context.Context
		p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			inside = ctx
			return &proxy.Response{Body: newBody("rows")}, nil
		}, pipe.HonoursContext).With(policy.TakeDeadline(deadlineMs, anybody))
		res, err := p(t.Context(), asking("120"))
		require.NoError(t, err)
		<-time.After(time.Second)
		assert.NoError(t, inside.Err())
		text, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.Equal(t, "rows", string(text))
		assert.NoError(t, res.Close())
		assert.Error(t, inside.Err())
	})
}

// proves M23
func TestTakeDeadlineAsksNobodyForACallThatHasEnded(t *testing.T) {
	t.Parallel()
	asked := 0
	next, calls := counted(answers)
	p := next.With(policy.TakeDeadline(deadlineMs, func(context.Context, *proxy.Request) bool { asked++; return true }))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p(over, asking("120"))
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Zero(t, asked)
	assert.Zero(t, calls.Load())
	_, err = p(t.Context(), asking("x"))
	assert.NoError(t, err)
	assert.Zero(t, asked, "there is no deadline to take")
}

// proves T4, T6
func TestTakeDeadlineDoesNotCallWhenTrustsPanics(t *testing.T) {
	t.Parallel()
	next, calls := counted(answers)
	p := next.With(pipe.Recover, policy.TakeDeadline(deadlineMs, func(context.Context, *proxy.Request) bool { panic("bug") }))
	_, err := p(t.Context(), asking("120"))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.Zero(t, calls.Load())
}

// What one gateway sends, the next one takes.
func TestADeadlineGoesFromGatewayToGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		internal := netip.MustParsePrefix("10.0.0.0/8")
		inner := leaf(hangs, pipe.HonoursContext).With(policy.TakeDeadline(deadlineMs, func(_ context.Context, req *proxy.Request) bool {
			return internal.Contains(req.Remote.Addr())
		}))
		var took time.Duration
		outer := leaf(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) { // as if over the network
			start := time.Now()
			received := asking(req.Upstream[deadlineMs]...)
			received.Remote = netip.MustParseAddrPort("10.1.2.3:4567")
			res, err := inner(t.Context(), received)
			took = time.Since(start)
			return res, err
		}, pipe.HonoursContext).With(policy.Timeout(250*time.Millisecond), policy.SendDeadline(deadlineMs))
		_, err := outer(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, 250*time.Millisecond, took)
	})
}

func TestDeadlineHeadersInThePlan(t *testing.T) {
	t.Parallel()
	known := leaf(answers, pipe.HonoursContext)
	sends, takes := known.With(policy.SendDeadline("x-deadline-ms")), known.With(policy.TakeDeadline("x-deadline-ms", anybody))
	assert.Contains(t, pipe.PlanOf(sends).String(), "→ send-deadline (X-Deadline-Ms)")
	assert.Contains(t, pipe.PlanOf(takes).String(), "↔ take-deadline (X-Deadline-Ms)")
	assert.True(t, pipe.PlanOf(sends).HonoursContext())
	assert.False(t, pipe.PlanOf(takes).HonoursContext(), "the user's function may wait")
	for want, d := range map[string]proxy.Decorator{
		`policy: SendDeadline: "x y" is not the name of a header`:                                     policy.SendDeadline("x y"),
		`policy: SendDeadline: Te is a header of the connection or the body`:                          policy.SendDeadline("te"),
		"policy: TakeDeadline: \"\" is not the name of a header\npolicy: TakeDeadline: trusts is nil": policy.TakeDeadline("", nil),
		`policy: TakeDeadline: Content-Length is a header of the connection or the body`:              policy.TakeDeadline("content_length", anybody),
	} {
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(known.With(d))))
	}
}

func FuzzADeadlineOnlyBecomesShorter(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "500", "5000", "-1", "1e3", "99999999999999999999", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		end, _ := ctx.Deadline()
		seen := end
		p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			seen, _ = ctx.Deadline()
			return &proxy.Response{}, nil
		}, pipe.HonoursContext).With(policy.TakeDeadline(deadlineMs, anybody))
		_, err := p(ctx, asking(header))
		assert.False(t, seen.After(end))
		if _, digits := strconv.ParseUint(header, 10, 64); digits != nil {
			assert.NoError(t, err)
			assert.Equal(t, end, seen, "what is not a number changes nothing")
		}
	})
}
