package redis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// formOf returns the binary form of an entry that differs from those of other numbers.
func formOf(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{1, 1}, n) }

func entryOf(t testing.TB, n uint64) *cache.Entry {
	e := new(cache.Entry)
	require.NoError(t, e.UnmarshalBinary(formOf(n)))
	return e
}

// numbers returns which entries those are, and 0 for none.
func numbers(t testing.TB, entries []*cache.Entry) (ns []uint64) {
	for _, e := range entries {
		if e == nil {
			ns = append(ns, 0)
			continue
		}
		form, err := e.MarshalBinary()
		require.NoError(t, err)
		ns = append(ns, binary.BigEndian.Uint64(form[2:]))
	}
	return ns
}

// kinds returns a client of each kind.
func kinds(t testing.TB) map[string]goredis.UniversalClient {
	server, one := small(t)
	other, _ := small(t)
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{server.Addr()}, ContextTimeoutEnabled: true})
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": server.Addr(), "b": other.Addr()}, ContextTimeoutEnabled: true})
	t.Cleanup(func() {
		assert.NoError(t, cluster.Close())
		assert.NoError(t, ring.Close())
	})
	shared, _ := shared(t)
	return map[string]goredis.UniversalClient{"one": one, "cluster": cluster, "ring": ring, "Redis": shared}
}

func TestAStoreGivesWhatWasSetLast(t *testing.T) {
	t.Parallel()
	_, prefix := shared(t)
	for name, client := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			spec := patient(client)
			spec.Prefix = prefix + name + ":"
			s, again := redis.NewStore(spec), redis.NewStore(spec)
			rng := rand.New(rand.NewPCG(1, 1))
			want := map[string]uint64{}
			key := func() string { return fmt.Sprint("key", rng.IntN(20)) }
			for n := range uint64(300) {
				k := key()
				want[k] = n + 1
				require.NoError(t, s.Set(t.Context(), k, entryOf(t, n+1), time.Hour))
				var keys []string
				var wants []uint64
				for range rng.IntN(5) {
					k := key()
					keys, wants = append(keys, k), append(wants, want[k])
				}
				got, err := again.Get(t.Context(), keys...)
				require.NoError(t, err)
				assert.Equal(t, wants, numbers(t, got))
			}
		})
	}
}

// proves T6
func TestAStoreThatCannotBeUsedIsAFaultOfItsCache(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		client goredis.UniversalClient
		want   string
	}{
		{nil, "redis: the Client is nil"},
		{goredis.NewClient(&goredis.Options{}), "redis: the client ignores contexts: set ContextTimeoutEnabled"},
		{panicking{}, "redis: Options of the Client: panic: bug"},
		{goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true}), "redis: the client reads from replicas: a purge would not hold"},
		{goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true}), "redis: the client reads from replicas: a purge would not hold"},
		{goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true}), "redis: the client reads from replicas: a purge would not hold"},
	} {
		s := redis.NewStore(redis.Spec{Client: tt.client})
		assert.EqualError(t, s.Fault(), tt.want)
		p := proxy.Proxy(answers).With(cache.New(cache.Spec{Store: s}).Decorate)
		assert.Equal(t, tt.want, pipetest.Faults(pipe.PlanOf(p)))
		_, err := s.Get(t.Context(), "k")
		assert.EqualError(t, err, tt.want)
		assert.EqualError(t, s.Set(t.Context(), "k", entryOf(t, 1), time.Second), tt.want)
		if c, ok := tt.client.(io.Closer); ok && c != (panicking{}) {
			assert.NoError(t, c.Close())
		}
	}
}

func TestAnEntryExpires(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	s := redis.NewStore(patient(client))
	for ttl, want := range map[time.Duration]time.Duration{
		time.Hour: time.Hour, 1500 * time.Millisecond: 1500 * time.Millisecond, 1: time.Millisecond, time.Millisecond + 1: time.Millisecond,
	} {
		require.NoError(t, s.Set(t.Context(), "k", entryOf(t, 1), ttl))
		assert.Equal(t, want, server.TTL(s.Key("k")))
	}
}

// proves T5
func TestNoValueIsLargerThanItMayBe(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	spec := patient(client)
	small := redis.NewStore(spec)
	require.NoError(t, small.Set(t.Context(), "k", entryOf(t, 1), time.Hour))

	spec.MaxValue = len(formOf(1)) - 1
	s := redis.NewStore(spec)
	require.NoError(t, s.Set(t.Context(), "k", entryOf(t, 2), time.Hour))
	assert.Empty(t, server.Keys(), "the one before would be older")

	spec.MaxValue++
	s = redis.NewStore(spec)
	require.NoError(t, s.Set(t.Context(), "k", entryOf(t, 2), time.Hour))
	got, err := s.Get(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, []uint64{2}, numbers(t, got))

	spec.MaxValue = -1
	got, err = redis.NewStore(spec).Get(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, []uint64{2}, numbers(t, got))
}

// A listed client has values, and keeps what it was asked for.
type listed struct {
	goredis.UniversalClient
	values map[string]string
	asked  []string
}

func (l *listed) GetRange(ctx context.Context, key string, first, last int64) *goredis.StringCmd {
	l.asked = append(l.asked, fmt.Sprint(key, " ", first, " ", last))
	cmd := goredis.NewStringCmd(ctx)
	cmd.SetVal(l.values[key])
	return cmd
}

// Purges depend on the order, and memory on the rest.
//
// proves T5
func TestAStoreAsksForEntriesInTheirOrderAndForNoMoreThanTheyCanBe(t *testing.T) {
	t.Parallel()
	l := &listed{}
	s := redis.NewStore(redis.Spec{Client: l, Prefix: "p:", Timeout: time.Minute})
	_, err := s.Get(t.Context(), "c", "a", "b")
	require.NoError(t, err)
	assert.Equal(t, []string{"p:cache:c 0 2097152", "p:cache:a 0 2097152", "p:cache:b 0 2097152"}, l.asked)
}

// A gateway is one of a fleet, with a cache in front of one upstream for all.
type gateway struct {
	http.Handler
	cache   *cache.Cache
	reports []error
}

func newGateway(t testing.TB, store cache.Store, upstream proxy.Proxy) *gateway {
	g := &gateway{cache: cache.New(cache.Spec{Store: store})}
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(g.cache.Decorate),
		Report: func(_ context.Context, err error) { g.reports = append(g.reports, err) }})
	require.NoError(t, err)
	g.Handler = h
	return g
}

// get asks for a path, and returns the answer and what was reported.
func (g *gateway) get(t testing.TB, path string) (string, []error) {
	g.reports = nil
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	assert.Equal(t, 200, w.Code)
	return w.Body.String(), g.reports
}

// numbered is an upstream that answers with the number of the call, fresh for an hour.
func numbered() proxy.Proxy {
	var calls atomic.Int64
	return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse(fmt.Appendf(nil, `{"call":%d}`, calls.Add(1)))
		return &proxy.Response{Document: doc, Header: http.Header{}, Origin: http.Header{"Cache-Control": {"max-age=3600"}}}, err
	}, pipe.Step{Kind: "backend", Name: "u", Effects: pipe.Terminal | pipe.Idempotent | pipe.HonoursContext, Takes: []string{}})
}

func TestGatewaysShareAnswers(t *testing.T) {
	t.Parallel()
	_, prefix := shared(t)
	for name, client := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			spec := patient(client)
			spec.Prefix = prefix + name + ":"
			upstream := numbered()
			one, two := newGateway(t, redis.NewStore(spec), upstream), newGateway(t, redis.NewStore(spec), upstream)
			for _, g := range []*gateway{one, two, one} {
				body, reports := g.get(t, "/item")
				assert.Equal(t, `{"call":1}`, body)
				assert.Empty(t, reports)
			}
			require.NoError(t, two.cache.Purge(t.Context(), "/item"))
			for _, g := range []*gateway{one, two} {
				body, _ := g.get(t, "/item")
				assert.Equal(t, `{"call":2}`, body, "a purge is for all")
			}
		})
	}
}

func TestAValueThatIsNoEntryIsAMiss(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		put  func(server *miniredis.Miniredis, key string) error
		want string
	}{
		{"text", func(s *miniredis.Miniredis, key string) error { return s.Set(key, "hello") }, "cache: "},
		{"another version", func(s *miniredis.Miniredis, key string) error { return s.Set(key, "\xff\x01\x00") }, "cache: the entry has version 255, want 1"},
		{"too large", func(s *miniredis.Miniredis, key string) error { return s.Set(key, strings.Repeat("x", 3<<20)) }, "it has more than 2097152 bytes"},
		{"a list", func(s *miniredis.Miniredis, key string) error {
			s.Del(key)
			_, err := s.Lpush(key, "x")
			return err
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := small(t)
			g := newGateway(t, redis.NewStore(patient(client)), numbered())
			_, _ = g.get(t, "/item")
			keys := server.Keys()
			require.NotEmpty(t, keys)
			for _, key := range keys {
				require.NoError(t, tt.put(server, key))
			}
			body, reports := g.get(t, "/item")
			assert.Equal(t, `{"call":2}`, body)
			if assert.NotEmpty(t, reports) {
				assert.ErrorIs(t, reports[0], redis.ErrValue)
				assert.ErrorContains(t, reports[0], "the value is no entry")
				assert.ErrorContains(t, reports[0], tt.want)
				assert.NotContains(t, reports[0].Error(), "\n")
			}
			body, reports = g.get(t, "/item")
			assert.Equal(t, `{"call":2}`, body, "replaced")
			assert.Empty(t, reports)
		})
	}
}

// proves T3, M2
func TestACacheGoesOnWithoutRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, redis.NewStore(redis.Spec{Client: &hanging{}}), numbered())
		start := time.Now()
		for n := range 4 {
			body, reports := g.get(t, "/item")
			assert.Equal(t, fmt.Sprintf(`{"call":%d}`, n+1), body)
			assert.NotEmpty(t, reports)
		}
		assert.Equal(t, 3*50*time.Millisecond, time.Since(start))
		_, reports := g.get(t, "/item")
		if assert.NotEmpty(t, reports) {
			assert.ErrorIs(t, reports[0], redis.ErrPaused)
		}
	})
}

// A hanging client answers nothing before its context ends.
type hanging struct{ goredis.UniversalClient }

func (*hanging) GetRange(ctx context.Context, _ string, _, _ int64) *goredis.StringCmd {
	<-ctx.Done()
	cmd := goredis.NewStringCmd(ctx)
	cmd.SetErr(ctx.Err())
	return cmd
}

func (*hanging) Process(ctx context.Context, _ goredis.Cmder) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestACacheGoesOnWhileARedisIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	p := own(t)
	upstream := numbered()
	g := newGateway(t, redis.NewStore(patient(p.client(t))), upstream)
	_, _ = g.get(t, "/item")
	body, reports := g.get(t, "/item")
	assert.Equal(t, `{"call":1}`, body)
	assert.Empty(t, reports)

	p.kill(t)
	body, reports = g.get(t, "/item")
	assert.Equal(t, `{"call":2}`, body)
	assert.NotEmpty(t, reports)

	p.start(t)
	g = newGateway(t, redis.NewStore(patient(p.client(t))), upstream)
	_, _ = g.get(t, "/item")
	body, reports = g.get(t, "/item")
	assert.Equal(t, `{"call":3}`, body)
	assert.Empty(t, reports)
}

// cut is a connection that breaks after something was sent.
type cut struct {
	net.Conn
	what []byte
	sent *atomic.Int64
	cut  bool
}

func (c *cut) Write(p []byte) (int, error) {
	if bytes.Contains(p, c.what) {
		c.sent.Add(1)
		c.cut = true
	}
	return c.Conn.Write(p)
}

func (c *cut) Read(p []byte) (int, error) {
	if c.cut {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// Another process may have set a newer one meanwhile, such as a purge.
func TestAnEntryIsNotSentTwice(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	var sets, gets atomic.Int64
	for what, sent := range map[string]*atomic.Int64{"\r\nset\r\n": &sets, "\r\ngetrange\r\n": &gets} {
		client := closing(t, goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true, Addr: server.Addr(),
			Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &cut{Conn: conn, what: []byte(what), sent: sent}, err
			}}))
		s := redis.NewStore(patient(client))
		err := s.Set(t.Context(), "k", entryOf(t, 1), time.Hour)
		_, failed := s.Get(t.Context(), "k")
		assert.True(t, (err == nil) != (failed == nil))
	}
	assert.EqualValues(t, 1, sets.Load())
	assert.EqualValues(t, 4, gets.Load(), "what changes nothing may be")
}

func FuzzAStoreReadsAnyValue(f *testing.F) {
	f.Add([]byte("hello"))
	f.Add(formOf(7))
	f.Add([]byte{1, 3})
	l := &listed{values: map[string]string{}}
	s := redis.NewStore(redis.Spec{Client: l, MaxValue: 1000, Timeout: time.Minute})
	f.Fuzz(func(t *testing.T, value []byte) {
		l.values[s.Key("k")] = string(value)
		got, err := s.Get(t.Context(), "k")
		require.NoError(t, err)
		if len(value) == 0 || len(value) > 1000 {
			assert.Nil(t, got[0])
		}
		if got[0] != nil {
			form, err := got[0].MarshalBinary()
			require.NoError(t, err)
			again := new(cache.Entry)
			assert.NoError(t, again.UnmarshalBinary(form))
			assert.Equal(t, got[0], again)
		}
	})
}
