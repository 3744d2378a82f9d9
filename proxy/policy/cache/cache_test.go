package cache_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestAHitDiffersFromItsMissInAgeAndCacheStatusOnly(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*upstream{
		"document": {answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 203, Header: http.Header{"X-Exposed": {"a", "b"}}, Document: document.MustParse(`{"id":1}`),
				Origin: http.Header{"Cache-Control": {"max-age=60"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}}, nil
		}},
		"stream": {answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 203, Body: proxytest.NewBody("rows"), Trailer: func() http.Header { return http.Header{"X-Sum": {"1"}} },
				Header: http.Header{"Cache-Control": {"max-age=60"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}, "X-Exposed": {"a", "b"},
					"Cache-Status": {"Nearer; hit"}}}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
				miss := ask(t, p, get("/"))
				<-time.After(7*time.Second + 300*time.Millisecond)
				hit := ask(t, p, get("/"))
				assert.EqualValues(t, 1, u.calls.Load())
				assert.Equal(t, "7", hit.header.Get("Age"))
				statuses := miss.header["Cache-Status"]
				assert.Equal(t, "sluice; fwd=uri-miss; stored", statuses[len(statuses)-1])
				statuses = hit.header["Cache-Status"]
				assert.Equal(t, "sluice; hit; ttl=52", statuses[len(statuses)-1])
				for _, g := range []got{miss, hit} {
					if name == "stream" {
						assert.Equal(t, "Nearer; hit", g.header["Cache-Status"][0])
					}
					delete(g.header, "Age")
					delete(g.header, "Cache-Status")
				}
				assert.Equal(t, miss, hit)
				assert.NotEmpty(t, hit.body)
			})
		})
	}
}

func TestAStreamIsGivenAgainWithItsTrailers(t *testing.T) {
	t.Parallel()
	u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: proxytest.NewBody("rows"), Trailer: func() http.Header { return http.Header{"X-Sum": {"1"}} },
			Header: http.Header{"Cache-Control": {"max-age=60"}}}, nil
	}}
	p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
	for range 2 {
		res, err := p(t.Context(), get("/"))
		require.NoError(t, err)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-Sum": {"1"}}, res.Trailer())
		assert.NoError(t, res.Close())
	}
	assert.EqualValues(t, 1, u.calls.Load())
}

// proves F3, F14, M19
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	const fresh = "Cache-Control: max-age=60"
	past := "Last-Modified: " + time.Now().Add(-100*time.Hour).UTC().Format(http.TimeFormat)
	broken := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: headerOf([]string{fresh}), Body: proxytest.NewBrokenBody("the", io.ErrUnexpectedEOF)}, nil
	}}
	short := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: headerOf([]string{fresh, "Content-Length: 9"}), Body: proxytest.NewBody("the")}, nil
	}}
	partial := says(fresh)
	partial.answer = answerWith(partial.answer, func(res *proxy.Response) { res.Err = errors.New("a part is missing") })
	merged := func() *upstream { // each test counts the calls of its own
		u := says()
		u.answer = answerWith(u.answer, func(res *proxy.Response) { res.Origin = nil })
		return u
	}
	private := says()
	private.answer = answerWith(private.answer, func(res *proxy.Response) { res.Origin, res.Header = nil, headerOf([]string{"Cache-Control: no-store"}) })
	exposed := says(fresh)
	exposed.answer = answerWith(exposed.answer, func(res *proxy.Response) { res.Header.Set("Set-Cookie", "a=1") })
	failing := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, &proxy.Error{Status: 404, Op: "status"}
	}}
	large := func() *upstream {
		return &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: headerOf([]string{fresh}), Body: proxytest.NewBody(strings.Repeat("x", 101))}, nil
		}}
	}
	for _, tt := range []struct {
		name string
		u    *upstream
		spec cache.Spec
		req  func() *proxy.Request
		kept bool
	}{
		{name: "fresh", u: says(fresh), kept: true},
		{name: "fresh, by the query too", u: says(fresh), req: func() *proxy.Request { req := get("/"); req.Query.Set("a", "1"); return req }, kept: true},
		{name: "says nothing", u: says()},
		{name: "says nothing, and a TTL", u: says(), spec: cache.Spec{TTL: time.Minute}, kept: true},
		{name: "s-maxage", u: says("Cache-Control: s-maxage=60, max-age=0"), kept: true},
		{name: "max-age=0, and a TTL", u: says("Cache-Control: max-age=0"), spec: cache.Spec{TTL: time.Minute}},
		{name: "a date for which it is fresh", u: says("Expires: Thu, 18 Aug 2050 02:01:18 GMT"), kept: true},
		{name: "heuristic", u: says(past), kept: true},
		{name: "no-store", u: says("Cache-Control: max-age=60, no-store")},
		{name: "must-understand", u: says("Cache-Control: max-age=60, no-store, must-understand"), kept: true},
		{name: "private", u: says("Cache-Control: max-age=60, private")},
		{name: "private, of one field", u: says(`Cache-Control: max-age=60, private="X-User"`)},
		{name: "no-cache without a validator", u: says("Cache-Control: max-age=60, no-cache")},
		{name: "Vary: *", u: says(fresh, "Vary: Accept, *")},
		{name: "Vary of no names", u: says(fresh, "Vary: Accept Language")},
		{name: "Set-Cookie", u: says(fresh, "Set-Cookie: a=1")},
		{name: "Set-Cookie, which clients get", u: exposed},
		{name: "Set-Cookie, when told", u: says(fresh, "Set-Cookie: a=1"), spec: cache.Spec{StoreCookies: true}, kept: true},
		{name: "partial", u: partial},
		{name: "an error", u: failing},
		{name: "a stream", u: streams(200, fresh), kept: true},
		{name: "a stream that breaks", u: broken},
		{name: "a stream that is too short", u: short},
		{name: "a stream of 206", u: streams(206, fresh)},
		{name: "a stream of 404", u: streams(404, fresh), kept: true},
		{name: "a stream of 404, and a TTL", u: streams(404), spec: cache.Spec{TTL: time.Minute}, kept: true},
		{name: "a stream of 503", u: streams(503), spec: cache.Spec{TTL: time.Minute}},
		{name: "a stream of 503 that says so", u: streams(503, fresh), kept: true},
		{name: "a stream of 416 to a range", u: streams(416, fresh), req: func() *proxy.Request { return get("/", "Range: bytes=9-") }},
		{name: "a stream with an empty body", u: streams(204, fresh), kept: true},
		{name: "a stream that is too large", u: large(), spec: cache.Spec{MaxObject: 100}},
		{name: "a stream of the largest size", u: large(), spec: cache.Spec{MaxObject: 101}, kept: true},
		{name: "a document that is too large", u: says(fresh), spec: cache.Spec{MaxObject: 9}},
		{name: "a merge", u: merged()},
		{name: "a merge, and a TTL", u: merged(), spec: cache.Spec{TTL: time.Minute}, kept: true},
		{name: "a merge that says no", u: private, spec: cache.Spec{TTL: time.Minute}},
		{name: "an impossible status", u: streams(1000, fresh)},
		{name: "another impossible status", u: streams(7, fresh)},
		{name: "a GET with a body", u: says(fresh), req: func() *proxy.Request { req := get("/"); req.SetBody("text/plain", []byte("x")); return req }},
		{name: "a request with no-store", u: says(fresh), req: func() *proxy.Request { return get("/", "Cache-Control: no-store") }},
		{name: "a HEAD", u: says(fresh), req: func() *proxy.Request { req := get("/"); req.Method = "HEAD"; return req }},
		{name: "an OPTIONS", u: says(fresh), req: func() *proxy.Request { req := get("/"); req.Method = "OPTIONS"; return req }},
		{name: "a condition that code has set", u: says(fresh), req: func() *proxy.Request { req := get("/"); req.Upstream.Set("Range", "bytes=1-"); return req }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, store := range []cache.Store{nil, newStore()} {
				tt.u.calls.Store(0)
				tt.spec.Store = store
				p := tt.u.leaf("*").With(cache.New(tt.spec).Decorate)
				if tt.req == nil {
					tt.req = func() *proxy.Request { return get("/") }
				}
				for range 2 {
					ask(t, p, tt.req())
				}
				want := int64(2)
				if tt.kept {
					want = 1
				}
				assert.Equal(t, want, tt.u.calls.Load(), "calls")
			}
		})
	}
}

// answerWith returns an answer that is changed.
func answerWith(answer func(context.Context, *proxy.Request) (*proxy.Response, error), change func(*proxy.Response)) func(context.Context, *proxy.Request) (*proxy.Response, error) {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, err := answer(ctx, req)
		change(res)
		return res, err
	}
}

// proves F14
func TestAnAbandonedStreamIsNotKept(t *testing.T) {
	t.Parallel()
	u := streams(200, "Cache-Control: max-age=60")
	p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
	for range 2 {
		res, err := p(t.Context(), get("/"))
		require.NoError(t, err)
		assert.NoError(t, res.Close())
	}
	assert.EqualValues(t, 2, u.calls.Load())
}

func TestAStreamIsKeptWhereItsAnnouncedLengthWasRead(t *testing.T) {
	t.Parallel()
	u := streams(200, "Cache-Control: max-age=60", "Content-Length: 1")
	p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
	for range 2 {
		res, err := p(t.Context(), get("/"))
		require.NoError(t, err)
		_, err = io.ReadFull(res.Body, make([]byte, 1)) // and no further, as an endpoint does
		require.NoError(t, err)
		assert.NoError(t, res.Close())
	}
	assert.EqualValues(t, 1, u.calls.Load())
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		says    string
		after   time.Duration
		asks    string
		status  string
		refused bool
	}{
		{name: "fresh", says: "max-age=60", after: 59 * time.Second, status: "hit; ttl=1"},
		{name: "stale", says: "max-age=60", after: 60 * time.Second, status: "fwd=stale; stored"},
		{name: "of two the first", says: "max-age=60, max-age=1", after: 59 * time.Second, status: "hit; ttl=1"},
		{name: "no number", says: "max-age=1h", after: time.Second, status: "fwd=uri-miss"},
		{name: "too large a number", says: "max-age=99999999999999999999", after: 24 * time.Hour, status: "hit; ttl=315273600"},
		{name: "no-cache in the request", says: "max-age=60", after: time.Second, asks: "no-cache", status: "fwd=request; stored"},
		{name: "max-age", says: "max-age=60", after: 9 * time.Second, asks: "max-age=9", status: "hit; ttl=51"},
		{name: "max-age, exceeded", says: "max-age=60", after: 10 * time.Second, asks: "max-age=9", status: "fwd=request; stored"},
		{name: "min-fresh", says: "max-age=60", after: 50 * time.Second, asks: "min-fresh=10", status: "hit; ttl=10"},
		{name: "min-fresh, not met", says: "max-age=60", after: 51 * time.Second, asks: "min-fresh=10", status: "fwd=request; stored"},
		{name: "max-stale", says: "max-age=60", after: 70 * time.Second, asks: "max-stale=10", status: "hit; ttl=-10"},
		{name: "max-stale, exceeded", says: "max-age=60", after: 71 * time.Second, asks: "max-stale=10", status: "fwd=stale; stored"},
		{name: "max-stale, any", says: "max-age=60", after: 50 * time.Minute, asks: "max-stale", status: "hit; ttl=-2940"},
		{name: "max-stale, and must-revalidate", says: "max-age=60, must-revalidate", after: 61 * time.Second, asks: "max-stale", status: "fwd=stale; stored"},
		{name: "only-if-cached", says: "max-age=60", after: time.Second, asks: "only-if-cached", status: "hit; ttl=59"},
		{name: "only-if-cached, and stale", says: "max-age=60", after: time.Hour, asks: "only-if-cached", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := says("Cache-Control: " + tt.says).leaf().With(cache.New(cache.Spec{}).Decorate)
				ask(t, p, get("/"))
				<-time.After(tt.after)
				req := get("/")
				if tt.asks != "" {
					req.Header.Set("Cache-Control", tt.asks)
				}
				got := ask(t, p, req)
				if tt.refused {
					assert.ErrorIs(t, got.err, cache.ErrNotCached)
					assert.Equal(t, http.StatusGatewayTimeout, got.status)
					return
				}
				assert.Equal(t, "sluice; "+tt.status, got.header.Get("Cache-Status"))
			})
		})
	}
}

func TestATargetedFieldCountsInPlaceOfCacheControl(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fields []string
		kept   bool
	}{
		{"longer", []string{"Cache-Control: no-store", "CDN-Cache-Control: max-age=60"}, true},
		{"shorter", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: max-age=0"}, false},
		{"private", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: private"}, false},
		{"beside Expires", []string{"Expires: Thu, 18 Aug 2050 02:01:18 GMT", "CDN-Cache-Control: foo"}, false},
		{"no dictionary", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: max-age=0, ("}, true},
		{"a wrong type", []string{"Cache-Control: max-age=60", `CDN-Cache-Control: max-age="0"`}, true},
		{"empty", []string{"Cache-Control: max-age=60", "CDN-Cache-Control: "}, true},
		{"the first that counts", []string{"CDN-Cache-Control: max-age=0", "Mine-Cache-Control: max-age=60"}, true},
	} {
		u := says(tt.fields...)
		p := u.leaf().With(cache.New(cache.Spec{Targets: []string{"Mine-Cache-Control", "CDN-Cache-Control"}}).Decorate)
		ask(t, p, get("/"))
		assert.Equal(t, tt.kept, ask(t, p, get("/")).hit(), tt.name)
	}
}

func TestAHeadIsAnsweredFromAGet(t *testing.T) {
	t.Parallel()
	u := streams(200, "Cache-Control: max-age=60", "Content-Length: 1")
	p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/"))
	head := get("/")
	head.Method = "HEAD"
	got := ask(t, p, head)
	assert.True(t, got.hit())
	assert.Equal(t, "1", got.header.Get("Content-Length"))
	assert.Empty(t, got.body)
}

func TestAConditionOfAClientIsAnsweredFromTheCache(t *testing.T) {
	t.Parallel()
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for _, tt := range []struct {
		name   string
		asks   []string
		status int
		body   string
		ranges string
	}{
		{"none", nil, 200, "0123456789", ""},
		{"the tag", []string{`If-None-Match: "a,b", W/"1"`}, 304, "", ""},
		{"any tag", []string{"If-None-Match: *"}, 304, "", ""},
		{"another tag", []string{`If-None-Match: "2"`, "If-Modified-Since: " + date}, 200, "0123456789", ""},
		{"no tag", []string{`If-None-Match: "1`}, 200, "0123456789", ""},
		{"the date", []string{"If-Modified-Since: " + date}, 304, "", ""},
		{"an earlier date", []string{"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"}, 200, "0123456789", ""},
		{"a range", []string{"Range: bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{"a range to the end", []string{"Range: bytes=8-"}, 206, "89", "bytes 8-9/10"},
		{"a range past the end", []string{"Range: bytes=8-99999999999999999999"}, 206, "89", "bytes 8-9/10"},
		{"the last bytes", []string{"Range: bytes=-3"}, 206, "789", "bytes 7-9/10"},
		{"more than there are", []string{"Range: bytes=-30"}, 206, "0123456789", "bytes 0-9/10"},
		{"a range beyond", []string{"Range: bytes=10-"}, 416, "", "bytes */10"},
		{"no last bytes", []string{"Range: bytes=-0"}, 416, "", "bytes */10"},
		{"two ranges", []string{"Range: bytes=0-0,2-3"}, 200, "0123456789", ""},
		{"a range backwards", []string{"Range: bytes=4-2"}, 200, "0123456789", ""},
		{"another unit", []string{"Range: rows=4-5"}, 200, "0123456789", ""},
		{"a range of the same", []string{"Range: bytes=2-4", `If-Range: "1"`}, 206, "234", "bytes 2-4/10"},
		{"a range of another", []string{"Range: bytes=2-4", `If-Range: "2"`}, 200, "0123456789", ""},
		{"a range of a weak tag", []string{"Range: bytes=2-4", `If-Range: W/"1"`}, 200, "0123456789", ""},
		{"a range of the same date", []string{"Range: bytes=2-4", "If-Range: " + date}, 206, "234", "bytes 2-4/10"},
	} {
		u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: proxytest.NewBody("0123456789"), Header: headerOf([]string{"Cache-Control: max-age=60", `Etag: "1"`,
				"Last-Modified: " + date, "Content-Type: text/plain", "Content-Length: 10"})}, nil
		}}
		p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
		ask(t, p, get("/"))
		got := ask(t, p, get("/", tt.asks...))
		assert.EqualValues(t, 1, u.calls.Load(), tt.name)
		assert.Equal(t, tt.status, got.status, tt.name)
		assert.Equal(t, tt.body, got.body, tt.name)
		assert.Equal(t, tt.ranges, got.header.Get("Content-Range"), tt.name)
		assert.Equal(t, `"1"`, got.header.Get("Etag"), tt.name)
	}
}

func TestThePlanShowsTheCache(t *testing.T) {
	t.Parallel()
	u := says()
	cached := cache.New(cache.Spec{Name: "items", TTL: time.Minute, StaleIfError: time.Hour})
	step := pipe.PlanOf(u.leaf().With(cached.Decorate))
	assert.Contains(t, step.String(), "cache items (1m0s where nothing is said, stale for 1h0m0s on errors, up to 1048576 bytes)")
	assert.True(t, step.Effects.Has(pipe.Caches|pipe.Stateful|pipe.CallsOnce))
	assert.True(t, step.HonoursContext())
	assert.False(t, pipe.PlanOf(u.leaf().With(cache.New(cache.Spec{Store: newStore()}).Decorate)).HonoursContext(), "the store is code of a user")

	post := pipe.Describe(u.call, pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal | pipe.NotIdempotent})
	assert.Contains(t, pipe.PlanOf(post.With(cached.Decorate)).String(), "never: orders is not idempotent")
	ask(t, post.With(cached.Decorate), get("/"))
	ask(t, post.With(cached.Decorate), get("/"))
	assert.EqualValues(t, 2, u.calls.Load())
}

func TestWhatIsWrongIsAFault(t *testing.T) {
	t.Parallel()
	cached := cache.New(cache.Spec{Name: "my items", TTL: -1, StaleIfError: -1, StaleWhileRevalidate: -1, Timeout: -1, Targets: []string{"a b"}, Tags: "c d"})
	err := pipe.PlanOf(says().leaf().With(cached.Decorate)).Faults()
	for _, text := range []string{
		`cache: New (my items): Name is "my items", want a token such as items`,
		"cache: New (my items): TTL is -1ns, want 0 or more",
		"cache: New (my items): StaleIfError is -1ns, want 0 or more",
		"cache: New (my items): StaleWhileRevalidate is -1ns, want 0 or more",
		"cache: New (my items): Timeout is -1ns, want 0 or more",
		`cache: New (my items): Targets: "a b" is not the name of a header`,
		`cache: New (my items): Tags: "c d" is not the name of a header`,
	} {
		assert.ErrorContains(t, err, text)
	}
	assert.NoError(t, cache.New(cache.Spec{}).Fault())

	asks := pipe.Describe(says().call, pipe.Step{Kind: "limit", Name: "api", Effects: pipe.Terminal | pipe.ReadsCaller})
	assert.ErrorContains(t, pipe.PlanOf(asks.With(cache.New(cache.Spec{}).Decorate)).Faults(),
		"cache: New: limit api inside decides by who the caller is: put it outside")
	limited := says().leaf().With(policy.LimitBy(policy.ByClient, policy.PerSecond(1)))
	assert.ErrorContains(t, pipe.PlanOf(limited.With(cache.New(cache.Spec{}).Decorate)).Faults(),
		"inside decides by the client: put it outside")
	assert.EqualError(t, cache.New(cache.Spec{Name: "items", Store: (*cache.Memory)(nil)}).Fault(), "cache: New (items): the Store is a nil pointer")
}

func TestThePlanSaysWhereNothingIsKept(t *testing.T) {
	t.Parallel()
	leaf := says().leaf()
	merge := proxy.Merge(proxy.Grouped("a", leaf), proxy.Grouped("b", leaf))
	const never = "cache (never: no answer is that of one upstream, and there is no TTL)"
	for _, c := range []struct {
		next  proxy.Proxy
		spec  cache.Spec
		never bool
	}{
		{merge, cache.Spec{}, true},
		{merge.With(policy.Timeout(time.Second)), cache.Spec{}, true},
		{merge, cache.Spec{TTL: time.Second}, false},
		{leaf.With(policy.Timeout(time.Second)), cache.Spec{}, false},
		{proxy.Fallback(merge, leaf), cache.Spec{}, false},
		{says().call, cache.Spec{}, false}, // nobody knows
	} {
		plan := pipe.PlanOf(c.next.With(cache.New(c.spec).Decorate)).String()
		assert.Equal(t, c.never, strings.Contains(plan, never), plan)
	}
}

// proves M23
func TestACallWhoseContextHasEndedIsNotMade(t *testing.T) {
	t.Parallel()
	u := says("Cache-Control: max-age=60")
	p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"/", "/other"} {
		assert.ErrorIs(t, askWith(ctx, t, p, get(path)).err, context.Canceled)
	}
	assert.EqualValues(t, 1, u.calls.Load())
}

// proves H2
func TestWhatBelongsToAConnectionIsNotKept(t *testing.T) {
	t.Parallel()
	u := streams(200, "Cache-Control: max-age=60", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic",
		"Proxy-Authentication-Info: a", "Upgrade: h2c", "X-Bad: a\x00b", "X-Good: 1", "Bad Name: 1")
	synctest.Test(t, func(t *testing.T) {
		p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
		ask(t, p, get("/"))
		got := ask(t, p, get("/"))
		assert.Equal(t, http.Header{"Cache-Control": {"max-age=60"}, "X-Good": {"1"}, "Age": {"0"}, "Cache-Status": {"sluice; hit; ttl=60"}}, got.header)
	})
}

func TestTheHeaderOfACallThatIsDescribedIsLeftAlone(t *testing.T) {
	t.Parallel()
	var scope call.Scope
	takesOver := pipe.Describe(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		clear(req.Header) // as a leaf may
		return &proxy.Response{Origin: headerOf([]string{"Cache-Control: max-age=60", "Vary: Accept"}), Document: document.MustParse("1")}, nil
	}, pipe.Step{Mark: mark.Ours(), Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext, Takes: []string{"*"}}).With(cache.New(cache.Spec{}).Decorate)
	scope.Serve(pipe.PlanOf(takesOver))
	require.True(t, scope.Described(), "there is no code of a user")
	for _, tt := range []struct {
		accept string
		hit    bool
	}{{"a", false}, {"b", false}, {"a", true}, {"b", true}} {
		req := get("/", "Accept: "+tt.accept)
		assert.Equal(t, tt.hit, askWith(scope.Context(t.Context()), t, takesOver, req).hit())
		assert.Equal(t, tt.accept, req.Header.Get("Accept"))
	}
}
