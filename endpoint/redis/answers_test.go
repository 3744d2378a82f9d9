package redis_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/endpoint/redis"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

var _ idempotency.Answers = (*redis.Answers)(nil)

func TestAnswersKeepTheirContract(t *testing.T) {
	t.Parallel()
	for name, spec := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			a, ctx := redis.NewAnswers(spec), t.Context()
			claim := func(key, claim string) string {
				found, err := a.Claim(ctx, key, []byte(claim), time.Minute)
				require.NoError(t, err)
				return string(found)
			}
			keep := func(key, claim, value string) bool {
				kept, err := a.Keep(ctx, key, []byte(claim), []byte(value), time.Minute)
				require.NoError(t, err)
				return kept
			}
			assert.Empty(t, claim("a", "1\x00\xff"))
			assert.Equal(t, "1\x00\xff", claim("a", "2"))
			assert.False(t, keep("a", "2", "late"), "another one has it")
			assert.NoError(t, a.Release(ctx, "a", []byte("2")))
			assert.True(t, keep("a", "1\x00\xff", "answer"))
			assert.True(t, keep("a", "1\x00\xff", "answer"), "sent twice")
			assert.False(t, keep("a", "1\x00\xff", "other"))
			assert.NoError(t, a.Release(ctx, "a", []byte("1\x00\xff")))
			assert.Equal(t, "answer", claim("a", "3"))
			assert.Empty(t, claim("b", "1"))
			assert.NoError(t, a.Release(ctx, "b", []byte("1")))
			assert.Empty(t, claim("b", "2"))
			assert.False(t, keep("none", "1", "x"))
		})
	}
}

func TestAClaimExpiresAndSoDoesAnAnswer(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	a, ctx := redis.NewAnswers(patient(client)), t.Context()
	_, err := a.Claim(ctx, "k", []byte("1"), 1500*time.Microsecond)
	require.NoError(t, err)
	assert.Equal(t, 2*time.Millisecond, server.TTL(a.Key("k")), "rounded up")
	_, err = a.Keep(ctx, "k", []byte("1"), []byte("v"), time.Hour)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, server.TTL(a.Key("k")))
	server.FastForward(time.Hour)
	kept, err := a.Keep(ctx, "k", []byte("1"), []byte("v"), time.Hour)
	require.NoError(t, err)
	assert.False(t, kept)
	assert.Empty(t, server.Keys())
}

// post returns a POST with a key.
func post(key string) *proxy.Request {
	req := proxy.NewRequest(http.MethodPost, "/orders")
	req.Header.Set("Idempotency-Key", key)
	req.SetBody("application/json", []byte("{}"))
	return req
}

// counting is an upstream that answers with the number of the call.
func counting(calls *atomic.Int64) proxy.Proxy {
	return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{}, Document: document.MustParse(fmt.Sprintf(`{"call":%d}`, calls.Add(1)))}, nil
	}, pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
}

// proves T8
func TestGatewaysShareAnswers(t *testing.T) {
	t.Parallel()
	for name, spec := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			var calls, executed atomic.Int64
			one, two := counting(&calls).With(idempotency.Require(redis.NewAnswers(spec))), counting(&calls).With(idempotency.Require(redis.NewAnswers(spec)))
			var all sync.WaitGroup
			for n := range 60 {
				all.Go(func() {
					p := one
					if n%2 == 0 {
						p = two
					}
					res, err := p(t.Context(), post(fmt.Sprintf(`"%d"`, n%5)))
					switch {
					case err != nil:
						assert.ErrorIs(t, err, idempotency.ErrRunning)
					case res.Header.Get("Idempotent-Replayed") == "":
						executed.Add(1)
					}
				})
			}
			all.Wait()
			assert.EqualValues(t, 5, calls.Load())
			assert.EqualValues(t, 5, executed.Load())
		})
	}
}

// proves T6
func TestAnswersThatCannotBeUsedAreAFault(t *testing.T) {
	t.Parallel()
	replicas := goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true})
	defer replicas.Close()
	ignores := goredis.NewClient(&goredis.Options{})
	defer ignores.Close()
	for want, client := range map[string]goredis.UniversalClient{
		"redis: the Client is nil":                                      nil,
		"redis: the client ignores contexts: set ContextTimeoutEnabled": ignores,
		"redis: the client reads from replicas, which are behind":       replicas,
	} {
		a := redis.NewAnswers(redis.Spec{Client: client})
		assert.EqualError(t, a.Fault(), want)
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(counting(new(atomic.Int64)).With(idempotency.Require(a)))))
		_, err := a.Claim(t.Context(), "k", []byte("1"), time.Second)
		assert.EqualError(t, err, want)
	}
}

// proves T6
func TestARequestIsRefusedWhileRedisIsInTrouble(t *testing.T) {
	t.Parallel()
	for name, eval := range map[string]func(context.Context) (any, error){
		"resets":  func(context.Context) (any, error) { return nil, errReset },
		"hangs":   func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
		"panics":  func(context.Context) (any, error) { panic("bug") },
		"garbage": func(context.Context) (any, error) { return []any{"x"}, nil },
		"a text":  func(context.Context) (any, error) { return "garbage", nil },
		"slow":    func(context.Context) (any, error) { <-time.After(time.Second); return nil, goredis.Nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				p := counting(&calls).With(idempotency.Require(redis.NewAnswers(redis.Spec{Client: &fake{eval: eval}})))
				for range 5 {
					start := time.Now()
					_, err := p(t.Context(), post(`"k"`))
					assert.ErrorIs(t, err, idempotency.ErrAnswers)
					assert.Equal(t, 503, proxy.StatusOf(err))
					assert.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
				}
				assert.Zero(t, calls.Load())
				<-time.After(time.Second) // what is slow returns
			})
		})
	}
}

func TestARedisThatIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	r := own(t)
	var calls atomic.Int64
	gateway := func() proxy.Proxy {
		return counting(&calls).With(idempotency.Require(redis.NewAnswers(patient(r.client(t)))))
	}
	p := gateway()
	res, err := p(t.Context(), post(`"k"`))
	require.NoError(t, err)
	assert.Equal(t, `{"call":1}`, res.Document.String())

	r.kill(t)
	for range 4 {
		_, err = p(t.Context(), post(`"k"`))
		assert.ErrorIs(t, err, idempotency.ErrAnswers)
		assert.Equal(t, 503, proxy.StatusOf(err))
	}
	assert.ErrorIs(t, err, redis.ErrPaused)

	r.start(t)
	res, err = gateway()(t.Context(), post(`"k"`))
	require.NoError(t, err)
	assert.Equal(t, `{"call":1}`, res.Document.String(), "it has written down what it knew")
	assert.Equal(t, "true", res.Header.Get("Idempotent-Replayed"))
	assert.EqualValues(t, 1, calls.Load())
}

func TestAnOutcomeIsKeptWhenAFrozenRedisGoesOn(t *testing.T) {
	t.Parallel()
	r := own(t)
	client := r.client(t)
	frozen := make(chan struct{})
	calls := 0
	leaf := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		calls++
		assert.NoError(t, r.cmd.Process.Signal(syscall.SIGSTOP)) // between the claim and the answer
		close(frozen)
		return &proxy.Response{Header: http.Header{}, Document: document.MustParse(`{"call":1}`)}, nil
	}, pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
	p := leaf.With(idempotency.Require(redis.NewAnswers(redis.Spec{Client: client, Timeout: 300 * time.Millisecond})))
	_, err := p(t.Context(), post(`"k"`))
	assert.NoError(t, err, "it was executed")
	<-frozen
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGCONT))
	other := leaf.With(idempotency.Require(redis.NewAnswers(patient(client))))
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		res, err := other(t.Context(), post(`"k"`))
		if assert.NoError(c, err) {
			assert.Equal(c, "true", res.Header.Get("Idempotent-Replayed"))
		}
	}, 20*time.Second, 50*time.Millisecond)
	assert.Equal(t, 1, calls)
}

// go-redis sends a script again if its connection breaks.
func TestAScriptThatIsSentTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	var cuts atomic.Int64
	client := closing(t, goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true, Addr: server.Addr(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &cutting{Conn: conn, cuts: &cuts}, err
		}}))
	var calls atomic.Int64
	p := counting(&calls).With(idempotency.Require(redis.NewAnswers(patient(client))))
	for n := range 10 {
		key := fmt.Sprintf(`"%d"`, n)
		for range 2 {
			res, err := p(t.Context(), post(key))
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf(`{"call":%d}`, n+1), res.Document.String())
		}
	}
	assert.EqualValues(t, 10, calls.Load())
	assert.Positive(t, cuts.Load())
}

// A cutting connection breaks at every fifth answer, after the server has executed the command.
type cutting struct {
	net.Conn
	cuts *atomic.Int64
	n    int
	cut  bool
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.cut {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if c.n++; c.n%5 == 0 && err == nil {
		c.cuts.Add(1)
		c.cut = true
		return 0, io.EOF
	}
	return n, err
}

func TestAnswersInThePlan(t *testing.T) {
	t.Parallel()
	p := counting(new(atomic.Int64)).With(policy.Timeout(time.Second), idempotency.Require(redis.NewAnswers(redis.Spec{Client: &fake{}})))
	plan := pipe.PlanOf(p)
	assert.True(t, plan.HonoursContext(), "a call needs no goroutine against a Redis that hangs")
	assert.NotContains(t, plan.Effects.Names(), "opaque")
	assert.False(t, bounds.Of(plan).Endless)
}

func TestRequireOnRedisConforms(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, Recovers: true, Outlives: true, New: func() proxy.Decorator {
		return idempotency.Require(redis.NewAnswers(redis.Spec{Client: &fake{eval: func(context.Context) (any, error) { return nil, goredis.Nil }}}))
	}, Request: func() *proxy.Request { return post(fmt.Sprintf(`"%d"`, n.Add(1))) }})
}

func FuzzTwoKeysShareAValueIfTheyAreEqual(f *testing.F) {
	f.Add("", "")
	f.Add("a", "a{b}")
	a := redis.NewAnswers(redis.Spec{Client: &fake{}, Prefix: "shop:"})
	r := redis.NewRevoked(redis.Spec{Client: &fake{}, Prefix: "shop:"})
	f.Fuzz(func(t *testing.T, one, two string) {
		assert.Equal(t, one == two, a.Key(one) == a.Key(two))
		assert.Equal(t, one == two, r.Key(one) == r.Key(two))
		assert.Regexp(t, "^shop:revoked:[A-Za-z0-9_-]{32}$", r.Key(one))
	})
}

// The peer is the cheapest thing that a client can ask of the same Redis.
func BenchmarkAnswers(b *testing.B) {
	spec, ok := kinds(b)["Redis"]
	if !ok {
		missing(b, "there is no Redis")
	}
	b.Run("claim", func(b *testing.B) {
		a := redis.NewAnswers(spec)
		b.ReportAllocs()
		for b.Loop() {
			_, err := a.Claim(b.Context(), "k", []byte("1"), time.Minute)
			require.NoError(b, err)
		}
	})
	b.Run("PING", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, spec.Client.Ping(b.Context()).Err())
		}
	})
}
