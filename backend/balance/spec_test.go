package balance_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
)

func TestFaultsOfASpec(t *testing.T) {
	t.Parallel()
	fine := balance.Static("10.0.0.1:80")
	proxied := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"})}
	dials := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}
	shared := &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil}}
	tests := []struct {
		name string
		spec balance.Spec
		want string
	}{
		{"no port", balance.Spec{Resolver: balance.Static("10.0.0.1")}, `host "10.0.0.1" has no port`},
		{"no port after a name", balance.Spec{Resolver: balance.Static("items")}, `host "items" has no port`},
		{"no port of an IPv6 address", balance.Spec{Resolver: balance.Static("[2001:db8::1]")}, `host "[2001:db8::1]" has no port`},
		{"an IPv6 address without brackets", balance.Spec{Resolver: balance.Static("2001:db8::1")}, `host "2001:db8::1" has no port`},
		{"an empty port", balance.Spec{Resolver: balance.Static("items:")}, `host "items:" has no port`},
		{"an empty address", balance.Spec{Resolver: balance.Static(":80")}, `host ":80" has no address`},
		{"no host", balance.Spec{Resolver: balance.Static("")}, `host "" has no port`},
		{"a port that is too high", balance.Spec{Resolver: balance.Static("items:65536")}, `host "items:65536" has the port 65536, want 1 to 65535`},
		{"a port that is a name", balance.Spec{Resolver: balance.Static("items:http")}, `host "items:http" has the port http, want 1 to 65535`},
		{"port 0", balance.Spec{Resolver: balance.Static("items:0")}, `host "items:0" has the port 0, want 1 to 65535`},
		{"a URL", balance.Spec{Resolver: balance.Static("http://items:80")}, `host "http://items:80" is not an address and a port`},
		{"a path", balance.Spec{Resolver: balance.Static("items/a:80")}, `host "items/a:80" has neither an IP address nor a name`},
		{"a line break", balance.Spec{Resolver: balance.Static("it\nems:80")}, `host "it\nems:80" has neither an IP address nor a name`},
		{"twice", balance.Spec{Resolver: balance.Static("items:80", "items:80")}, `host "items:80" is there twice`},
		{"no hosts", balance.Spec{Resolver: balance.Static()}, "there are no hosts"},
		{"a negative weight", balance.Spec{Resolver: balance.Hosts{{Address: "items:80", Weight: -1}}}, `host "items:80" has the weight -1, want 0 to 10000000`},
		{"nil", balance.Spec{}, "the Resolver is nil"},
		{"a nil func", balance.Spec{Resolver: balance.ResolverFunc(nil)}, "the ResolverFunc is nil"},
		{"a nil pointer", balance.Spec{Resolver: (*unusable)(nil)}, "the Resolver is a nil pointer"},
		{"DNS without a name", balance.Spec{Resolver: balance.DNS("", 80)}, `DNS: "" is no name`},
		{"DNS without a port", balance.Spec{Resolver: balance.DNS("items", 0)}, "DNS: the port is 0, want 1 to 65535"},
		{"SRV without a name", balance.Spec{Resolver: balance.SRV("http", "tcp", "")}, `SRV: "" is no name`},
		{"SRV without a protocol", balance.Spec{Resolver: balance.SRV("http", "", "items")}, `SRV: the service is "http" and the protocol "", want both or neither`},
		{"SRV of another service", balance.Spec{Resolver: balance.SRV("ht tp", "tcp", "items")}, `SRV: the service is "ht tp" and the protocol "tcp", want names`},
		{"Hash without a key", balance.Spec{Resolver: fine, Pick: balance.Hash(balance.Key{})}, "the Key of the Pick names no header and has no function"},
		{"Sticky with a nil func", balance.Spec{Resolver: fine, Pick: balance.Sticky(balance.ByFunc(nil))}, "the Key of the Pick names no header and has no function"},
		{"Hash by no header", balance.Spec{Resolver: fine, Pick: balance.Hash(balance.ByHeader("X Y"))}, `the Key of the Pick is "X Y", which is no name of a header`},
		{"a proxy", balance.Spec{Resolver: fine, Transport: proxied}, "the Transport has a Proxy, which would choose the host"},
		{"a dialer for TLS", balance.Spec{Resolver: fine, Transport: dials}, "the Transport has a DialTLSContext, which would choose the host"},
		{"HTTP/2 of another package", balance.Spec{Resolver: fine, Transport: shared}, "the Transport has a TLSNextProto, whose connections all hosts would share"},
		{"FailureRatio", balance.Spec{Resolver: fine, FailureRatio: 1.5}, "FailureRatio is 1.5, want more than 0 and at most 1"},
		{"the service in the name of SRV too", balance.Spec{Resolver: balance.SRV("http", "tcp", "_HTTP._tcp.items")}, `SRV: the name "_HTTP._tcp.items" begins with the service and the protocol`},
		{"SRV of underscores", balance.Spec{Resolver: balance.SRV("_", "__tcp", "items")}, `SRV: the service is "_" and the protocol "_tcp", want names`},
		{"Refresh without a unit", balance.Spec{Resolver: fine, Refresh: 30}, "Refresh is 30ns, want 100ms or more"},
		{"MaxEjection", balance.Spec{Resolver: fine, Ejection: time.Minute, MaxEjection: 59 * time.Second}, "MaxEjection is 59s, want the Ejection of 1m0s or more"},
		{"MaxEjection below the default", balance.Spec{Resolver: fine, MaxEjection: 9 * time.Second}, "MaxEjection is 9s, want the Ejection of 10s or more"},
		{"a status of a Probe", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "http://items", Statuses: []int{200, 99, 999}}}, "the Probe has the status 99, want 100 to 999"},
		{"a status of a Probe that is too high", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "http://items", Statuses: []int{1000}}}, "the Probe has the status 1000, want 100 to 999"},
		{"Interval without a unit", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "http://items", Interval: 10}}, "the Interval of the Probe is 10ns, want 100ms or more"},
		{"Window", balance.Spec{Resolver: fine, Window: -1}, "Window is -1ns, want more than 0"},
		{"Ejection", balance.Spec{Resolver: fine, Ejection: -time.Second}, "Ejection is -1s, want more than 0"},
		{"MaxEjected", balance.Spec{Resolver: fine, MaxEjected: 50}, "MaxEjected is 50, want at most 1"},
		{"Panic", balance.Spec{Resolver: fine, Panic: 2}, "Panic is 2, want at most 1"},
		{"a Probe of nothing", balance.Spec{Resolver: fine, Probe: &balance.Probe{}}, "the Probe has neither a URL nor a Func"},
		{"a Probe of two", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "http://items", Func: func(context.Context, balance.Host) error { return nil }}}, "the Probe has both a URL and a Func"},
		{"a Probe of a path", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "/healthz"}}, `the Probe has the URL "/healthz", want http or https and a host`},
		{"Interval", balance.Spec{Resolver: fine, Probe: &balance.Probe{URL: "http://items", Interval: -1}}, "the Interval of the Probe is -1ns, want more than 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Name = "items"
			p, err := balance.New(tt.spec)
			assert.EqualError(t, err, "balance: pool items: "+tt.want)
			assert.Equal(t, err, p.Fault())
		})
	}
}

func TestTheNameOfAPoolIsPrintable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a\nb", "a\x00b", "\xff", "a\u202eb"} {
		_, err := balance.New(balance.Spec{Name: name, Resolver: balance.Static("a:80"), Panic: 2})
		where := "balance: pool " + strconv.Quote(name)
		assert.EqualError(t, err, where+": the Name has characters that are not printable\n"+where+": Panic is 2, want at most 1")
	}
}

// Limits that meet are fine, and a default is never the fault of another field.
func TestSpecsAtTheirLimits(t *testing.T) {
	t.Parallel()
	for _, s := range []balance.Spec{
		{Name: "items of Zürich", Refresh: 100 * time.Millisecond},
		{Ejection: time.Minute, MaxEjection: time.Minute},
		{Ejection: time.Hour},
		{Ejection: time.Hour, MaxEjection: -1},
		{Probe: &balance.Probe{URL: "http://items", Statuses: []int{100, 999}, Interval: 100 * time.Millisecond}},
	} {
		s.Resolver = balance.Static("a:80")
		_, err := balance.New(s)
		assert.NoError(t, err)
	}
}

func TestAllFaultsOfASpecAreJoined(t *testing.T) {
	t.Parallel()
	_, err := balance.New(balance.Spec{Resolver: balance.Static("a", "b", "c:1"), Panic: 2})
	assert.EqualError(t, err, `balance: pool: host "a" has no port`+"\n"+`balance: pool: host "b" has no port`+"\nbalance: pool: Panic is 2, want at most 1")
}

func TestAFactoryMakesPools(t *testing.T) {
	t.Parallel()
	var f balance.Factory = balance.FactoryFunc(balance.New)
	p, err := f.New(balance.Spec{Resolver: balance.Static("items:80")})
	require.NoError(t, err)
	assert.Len(t, p.Hosts(), 1)
	_, err = balance.FactoryFunc(nil).New(balance.Spec{})
	assert.EqualError(t, err, "balance: FactoryFunc: the function is nil")
}

func TestTheZeroSpecHasDefaults(t *testing.T) {
	t.Parallel()
	p, err := balance.New(balance.Spec{Resolver: balance.Hosts{{Address: "B:80"}, {Address: "a:80", Weight: 7}}})
	require.NoError(t, err)
	hosts := p.Hosts()
	require.Len(t, hosts, 2)
	assert.Equal(t, "a:80", hosts[0].Address, "they are sorted")
	assert.Equal(t, 7, hosts[0].Weight)
	assert.Equal(t, "b:80", hosts[1].Address)
	assert.Equal(t, 1, hosts[1].Weight)
	assert.Equal(t, balance.Up, hosts[1].State, "the first hosts have no slow start")
	assert.NoError(t, p.Ready(t.Context()))
}

func TestThePlanShowsThePool(t *testing.T) {
	t.Parallel()
	key := balance.ByFunc(func(*http.Request) string { return "" })
	dials := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
	named := balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return nil, errors.New("down") })
	static := balance.Static("10.0.0.1:80")
	tests := []struct {
		name   string
		spec   balance.Spec
		want   string
		opaque bool // code of a user runs in a call
		honour bool
		waits  time.Duration
	}{
		{"static", balance.Spec{Resolver: static}, "pool items (power of two choices, 1 static host)", false, true, 0},
		{"two", balance.Spec{Resolver: balance.Static("a:1", "b:1"), Pick: balance.RoundRobin()}, "pool items (round robin, 2 static hosts)", false, true, 0},
		{"DNS", balance.Spec{Resolver: balance.DNS("items.internal", 8080), Pick: balance.LeastRequests()}, "pool items (least requests, DNS items.internal:8080)", false, true, 5 * time.Second},
		{"SRV", balance.Spec{Resolver: balance.SRV("http", "tcp", "items"), Pick: balance.Random()}, "pool items (random, SRV _http._tcp.items)", false, true, 5 * time.Second},
		{"SRV with underscores", balance.Spec{Resolver: balance.SRV("_http", "_tcp", "items")}, "pool items (power of two choices, SRV _http._tcp.items)", false, true, 5 * time.Second},
		{"SRV by name", balance.Spec{Resolver: balance.SRV("", "", "items"), Wait: -1}, "pool items (power of two choices, SRV items)", false, true, -1},
		{"func", balance.Spec{Resolver: named, Wait: time.Second}, "pool items (power of two choices, balance.ResolverFunc)", false, true, time.Second},
		{"hash", balance.Spec{Resolver: static, Pick: balance.Hash(balance.ByHeader("x-user"))}, "pool items (hash by X-User, 1 static host)", false, true, 0},
		{"sticky by func", balance.Spec{Resolver: static, Pick: balance.Sticky(key)}, "pool items (sticky by func, 1 static host)", true, true, 0},
		{"dialer", balance.Spec{Resolver: static, Transport: dials}, "pool items (power of two choices, 1 static host, by net/http)", false, false, 0},
		{"backend's", balance.Spec{Resolver: static, Transport: backend.NewTransport()}, "pool items (power of two choices, 1 static host, by net/http)", false, true, 0},
		{"no dialer", balance.Spec{Resolver: static, Transport: &http.Transport{}}, "pool items (power of two choices, 1 static host, by net/http)", false, true, 0},
		{"probes", balance.Spec{Resolver: static, Probe: &balance.Probe{URL: "http://items/healthz"}}, "pool items (power of two choices, 1 static host, probes /healthz every 10s)", false, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Name = "items"
			p, err := balance.New(tt.spec)
			require.NoError(t, err)
			assert.Equal(t, tt.honour, p.HonoursContext())
			plan := pipe.PlanOf(pipe.Check(backend.HTTP{Transport: p}.New(backend.Spec{Name: "items", URL: "http://items/"})))
			assert.Contains(t, plan.String(), tt.want)
			assert.Equal(t, tt.honour, plan.HonoursContext())
			require.Len(t, plan.Steps, 1)
			step := plan.Steps[0]
			assert.Equal(t, tt.opaque, step.Effects.Has(pipe.Opaque))
			assert.True(t, step.Effects.Has(pipe.Stateful|pipe.Terminal))
			assert.False(t, step.Effects.Has(pipe.Custom))
			assert.Equal(t, tt.waits, step.Waits)
			assert.Same(t, p, step.State)
			assert.Empty(t, step.Takes, "it reads nothing that the backend does not send")
		})
	}
}

// An unusable is a resolver whose pointer is nil.
type unusable struct{ hosts []balance.Host }

func (u *unusable) Resolve(context.Context) ([]balance.Host, error) { return u.hosts, nil }

// A pool sees bodies only as they pass.
func TestABackendOverAPoolLends(t *testing.T) {
	t.Parallel()
	p := newPool(t, balance.Spec{Name: "items", Resolver: balance.Static("10.0.0.1:80")})
	plan := pipe.PlanOf(pipe.Check(backend.HTTP{Transport: p}.New(backend.Spec{Name: "items", URL: "http://items/"})))
	assert.NoError(t, plan.Lends())
}
