package cache_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// personal returns an upstream whose answers say who has asked: by these headers, as a leaf that takes
// them is sent, and by those of code.
func personal(stream bool, names []string, fields ...string) *upstream {
	return &upstream{answer: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		who := "for " + fmt.Sprintf("%q", []string{req.Params.Get("user"), req.RawQuery, req.Host, req.Path, req.Remote.Addr().String(), req.Caller.Key()})
		for _, name := range names {
			who += fmt.Sprintf("%q %q", req.Header[name], req.Upstream[name])
		}
		if req.TLS != nil {
			who += string(req.TLS.PeerCertificates[0].Raw)
		}
		if stream {
			return &proxy.Response{Body: proxytest.NewBody(who), Header: headerOf(fields)}, nil
		}
		doc, _ := document.Of(who)
		return &proxy.Response{Header: http.Header{}, Origin: headerOf(fields), Document: doc}, nil
	}}
}

// proves T8, T23, H8
func TestNobodyGetsTheAnswerOfAnotherUser(t *testing.T) {
	t.Parallel()
	const fresh = "Cache-Control: max-age=60"
	header := func(lines ...string) func(*proxy.Request) {
		return func(req *proxy.Request) { req.Header = headerOf(lines) }
	}
	sent := func(name string, values ...string) func(*proxy.Request) {
		return func(req *proxy.Request) { req.Upstream[name] = values }
	}
	for _, tt := range []struct {
		name   string
		takes  []string // "?" is that code inside is not shown
		fields []string
		ann    func(*proxy.Request)
		bob    func(*proxy.Request)
		merge  bool
		ttl    time.Duration
		shares bool // and may
	}{
		{name: "Authorization", takes: []string{"Authorization"}, fields: []string{fresh}, ann: header("Authorization: a"), bob: header("Authorization: b")},
		{name: "Authorization of one of them", takes: []string{"Authorization"}, fields: []string{fresh}, ann: header("Authorization: a"), bob: header()},
		{name: "Authorization of the other", takes: []string{"Authorization"}, fields: []string{fresh}, ann: header(), bob: header("Authorization: b")},
		{name: "Authorization that code inside may read", takes: []string{"?"}, fields: []string{fresh}, ann: header("Authorization: a"), bob: header()},
		{name: "Authorization, by a TTL", takes: []string{"*"}, ttl: time.Minute, ann: header("Authorization: a"), bob: header()},
		{name: "Authorization, by Vary", takes: []string{"*"}, fields: []string{"Cache-Control: public, max-age=60", "Vary: authorization"}, ann: header("Authorization: a"), bob: header("Authorization: b")},
		{name: "Authorization that is public", takes: []string{"*"}, fields: []string{"Cache-Control: public, max-age=60"}, ann: header("Authorization: a"), bob: header("Authorization: b"), shares: true},
		{name: "Authorization with s-maxage", takes: []string{"*"}, fields: []string{"Cache-Control: s-maxage=60"}, ann: header("Authorization: a"), bob: header("Authorization: b"), shares: true},
		{name: "Authorization that no leaf takes", takes: []string{"Accept"}, fields: []string{fresh}, ann: header("Authorization: a"), bob: header("Authorization: b"), shares: true},
		{name: "Authorization of a merge", takes: []string{"Authorization"}, merge: true, ttl: time.Minute, ann: header("Authorization: a"), bob: header("Authorization: b")},
		{name: "Cookie", takes: []string{"Cookie"}, fields: []string{fresh}, ann: header("Cookie: a"), bob: header("Cookie: b")},
		{name: "Cookie of one of them", takes: []string{"Cookie"}, fields: []string{fresh}, ann: header("Cookie: a"), bob: header()},
		{name: "Cookie of the other, by a TTL", takes: []string{"Cookie"}, ttl: time.Minute, ann: header(), bob: header("Cookie: b")},
		{name: "Cookie, by Vary", takes: []string{"Cookie"}, fields: []string{fresh, "Vary: Cookie"}, ann: header("Cookie: a"), bob: header("Cookie: b")},
		{name: "Cookie that Vary names, by a TTL", takes: []string{"Cookie"}, fields: []string{"Vary: Cookie"}, ttl: time.Minute, ann: header("Cookie: a"), bob: header("Cookie: a, b")},
		{name: "Cookie that no leaf takes", takes: []string{"Accept"}, fields: []string{fresh}, ann: header("Cookie: a"), bob: header("Cookie: b"), shares: true},
		{name: "Cookie of a merge", takes: []string{"Cookie"}, merge: true, ttl: time.Minute, ann: header("Cookie: a"), bob: header("Cookie: b")},
		{name: "Vary", takes: []string{"*"}, fields: []string{fresh, "Vary: X-User"}, ann: header("X-User: a"), bob: header("X-User: b")},
		{name: "Vary, of lists", takes: []string{"*"}, fields: []string{fresh, "Vary: X-User"}, ann: header("X-User: a", "X-User: b"), bob: header("X-User: ab")},
		{name: "Vary, of quoted text", takes: []string{"*"}, fields: []string{fresh, "Vary: X-User"}, ann: header(`X-User: "a, b"`), bob: header(`X-User: "a,b"`)},
		{name: "Vary, of one of two", takes: []string{"*"}, fields: []string{fresh, "Vary: X-A, X-User", "Vary: X-B"}, ann: header("X-User: a", "X-A: 1"), bob: header("X-User: b", "X-A: 1")},
		{name: "Vary, whose values move", takes: []string{"*"}, fields: []string{fresh, "Vary: X-User, Accept"}, ann: header("X-User: a"), bob: header("Accept: a")},
		{name: "private", takes: []string{"*"}, fields: []string{"Cache-Control: private, max-age=60"}, ann: header("X-User: a"), bob: header("X-User: b")},
		{name: "Set-Cookie", takes: []string{"*"}, fields: []string{fresh, "Set-Cookie: session=a"}, ann: header("X-User: a"), bob: header("X-User: b")},
		{name: "Upstream", takes: []string{}, fields: []string{fresh}, ann: sent("X-User", "a"), bob: sent("X-User", "b")},
		{name: "Upstream, of lists", takes: []string{}, fields: []string{fresh}, ann: sent("X-User", "a", "b"), bob: sent("X-User", "a,b")},
		{name: "Upstream, of public answers", takes: []string{}, fields: []string{"Cache-Control: public, max-age=60"}, ann: sent("Authorization", "a"), bob: sent("Authorization", "b")},
		{name: "Upstream of a merge", takes: []string{}, merge: true, ttl: time.Minute, ann: sent("X-User", "a"), bob: sent("X-User", "b")},
		{name: "what leaves of a merge take", takes: []string{"X-User"}, merge: true, ttl: time.Minute, ann: header("X-User: a"), bob: header("X-User: b")},
		{name: "all that leaves of a merge take", takes: []string{"*"}, merge: true, ttl: time.Minute, ann: header("X-User: a"), bob: header("X-User: b")},
		{name: "what leaves of a merge do not take", takes: []string{"X-Other"}, merge: true, ttl: time.Minute, ann: header("X-User: a"), bob: header("X-User: b"), shares: true},
		{name: "the address, where code of a merge may read it", takes: []string{"?"}, merge: true, ttl: time.Minute,
			ann: func(req *proxy.Request) { req.Remote = netip.MustParseAddrPort("192.0.2.1:1") },
			bob: func(req *proxy.Request) { req.Remote = netip.MustParseAddrPort("192.0.2.2:1") }},
		{name: "the certificate, where code of a merge may read it", takes: []string{"?"}, merge: true, ttl: time.Minute,
			ann: func(req *proxy.Request) { req.TLS = certified("a") }, bob: func(req *proxy.Request) { req.TLS = certified("b") }},
		{name: "the caller, where code may read it", takes: []string{"?"}, fields: []string{fresh}, ann: called("ann"), bob: called("bob")},
		{name: "the caller, where code may read it, and nobody", takes: []string{"?"}, fields: []string{fresh}, ann: called("ann"), bob: header()},
		{name: "the caller, where code of a merge may read it", takes: []string{"?"}, merge: true, ttl: time.Minute, ann: called("ann"), bob: called("bob")},
		{name: "the caller, whom nothing inside asks for", takes: []string{"*"}, fields: []string{fresh}, ann: called("ann"), bob: called("bob"), shares: true},
		{name: "params", takes: []string{}, fields: []string{fresh},
			ann: func(req *proxy.Request) { req.Params.Set("user", "a") }, bob: func(req *proxy.Request) { req.Params.Set("user", "b") }},
		{name: "the query", takes: []string{}, fields: []string{fresh},
			ann: func(req *proxy.Request) { req.RawQuery = "user=a" }, bob: func(req *proxy.Request) { req.RawQuery = "user=b" }},
		{name: "the host", takes: []string{}, fields: []string{fresh},
			ann: func(req *proxy.Request) { req.Host = "a.test" }, bob: func(req *proxy.Request) { req.Host = "b.test" }},
		{name: "parts that move", takes: []string{}, fields: []string{fresh},
			ann: func(req *proxy.Request) { req.Host, req.Path = "a", "/b/c" }, bob: func(req *proxy.Request) { req.Host, req.Path = "a/b", "/c" }},
	} {
		for _, stream := range []bool{false, true} {
			if stream && tt.merge {
				continue
			}
			for _, store := range []cache.Store{nil, newStore()} {
				names := []string{"Authorization", "Cookie", "X-User"}
				u := personal(stream, names, tt.fields...)
				if tt.merge {
					u.answer = answerWith(u.answer, func(res *proxy.Response) { res.Origin = nil })
				}
				next := proxy.Proxy(u.call)
				if len(tt.takes) == 0 || tt.takes[0] != "?" {
					next = u.leaf(tt.takes...)
				}
				p := next.With(cache.New(cache.Spec{TTL: tt.ttl, Store: store}).Decorate)
				ann, bob := get("/"), get("/")
				tt.ann(ann)
				tt.bob(bob)
				of := ask(t, p, ann)
				assert.Contains(t, of.body, "for ", tt.name)
				got := ask(t, p, bob)
				assert.Equal(t, tt.shares, got.body == of.body, "%s: the other got %s after %s", tt.name, got.body, of.body)
				again := get("/")
				tt.bob(again)
				assert.Equal(t, got.body, ask(t, p, again).body, tt.name)
			}
		}
	}
}

// called has a request made by a caller.
func called(id string) func(*proxy.Request) {
	return func(req *proxy.Request) { req.Caller = &proxy.Caller{Scheme: "jwt", ID: id} }
}

// authenticates stands for authentication: it takes Authorization, and sets the caller and what
// upstreams are told of it.
func authenticates(next proxy.Proxy) proxy.Proxy {
	return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		id := req.Header.Get("Authorization")
		if id == "" {
			return nil, &proxy.Error{Status: http.StatusUnauthorized, Op: "auth"}
		}
		req.Caller = &proxy.Caller{Scheme: "test", ID: id}
		req.Upstream.Set("X-User", id)
		return next(ctx, req)
	}, pipe.Step{Kind: "auth", Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Authenticates | pipe.WritesRequest, Takes: []string{"Authorization"}}, next)
}

// proves T8, O15
func TestACacheInsideAuthenticationKeepsCallersApart(t *testing.T) {
	t.Parallel()
	u := personal(false, []string{"X-User"}, "Cache-Control: max-age=60")
	p := u.leaf().With(authenticates, cache.New(cache.Spec{}).Decorate)
	for _, id := range []string{"ann", "bob"} {
		first := ask(t, p, get("/", "Authorization: "+id))
		assert.Contains(t, first.body, id)
		assert.False(t, first.hit())
		again := ask(t, p, get("/", "Authorization: "+id))
		assert.Equal(t, first.body, again.body)
		assert.True(t, again.hit())
	}
	_, err := p(t.Context(), get("/"))
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err), "also for what is kept")
	assert.NoError(t, pipe.PlanOf(p).Guards("auth", "cache"))

	around := pipe.PlanOf(u.leaf().With(cache.New(cache.Spec{}).Decorate, authenticates))
	assert.ErrorContains(t, around.Faults(), "cache: New: auth inside finds out who the caller is: put it outside")
	limited := u.leaf().With(cache.New(cache.Spec{}).Decorate, policy.LimitBy(policy.ByCaller, policy.PerSecond(1)))
	assert.ErrorContains(t, pipe.PlanOf(limited).Faults(), "cache: New: limit inside decides by who the caller is: put it outside")
}

func certified(name string) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(name)}}}
}

// proves T8
func TestProxiesOfOneCacheShareNoAnswers(t *testing.T) {
	t.Parallel()
	for _, store := range []cache.Store{nil, newStore()} {
		cached := cache.New(cache.Spec{Store: store})
		a, b := says("Cache-Control: max-age=60"), says("Cache-Control: max-age=60")
		p, q := a.leaf().With(cached.Decorate), b.leaf().With(cached.Decorate) // with equal plans
		ask(t, p, get("/"))
		ask(t, q, get("/"))
		assert.EqualValues(t, 1, a.calls.Load())
		assert.EqualValues(t, 1, b.calls.Load())
		assert.True(t, ask(t, p, get("/")).hit())
		if store != nil { // another process, which is wired alike
			again := a.leaf().With(cache.New(cache.Spec{Store: store}).Decorate)
			assert.True(t, ask(t, again, get("/")).hit())
			other := a.leaf().With(cache.New(cache.Spec{Name: "other", Store: store}).Decorate)
			assert.False(t, ask(t, other, get("/")).hit(), "of another name")
		}
	}
}

func TestVariantsOfAnAnswer(t *testing.T) {
	t.Parallel()
	u := personal(false, []string{"X-User"}, "Cache-Control: max-age=60", "Vary: X-User")
	p := u.leaf("X-User").With(cache.New(cache.Spec{MaxVariants: 2}).Decorate)
	as := func(user string) got { return ask(t, p, get("/", "X-User: "+user)) }
	as("a")
	miss := as("b")
	assert.Equal(t, "sluice; fwd=vary-miss; stored", miss.header.Get("Cache-Status"))
	assert.True(t, as("a").hit())
	assert.True(t, as("b").hit())
	as("c") // the oldest goes
	assert.True(t, as("b").hit())
	assert.True(t, as("c").hit())
	assert.False(t, as("a").hit())

	u = personal(false, nil, "Cache-Control: max-age=60", "Vary: X-User")
	p = u.leaf().With(cache.New(cache.Spec{}).Decorate)
	as("a")
	assert.True(t, as("b").hit(), "no leaf takes what the answer varies by")

	u = personal(false, nil, "Cache-Control: max-age=60", "Vary: Accept")
	p = u.leaf("*").With(cache.New(cache.Spec{}).Decorate)
	ask(t, p, get("/", "Accept: a, b"))
	assert.True(t, ask(t, p, get("/", "Accept: a", "Accept: b")).hit(), "lines make no difference")
}

// proves H10, L6, M34
func TestCallersShareNoMemory(t *testing.T) {
	t.Parallel()
	for _, u := range []*upstream{says("Cache-Control: max-age=60", "X-Tag: a"), streams(200, "Cache-Control: max-age=60", "X-Tag: a")} {
		p := u.leaf().With(cache.New(cache.Spec{}).Decorate)
		for range 3 {
			got := ask(t, p, get("/"))
			for _, h := range []http.Header{got.header, got.origin} {
				for _, values := range h {
					assert.NotContains(t, values, "scribbled")
					values[0] = "scribbled"
				}
				if h != nil {
					h["Scribbled"] = []string{"scribbled"}
				}
			}
		}
		assert.EqualValues(t, 1, u.calls.Load())
	}
}
