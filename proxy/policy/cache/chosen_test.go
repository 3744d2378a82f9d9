package cache_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// Two upstreams say that their answers are for all. They do not know that a field of the client has
// decided which of them is asked, and so their Vary does not name it.
//
// proves T8, T23
func TestWhatDecidesInsideWhoIsAskedIsInTheKey(t *testing.T) {
	t.Parallel()
	fields := []string{"Cache-Control: public, max-age=60"}
	red := func() proxy.Proxy { return personal(false, nil, append(fields, "X-Is: red")...).leaf("Accept") }
	blue := func() proxy.Proxy { return personal(false, nil, append(fields, "X-Is: blue")...).leaf("Accept") }
	isBlue := func(_ context.Context, req *proxy.Request) bool { return req.Header.Get("X-Tenant") == "blue" }
	tenant := func(req *proxy.Request) *proxy.Request {
		again := *req
		again.Upstream = http.Header{"X-Tenant": req.Header["X-Tenant"]}
		return &again
	}
	sends := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{}, Origin: headerOf(append(fields, "X-Is: "+req.Upstream.Get("X-Tenant")))}, nil
	})
	writes := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return sends(ctx, tenant(req)) }
	for name, tt := range map[string]struct {
		inside proxy.Proxy
		shares bool // callers whose other fields differ
	}{
		"a switch": {inside: proxy.Switch(proxy.Case{Name: "blue", When: isBlue, Proxy: blue()}, proxy.Case{Name: "red", Proxy: red()})},
		"an if":    {inside: proxy.If(isBlue, blue(), red())},
		"a split by header": {shares: true, inside: proxy.Split(proxy.SplitSpec{Header: "X-Tenant",
			Variants: []proxy.Variant{{Name: "blue", Weight: 1, Proxy: blue()}, {Name: "red", Weight: 1, Proxy: red()}}})},
		"a split by key": {inside: proxy.Split(proxy.SplitSpec{Key: func(req *proxy.Request) string { return req.Header.Get("X-Tenant") },
			Variants: []proxy.Variant{{Name: "blue", Weight: 1, Proxy: blue()}, {Name: "red", Weight: 1, Proxy: red()}}})},
		"a function": {inside: writes},
		"a step that says what it takes": {shares: true, inside: pipe.Describe[*proxy.Request, *proxy.Response](writes,
			pipe.Step{Kind: "tenant", Takes: []string{"X-Tenant"}, Effects: pipe.CallsOnce}, blue())},
		"a step that says nothing": {inside: pipe.Describe[*proxy.Request, *proxy.Response](writes,
			pipe.Step{Kind: "tenant", Effects: pipe.CallsOnce}, blue())},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, store := range []cache.Store{nil, newStore()} {
				p := tt.inside.With(cache.New(cache.Spec{Store: store}).Decorate)
				want := map[string]string{}
				for _, tenant := range []string{"red", "blue"} {
					want[tenant] = ask(t, tt.inside, get("/", "X-Tenant: "+tenant)).origin.Get("X-Is")
				}
				for range 2 {
					for tenant, is := range want {
						got := ask(t, p, get("/", "X-Tenant: "+tenant))
						assert.Equal(t, is, got.origin.Get("X-Is"), "for %s", tenant)
					}
				}
				assert.True(t, ask(t, p, get("/", "X-Tenant: blue")).hit())
				assert.True(t, ask(t, p, get("/", "X-Tenant: blue", "Cache-Control: max-age=30", "If-None-Match: a")).hit(), "what is said to the cache makes no difference")
				assert.Equal(t, tt.shares, ask(t, p, get("/", "X-Tenant: blue", "User-Agent: other")).hit())
			}
		})
	}
}

// proves T23
func TestAFailureOfOneUserIsNotThatOfAnother(t *testing.T) {
	t.Parallel()
	refuses := func(status int) error {
		return &proxy.Error{Status: status, Op: "status", Header: headerOf([]string{"Www-Authenticate: for ann"}),
			Upstream: &proxy.UpstreamAnswer{Status: status, Body: []byte("ann has no right to this")}}
	}
	for name, tt := range map[string]struct {
		err     error
		as      string // the other caller
		reaches bool   // the failure, and may
	}{
		"401":                              {err: refuses(401), as: "bob"},
		"404":                              {err: refuses(404), as: "bob"},
		"500, with what the upstream said": {err: refuses(500), as: "bob"},
		"one of several":                   {err: &proxy.Error{Op: "merge", Err: joined{refuses(500), refuses(401)}}, as: "bob"},
		"of code, a status of the client":  {err: &proxy.Error{Status: 403, Op: "policy"}, as: "bob"},
		"the same caller":                  {err: refuses(401), as: "ann", reaches: true},
		"a timeout":                        {err: context.DeadlineExceeded, as: "bob", reaches: true},
		"an open breaker":                  {err: &proxy.Error{Status: 503, Op: "break"}, as: "bob", reaches: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{answer: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					if req.Header.Get("Authorization") == "ann" {
						return nil, tt.err
					}
					return &proxy.Response{Header: http.Header{}, Origin: http.Header{}}, nil
				}}
				p := u.leaf("Authorization").With(cache.New(cache.Spec{}).Decorate)
				var wg sync.WaitGroup
				wg.Go(func() {
					assert.ErrorIs(t, ask(t, p, get("/", "Authorization: ann")).err, tt.err)
				})
				synctest.Wait()
				for range 3 {
					wg.Go(func() {
						assert.Equal(t, tt.reaches, ask(t, p, get("/", "Authorization: "+tt.as)).err != nil)
					})
				}
				start := time.Now()
				wg.Wait()
				assert.LessOrEqual(t, time.Since(start), 2*time.Second, "the others call at once, not in turn")
				if tt.reaches {
					assert.EqualValues(t, 1, u.calls.Load())
				}
			})
		})
	}
}

type joined []error

func (joined) Error() string     { return "joined" }
func (j joined) Unwrap() []error { return j }

// proves T23
func TestWhatSaysThatAnAnswerIsForOneCounts(t *testing.T) {
	t.Parallel()
	const fresh = "Cache-Control: public, max-age=60"
	for name, tt := range map[string]struct {
		origin, header []string
		trailer        string
	}{
		"in a quote that does not end":         {origin: []string{`Cache-Control: max-age=60, ext="a, private`}},
		"in a quote that does not end, at all": {origin: []string{`Cache-Control: max-age=60, ext="\", no-store`}},
		"in the middle of quotes":              {origin: []string{`Cache-Control: max-age=60, a="b"c", private`}},
		"on another line":                      {origin: []string{`Cache-Control: max-age=60, a="`, "Cache-Control: private"}},
		"by code, private":                     {origin: []string{fresh}, header: []string{"Cache-Control: private"}},
		"by code, no-store":                    {origin: []string{fresh}, header: []string{"Cache-Control: no-store"}},
		"by code, Vary":                        {origin: []string{fresh}, header: []string{"Vary: *"}},
	} {
		u := says(tt.origin...)
		u.answer = answerWith(u.answer, func(res *proxy.Response) { res.Header = headerOf(tt.header) })
		p := u.leaf("*").With(cache.New(cache.Spec{}).Decorate)
		ask(t, p, get("/"))
		assert.False(t, ask(t, p, get("/")).hit(), name)
	}
	for _, line := range []string{"set-cookie: a=1", "cache-control: private", "VARY: *"} { // a transport of a user may give any name
		for _, stream := range []bool{false, true} {
			u := says()
			if stream {
				u = streams(200)
			}
			u.answer = answerWith(u.answer, func(res *proxy.Response) {
				h := res.Origin
				if stream {
					h = res.Header
				}
				name, value, _ := strings.Cut(line, ": ")
				h[name] = []string{value}
			})
			p := u.leaf("*").With(cache.New(cache.Spec{TTL: time.Minute}).Decorate)
			ask(t, p, get("/"))
			assert.False(t, ask(t, p, get("/")).hit(), line)
		}
	}
	u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: headerOf([]string{fresh}), Body: proxytest.NewBody("rows"),
			Trailer: func() http.Header { return http.Header{"Set-Cookie": {"a=1"}, "X-Sum": {"1"}} }}, nil
	}}
	p := u.leaf("*").With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/"))
	res, err := p(t.Context(), get("/"))
	assert.NoError(t, err)
	assert.Equal(t, http.Header{"X-Sum": {"1"}}, res.Trailer())
	assert.NoError(t, res.Close())
}

// proves T23
func TestADocumentVariesByWhatCodeSays(t *testing.T) {
	t.Parallel()
	u := says("Cache-Control: max-age=60", "Vary: Accept")
	u.answer = answerWith(u.answer, func(res *proxy.Response) { res.Header = headerOf([]string{"Vary: X-Lang"}) })
	p := u.leaf("Accept").With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/", "X-Lang: en"))
	assert.False(t, ask(t, p, get("/", "X-Lang: de")).hit())
	assert.True(t, ask(t, p, get("/", "X-Lang: en")).hit())
	assert.False(t, ask(t, p, get("/", "X-Lang: en", "Accept: a")).hit())
}

// A value that an upstream may take for another one does not find what is kept for it.
//
// proves T8, T23
func TestAListWithEmptyItemsIsAnotherVariant(t *testing.T) {
	t.Parallel()
	p := personal(false, []string{"X-Lang"}, "Cache-Control: max-age=60", "Vary: X-Lang").leaf("*").With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/", "X-Lang: en"))
	assert.True(t, ask(t, p, get("/", "X-Lang: en")).hit())
	for _, odd := range []string{"en,", ",en", "en,,", ","} {
		assert.False(t, ask(t, p, get("/", "X-Lang: "+odd)).hit(), odd)
	}
}

// proves T26
func TestNobodyKeepsOthersFromSharing(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(t *testing.T, p proxy.Proxy){
		"nobody":             func(*testing.T, proxy.Proxy) {},
		"with Authorization": func(t *testing.T, p proxy.Proxy) { ask(t, p, get("/", "Authorization: a")) },
		"with a Cookie":      func(t *testing.T, p proxy.Proxy) { ask(t, p, get("/", "Cookie: a")) },
		"who leaves": func(t *testing.T, p proxy.Proxy) {
			res, err := p(t.Context(), get("/"))
			assert.NoError(t, err)
			assert.NoError(t, res.Close())
		},
		"who leaves in the middle": func(t *testing.T, p proxy.Proxy) {
			ctx, cancel := context.WithCancel(t.Context())
			res, err := p(ctx, get("/"))
			assert.NoError(t, err)
			_, err = res.Body.Read(make([]byte, 1))
			assert.NoError(t, err)
			cancel()
			assert.NoError(t, res.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					return &proxy.Response{Header: headerOf([]string{"Cache-Control: max-age=60"}), Body: proxytest.NewBody("rows")}, nil
				}}
				p := u.leaf("*").With(cache.New(cache.Spec{}).Decorate)
				first(t, p)
				u.calls.Store(0)
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() { assert.Equal(t, "rows", ask(t, p, get("/")).body) })
				}
				wg.Wait()
				assert.EqualValues(t, 1, u.calls.Load())
			})
		})
	}
}
