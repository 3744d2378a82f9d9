package balance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Lookup makes resolvers that ask the domain name system. The zero value asks as the system does.
// It cannot tell how long an answer holds; [Spec.Refresh] says when to ask again.
type Lookup struct {
	Via *net.Resolver // nil is net.DefaultResolver
}

// DNS returns a [Resolver] for the addresses of a name, A and AAAA, all of one weight.
//
//	balance.DNS("items.internal", 8080)
//
// A machine that has an address of both families is two hosts. Addresses of a family that cannot be
// reached from here are ejected like any host that fails.
func DNS(name string, port int) Resolver { return Lookup{}.DNS(name, port) }

// SRV returns a [Resolver] for the records of a service (RFC 2782), as in SRV("http", "tcp",
// "items.internal") for _http._tcp.items.internal. The underscores may be there already. If service
// and proto are "", it asks for the name as it is.
//
// Priorities and weights are those of the records. A record of weight 0 among others gets a
// hundredth of what a weight of 1 does; if all have weight 0, they are equal. An answer that the
// service is not offered, with "." for the target, is [ErrWithdrawn].
func SRV(service, proto, name string) Resolver { return Lookup{}.SRV(service, proto, name) }

// DNS is [DNS] with this Lookup.
func (l Lookup) DNS(name string, port int) Resolver { return dns{l, name, port} }

// SRV is [SRV] with this Lookup.
func (l Lookup) SRV(service, proto, name string) Resolver {
	return srv{l, bare(service), bare(proto), name}
}

// bare returns the name of a service or a protocol without its underscore.
func bare(s string) string {
	if len(s) > 1 {
		return strings.TrimPrefix(s, "_")
	}
	return s
}

func (l Lookup) via() *net.Resolver {
	if l.Via == nil {
		return net.DefaultResolver
	}
	return l.Via
}

type dns struct {
	lookup Lookup
	name   string
	port   int
}

// String returns "DNS" and what is asked.
func (d dns) String() string { return "DNS " + net.JoinHostPort(d.name, strconv.Itoa(d.port)) }

func (d dns) fault() error {
	var errs []error
	if !isName(d.name) {
		errs = append(errs, fmt.Errorf("DNS: %q is no name", d.name))
	}
	if d.port < 1 || d.port > 65535 {
		errs = append(errs, fmt.Errorf("DNS: the port is %d, want 1 to 65535", d.port))
	}
	return errors.Join(errs...)
}

// Resolve looks the name up.
func (d dns) Resolve(ctx context.Context) ([]Host, error) {
	found, err := d.lookup.via().LookupNetIP(ctx, "ip", d.name)
	if err != nil {
		return nil, err
	}
	hosts := make([]Host, len(found))
	for i, ip := range found {
		hosts[i].Address = netip.AddrPortFrom(ip.Unmap(), uint16(d.port)).String()
	}
	return hosts, nil
}

type srv struct {
	lookup               Lookup
	service, proto, name string
}

// String returns "SRV" and what is asked.
func (s srv) String() string {
	if s.service == "" && s.proto == "" {
		return "SRV " + s.name
	}
	return "SRV _" + s.service + "._" + s.proto + "." + s.name
}

func (s srv) fault() error {
	var errs []error
	if !isName(s.name) {
		errs = append(errs, fmt.Errorf("SRV: %q is no name", s.name))
	}
	if (s.service == "") != (s.proto == "") {
		errs = append(errs, fmt.Errorf("SRV: the service is %q and the protocol %q, want both or neither", s.service, s.proto))
	} else if s.service != "" && (!isName(s.service+"."+s.proto) || strings.HasPrefix(s.service, "_") || strings.HasPrefix(s.proto, "_")) {
		errs = append(errs, fmt.Errorf("SRV: the service is %q and the protocol %q, want names", s.service, s.proto))
	}
	if s.service != "" && strings.HasPrefix(strings.ToLower(s.name), strings.ToLower("_"+s.service+"._"+s.proto+".")) {
		errs = append(errs, fmt.Errorf("SRV: the name %q begins with the service and the protocol", s.name))
	}
	return errors.Join(errs...)
}

// Resolve looks the records up.
func (s srv) Resolve(ctx context.Context) ([]Host, error) {
	_, records, err := s.lookup.via().LookupSRV(ctx, s.service, s.proto, s.name)
	if len(records) == 0 && err != nil {
		return nil, err
	}
	hosts, withdrawn := hostsOf(records)
	if withdrawn {
		return nil, fmt.Errorf("%s: %w", s, ErrWithdrawn)
	}
	return hosts, nil // records that are malformed are left out
}

// hostsOf returns the hosts of an answer. It also reports whether the answer says that there are
// none: that is the case if its only target is the root.
func hostsOf(records []*net.SRV) (hosts []Host, withdrawn bool) {
	weights := map[uint16]bool{} // priorities with a weight above 0
	for _, r := range records {
		if r.Weight > 0 {
			weights[r.Priority] = true
		}
	}
	for _, r := range records {
		if r.Target == "." || r.Target == "" {
			withdrawn = true
			continue
		}
		name := strings.TrimSuffix(r.Target, ".")
		port := strconv.Itoa(int(r.Port))
		h := Host{Address: net.JoinHostPort(name, port), Priority: int(r.Priority), Weight: 1}
		if r.Target != name {
			h.dial = net.JoinHostPort(r.Target, port) // no search domain is tried
		}
		if weights[r.Priority] && r.Weight > 0 {
			h.Weight = int(r.Weight) * zeroWeight
		}
		hosts = append(hosts, h)
	}
	return hosts, withdrawn && len(hosts) == 0
}

// zeroWeight is how much more a record of weight 1 gets than one of weight 0 beside it.
const zeroWeight = 100
