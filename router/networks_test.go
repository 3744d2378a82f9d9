package router_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/router"
)

func TestNetworksServesByTheAddressOfTheClient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		allow, deny []netip.Prefix
		addr        string
		served      bool
	}{
		{"in allow", networks("10.0.0.0/8"), nil, "10.1.2.3", true},
		{"not in allow", networks("10.0.0.0/8"), nil, "11.0.0.0", false},
		{"the first of allow", networks("10.0.0.0/8"), nil, "10.0.0.0", true},
		{"the last of allow", networks("10.0.0.0/8"), nil, "10.255.255.255", true},
		{"before allow", networks("10.0.0.0/8"), nil, "9.255.255.255", false},
		{"in deny", nil, networks("10.0.0.0/8"), "10.1.2.3", false},
		{"not in deny", nil, networks("10.0.0.0/8"), "11.1.2.3", true},
		{"in both", networks("10.0.0.0/8"), networks("10.1.0.0/16"), "10.1.2.3", false},
		{"in both, and allow is narrower", networks("10.1.2.3/32"), networks("10.0.0.0/8"), "10.1.2.3", false},
		{"in a network in a network", networks("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"), nil, "10.200.0.1", true},
		{"a network that is not masked", networks("10.1.2.3/8"), nil, "10.9.9.9", true},
		{"one address", networks("192.0.2.7/32"), nil, "192.0.2.7", true},
		{"the next address", networks("192.0.2.7/32"), nil, "192.0.2.8", false},
		{"all of IPv4", networks("0.0.0.0/0"), nil, "255.255.255.255", true},
		{"all of IPv4 has none of IPv6", networks("0.0.0.0/0"), nil, "2001:db8::1", false},
		{"IPv6", networks("2001:db8::/32"), nil, "2001:db8:ffff::1", true},
		{"not in IPv6", networks("2001:db8::/32"), nil, "2001:db9::", false},
		{"IPv6 beyond 64 bits", networks("2001:db8::8000:0:0:0/65"), nil, "2001:db8::8000:0:0:1", true},
		{"not in IPv6 beyond 64 bits", networks("2001:db8::8000:0:0:0/65"), nil, "2001:db8::7fff:0:0:1", false},
		{"all of IPv6", networks("::/0"), nil, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"all of IPv6 has none of IPv4", networks("::/0"), nil, "10.0.0.1", false},
		{"deny of all of IPv6 has none of IPv4", nil, networks("::/0"), "10.0.0.1", true},
		{"a mapped address", networks("10.0.0.0/8"), nil, "::ffff:10.0.0.1", true},
		{"a mapped network", networks("::ffff:10.0.0.0/104"), nil, "10.0.0.1", true},
		{"a mapped network in deny", nil, networks("::ffff:10.0.0.0/104"), "::ffff:10.0.0.1", false},
		{"a zone", networks("fe80::/10"), nil, "fe80::1%eth0", true},
		{"a zone in deny", nil, networks("fe80::/10"), "fe80::1%eth0", false},
		{"nobody knows", networks("0.0.0.0/0", "::/0"), nil, "", false},
		{"nobody knows, and there is no allow", nil, networks("0.0.0.0/0", "::/0"), "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := around(http.HandlerFunc(said), router.Networks(tt.allow, tt.deny))
			r := httptest.NewRequest("GET", "/", nil)
			if r.RemoteAddr = "@"; tt.addr != "" {
				r.RemoteAddr = net.JoinHostPort(tt.addr, "1234")
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[tt.served]
			assert.Equal(t, want, statusOf(h, r))
		})
	}
}

// The address is that of the verdict: what a trusted proxy says, and not what a client says of itself.
//
// proves H4
func TestNetworksBelievesOnlyTrustedProxies(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(said), router.Client(networks("192.0.2.0/24")...), router.Networks(networks("10.0.0.0/8"), nil))
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		status     int
	}{
		{"a trusted proxy", "192.0.2.1:1", []string{"10.0.0.1"}, http.StatusOK},
		{"a trusted proxy behind another", "192.0.2.1:1", []string{"10.0.0.1, 192.0.2.2"}, http.StatusOK},
		{"somebody else", "198.51.100.1:1", []string{"10.0.0.1"}, http.StatusForbidden},
		{"what the client has said to the proxy", "192.0.2.1:1", []string{"10.0.0.1, 198.51.100.1"}, http.StatusForbidden},
		{"on a line of its own", "192.0.2.1:1", []string{"10.0.0.1", "198.51.100.1"}, http.StatusForbidden},
		{"what is no address", "192.0.2.1:1", []string{"10.0.0.1, unknown"}, http.StatusForbidden},
		{"the proxy itself", "192.0.2.1:1", nil, http.StatusForbidden},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-For"] = tt.forwarded
		r.Header.Set("X-Real-Ip", "10.0.0.1")
		r.Header.Set("Forwarded", "for=10.0.0.1")
		assert.Equal(t, tt.status, statusOf(h, r), tt.name)
	}
}

// A set of networks holds what one of them holds, however they lie to each other.
func FuzzNetworks(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 8, 10, 1, 0, 0, 16}, []byte{10, 1, 2, 3})
	f.Add([]byte{0, 0, 0, 0, 0}, []byte{255, 255, 255, 255})
	f.Add([]byte("2001:db8::/32 long enough for v6."), []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, list, address []byte) {
		addr, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		var all []netip.Prefix
		for size := len(addr.AsSlice()); len(list) > size; list = list[size+1:] {
			a, _ := netip.AddrFromSlice(list[:size])
			if p := netip.PrefixFrom(a, int(list[size])%(8*size+1)); !a.Is4In6() {
				all = append(all, p)
			}
		}
		if len(all) == 0 || addr.Is4In6() {
			return
		}
		want := http.StatusForbidden
		for _, network := range all {
			if network.Contains(addr) {
				want = http.StatusOK
			}
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = netip.AddrPortFrom(addr, 1).String()
		if got := statusOf(around(http.HandlerFunc(said), router.Networks(all, nil)), r); got != want {
			t.Errorf("%v in %v: %d, want %d", addr, all, got, want)
		}
	})
}

// manyNetworks returns networks of different sizes, of which half are of IPv6.
func manyNetworks(n int) []netip.Prefix {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]netip.Prefix, n)
	for i := range all {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], random.Uint64()|1<<63)
		if i%2 == 0 {
			all[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), 16+random.IntN(17)).Masked()
		} else {
			all[i] = netip.PrefixFrom(netip.AddrFrom16(b), 32+random.IntN(33)).Masked()
		}
	}
	return all
}

func TestNetworksAllocatesNothing(t *testing.T) {
	h, requests := networksHandler(manyNetworks(10_000))
	w := httptest.NewRecorder()
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, requests[0]) }))
}

// networksHandler returns a handler behind a deny of networks, and requests of clients that are in none
// of them.
func networksHandler(deny []netip.Prefix) (http.Handler, []*http.Request) {
	h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), router.Networks(nil, deny))
	random := rand.New(rand.NewPCG(3, 4))
	var requests []*http.Request
	for len(requests) < 1024 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], random.Uint32())
		addr := netip.AddrFrom4(b)
		if slices.ContainsFunc(deny, func(network netip.Prefix) bool { return network.Contains(addr) }) {
			continue
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = netip.AddrPortFrom(addr, 1234).String()
		requests = append(requests, endpoint.WithClient(r, nil, false))
	}
	return h, requests
}

// The peer asks one network after another.
func BenchmarkNetworks(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		deny := manyNetworks(n)
		b.Run(fmt.Sprintf("%d/sluice", n), func(b *testing.B) {
			h, requests := networksHandler(deny)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.ServeHTTP(nil, requests[i%len(requests)])
				i++
			}
		})
		b.Run(fmt.Sprintf("%d/linear", n), func(b *testing.B) {
			_, requests := networksHandler(deny)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				addr := endpoint.ClientOf(requests[i%len(requests)]).Addr.Addr()
				i++
				for _, network := range deny {
					if network.Contains(addr) {
						b.Fatal("refused")
					}
				}
			}
		})
	}
}
