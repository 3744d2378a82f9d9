package keys_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/keys"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves T8
func TestPartsAreNotMistakenForEachOther(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, add := range map[string]func(p *keys.Parts){
		"ab, c":              func(p *keys.Parts) { p.Text("ab", "c") },
		"a, bc":              func(p *keys.Parts) { p.Text("a", "bc") },
		"a list":             func(p *keys.Parts) { p.List([]string{"ab", "c"}) },
		"a list and a text":  func(p *keys.Parts) { p.List([]string{"ab"}); p.Text("c") },
		"a map":              func(p *keys.Parts) { p.Values(map[string][]string{"ab": {"c"}}) },
		"a map of two":       func(p *keys.Parts) { p.Values(map[string][]string{"ab": nil, "c": nil}) },
		"a map of two lists": func(p *keys.Parts) { p.Values(map[string][]string{"ab": {}, "c": {""}}) },
		"nothing":            func(*keys.Parts) {},
		"a flag":             func(p *keys.Parts) { p.Flag(true) },
		"no flag":            func(p *keys.Parts) { p.Flag(false) },
	} {
		var p keys.Parts
		add(&p)
		assert.Empty(t, seen[string(p)], name)
		seen[string(p)] = name
	}
	var a, b keys.Parts
	a.Values(map[string][]string{"a": {"1"}, "b": {"2"}, "c": {"3"}})
	b.Values(map[string][]string{"c": {"3"}, "b": {"2"}, "a": {"1"}})
	assert.Equal(t, a, b)
}

// proves T8
func TestAllThatMayChangeAnAnswerIsInItsTarget(t *testing.T) {
	t.Parallel()
	key := func(change func(*proxy.Request)) string {
		req := proxy.NewRequest("GET", "/")
		change(req)
		var p keys.Parts
		p.Target(req)
		return string(p)
	}
	seen := map[string]string{key(func(*proxy.Request) {}): "nothing"}
	for name, change := range map[string]func(*proxy.Request){
		"scheme":         func(req *proxy.Request) { req.Scheme = "x" },
		"host":           func(req *proxy.Request) { req.Host = "x" },
		"path":           func(req *proxy.Request) { req.Path = "/x" },
		"pattern":        func(req *proxy.Request) { req.Pattern = "x" },
		"raw query":      func(req *proxy.Request) { req.RawQuery = "x" },
		"query":          func(req *proxy.Request) { req.Query.Set("x", "") },
		"upstream query": func(req *proxy.Request) { req.UpstreamQuery = []string{"x"} },
		"params":         func(req *proxy.Request) { req.Params.Set("x", "") },
		"upstream":       func(req *proxy.Request) { req.Upstream.Set("X", "") },
	} {
		k := key(change)
		assert.Empty(t, seen[k], name)
		seen[k] = name
	}
}

// proves T8
func TestTwoCredentialsOfOneCallerAreToldApart(t *testing.T) {
	t.Parallel()
	key := func(c *proxy.Caller) string {
		var p keys.Parts
		p.Caller(c)
		return string(p)
	}
	seen := map[string]string{}
	for name, c := range map[string]*proxy.Caller{
		"nobody":        nil,
		"no credential": {},
		"ada":           {ID: "ada"},
		"a role":        {ID: "ada", Roles: []string{"admin"}},
		"a scope":       {ID: "ada", Scopes: []string{"admin"}},
		"two scopes":    {ID: "ada", Scopes: []string{"admin", "x"}},
		"a claim":       {ID: "ada", Claims: document.MustParse(`{"tenant":1}`)},
		"another claim": {ID: "ada", Claims: document.MustParse(`{"tenant":2}`)},
	} {
		k := key(c)
		assert.Empty(t, seen[k], name)
		seen[k] = name
	}
}

func TestOfAClientCountsWhatIsTaken(t *testing.T) {
	t.Parallel()
	certified := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("x")}}}
	for _, tt := range []struct {
		name              string
		taken             call.Taken
		header, other, at bool // count
	}{
		{"nothing", call.Taken{}, false, false, false},
		{"one name", call.Taken{Names: []string{"X-User"}}, true, false, false},
		{"whatever code inside reads", call.Taken{All: true, Hidden: true}, true, true, true},
	} {
		key := func(h http.Header, req proxy.Request) string {
			var p keys.Parts
			p.Client(&req, h, &tt.taken)
			return string(p)
		}
		none := key(nil, proxy.Request{})
		assert.Equal(t, tt.header, key(http.Header{"X-User": {"a"}}, proxy.Request{}) != none, tt.name)
		assert.Equal(t, tt.other, key(http.Header{"X-Other": {"a"}}, proxy.Request{}) != none, tt.name)
		assert.Equal(t, tt.at, key(nil, proxy.Request{Remote: netip.MustParseAddrPort("192.0.2.1:1")}) != none, tt.name)
		assert.Equal(t, tt.at, key(nil, proxy.Request{TLS: certified}) != none, tt.name)
		assert.Equal(t, tt.at, key(nil, proxy.Request{Caller: &proxy.Caller{ID: "ann"}}) != none, tt.name)
	}
}

func TestKeysAreLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alone keys.Alone[string]
		alone.Init(2, 10*time.Second)
		assert.False(t, alone.Has("a"))
		alone.Add("a")
		<-time.After(5 * time.Second)
		alone.Add("a")
		alone.Add("b")
		assert.True(t, alone.Has("a"))
		<-time.After(5 * time.Second)
		assert.False(t, alone.Has("a"), "from the first time on")
		assert.True(t, alone.Has("b"))
		alone.Add("c")
		alone.Add("d")
		assert.False(t, alone.Has("b"), "of too many the oldest goes")
		assert.True(t, alone.Has("c"))
		assert.True(t, alone.Has("d"))
	})
}
