package balance

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// MaxHosts is how many hosts a pool has at most. Of a longer answer of a resolver, it takes those of
// the first priorities, and the first of each.
const MaxHosts = 1000

// maxWeight is the highest weight of a host.
const maxWeight = 10_000_000

// A Host is one of the hosts of a service.
type Host struct {
	// Address is where to connect: an IP address or a name, and a port, as in "10.0.0.1:8080",
	// "[2001:db8::1]:8080" or "a.items.internal:8080". A name is resolved for each connection.
	Address string

	// Weight is the share of the calls that the host gets, in proportion to the others of its
	// priority. 0 is 1; the most is 10,000,000.
	Weight int

	// Priority is the group of the host. Hosts of a higher number get calls only if too few of the
	// lower ones are up; see [Spec.Panic].
	Priority int

	dial string // what to dial in place of Address, if it is not ""
}

// address returns where to connect.
func (h Host) address() string { return cmp.Or(h.dial, h.Address) }

// check returns what is wrong with the host, or nil.
func (h Host) check() error {
	name, port, err := net.SplitHostPort(h.Address)
	switch {
	case err != nil && isMissingPort(h.Address):
		return fmt.Errorf("host %q has no port", h.Address)
	case err != nil:
		return fmt.Errorf("host %q is not an address and a port", h.Address)
	case port == "":
		return fmt.Errorf("host %q has no port", h.Address)
	case name == "":
		return fmt.Errorf("host %q has no address", h.Address)
	case !isName(name):
		return fmt.Errorf("host %q has neither an IP address nor a name", h.Address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("host %q has the port %s, want 1 to 65535", h.Address, port)
	}
	if h.Weight < 0 || h.Weight > maxWeight {
		return fmt.Errorf("host %q has the weight %d, want 0 to %d", h.Address, h.Weight, maxWeight)
	}
	return nil
}

func isMissingPort(address string) bool {
	_, _, err := net.SplitHostPort(strings.Trim(address, "[]") + ":0")
	_, bare := netip.ParseAddr(strings.Trim(address, "[]"))
	return err == nil || bare == nil
}

// isName reports whether s is an IP address or may be the name of a host.
func isName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) > 254 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// ErrNoHosts is why a pool refuses a call: it knows no host. The refusal is a [*proxy.Error] of
// status 503 that wraps it. No host was called, so policy.Retry does not try again, and policy.Break
// does not count it. It is [proxy.ErrNoHosts], which is also for pools of yours.
var ErrNoHosts = proxy.ErrNoHosts

// ErrWithdrawn is the error of a [Resolver] that knows that the service is not offered. The pool
// then has no hosts any more, and refuses calls at once.
var ErrWithdrawn = errors.New("the service is not offered")
