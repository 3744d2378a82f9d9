package router

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

// ErrNetwork is why [Networks] refuses a request.
var ErrNetwork = errors.New("the address of the client is not admitted")

// Networks returns a middleware that admits or refuses clients by their address, as [endpoint.ClientOf]
// says. It stands inside [Client] if there are proxies. It refuses an address in one of the networks of
// deny and, unless allow is empty, one that is in none of allow. The status is 403, and the error wraps
// [ErrNetwork]. An address in both is refused. If there is an allow, a client whose address nobody knows,
// as behind a Unix socket, is refused.
//
// A network of IPv4 holds only addresses of IPv4, and one of IPv6 only those of IPv6; an IPv4-mapped
// network, such as ::ffff:10.0.0.0/104, is one of IPv4. The time of a lookup grows with the logarithm of
// the number of networks, and a lookup allocates nothing.
//
// Two empty lists are a fault in the plan, and so is an invalid network.
func Networks(allow, deny []netip.Prefix) func(http.Handler) http.Handler {
	faults := slices.Concat(faultsOfNetworks("Networks", "allow", allow), faultsOfNetworks("Networks", "deny", deny))
	if len(allow)+len(deny) == 0 {
		faults = append(faults, errors.New("router: Networks: both lists are empty, so nobody would be refused"))
	}
	admitted, refused, anybody := networkSetOf(allow), networkSetOf(deny), len(allow) == 0
	step := pipe.Step{Kind: "networks", Detail: detailOfNetworks(allow, deny), Acts: pipe.In, Effects: pipe.Validates}
	return described(step, faults, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		addr := endpoint.ClientOf(r).Addr.Addr()
		if refused.contains(addr) || !anybody && !admitted.contains(addr) {
			refuse(w, r, "networks", http.StatusForbidden, ErrNetwork)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// detailOfNetworks says for the plan whom the lists name.
func detailOfNetworks(allow, deny []netip.Prefix) string {
	var lists []string
	for _, list := range []struct {
		name     string
		networks []netip.Prefix
	}{{"allow", allow}, {"deny", deny}} {
		if len(list.networks) > 0 {
			lists = append(lists, list.name+" "+some(textsOf(list.networks)))
		}
	}
	return strings.Join(lists, "; ")
}

// A networkSet is a set of addresses, as ranges that are sorted and apart from each other.
type networkSet struct{ v4, v6 []span }

// A span is a range of addresses, with both ends.
type span struct{ first, last bits128 }

// bits128 are the bits of an address.
type bits128 struct{ hi, lo uint64 }

func bitsOf(a netip.Addr) bits128 {
	b := a.As16()
	return bits128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a bits128) compare(b bits128) int {
	return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo))
}

func (a bits128) less(b bits128) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// networkSetOf leaves out what is no network: that is a fault.
func networkSetOf(networks []netip.Prefix) (s networkSet) {
	for _, network := range networks {
		addr, bits := network.Addr(), network.Bits()
		switch {
		case !network.IsValid():
		case addr.Is4():
			s.v4 = append(s.v4, spanOf(addr, bits+96))
		case addr.Is4In6() && bits >= 96:
			s.v4 = append(s.v4, spanOf(addr, bits))
		default:
			s.v6 = append(s.v6, spanOf(addr, bits))
		}
	}
	s.v4, s.v6 = merged(s.v4), merged(s.v6)
	return s
}

// spanOf returns the addresses whose first bits, of 128, are those of addr.
func spanOf(addr netip.Addr, bits int) span {
	a := bitsOf(addr)
	host := bits128{^uint64(0) >> min(bits, 64), ^uint64(0) >> max(bits-64, 0)}
	return span{bits128{a.hi &^ host.hi, a.lo &^ host.lo}, bits128{a.hi | host.hi, a.lo | host.lo}}
}

// merged sorts spans and leaves out those that are in another one: two networks are either apart, or
// one is in the other.
func merged(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.first.compare(b.first), b.last.compare(a.last)) })
	apart := spans[:0]
	for _, s := range spans {
		if n := len(apart); n == 0 || apart[n-1].last.less(s.first) {
			apart = append(apart, s)
		}
	}
	return slices.Clip(apart)
}

// contains reports whether an address is in the set. One that is not valid is not.
func (s *networkSet) contains(addr netip.Addr) bool {
	spans := s.v6
	if addr.Is4() || addr.Is4In6() {
		spans = s.v4
	}
	if !addr.IsValid() {
		return false
	}
	a := bitsOf(addr)
	low, high := 0, len(spans) // the first span that begins after the address
	for low < high {
		middle := int(uint(low+high) / 2)
		if a.less(spans[middle].first) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low > 0 && !spans[low-1].last.less(a)
}
