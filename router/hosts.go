package router

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
)

// ErrHost is why [Hosts] and [HTTPS] refuse a request.
var ErrHost = errors.New("the host is not one of this server")

// Hosts returns a middleware that serves requests for these hosts, and refuses any other with 421
// Misdirected Request (RFC 9110, section 15.5.20). The error wraps [ErrHost].
//
//	router.Hosts("api.example.com", "*.example.org", "localhost:8080", "[::1]")
//
// The host is that of the request: the Host header, the :authority of HTTP/2, or what a client has put
// before the path (GET http://evil/admin). X-Forwarded-Host does not count, nor do case and a dot at the
// end.
//
// An entry without a port admits any port, and one with a port only that port. A request without a port
// asks for port 443 or 80, by the scheme of [endpoint.ClientOf]. "*." stands for one label or more, so
// "*.example.org" does not admit example.org itself. Write an international name in its ASCII form, as in
// "xn--bcher-kva.example". These are faults in the plan: no hosts, and an entry of any other form.
func Hosts(hosts ...string) func(http.Handler) http.Handler {
	set, faults := hostSetOf(hosts)
	step := pipe.Step{Kind: "hosts", Detail: some(hosts), Acts: pipe.In, Effects: pipe.Validates}
	return described(step, faults, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !set.admits(r) {
			refuse(w, r, "hosts", http.StatusMisdirectedRequest, ErrHost)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A hostSet is a set of hosts and of the ports that each may have.
type hostSet struct {
	names   map[string]ports
	domains map[string]ports // of *.example.org, by example.org
}

// ports are those that a host may have: any, or some.
type ports struct {
	any  bool
	some []uint16
}

func hostSetOf(hosts []string) (hostSet, []error) {
	s := hostSet{names: map[string]ports{}, domains: map[string]ports{}}
	var faults []error
	if len(hosts) == 0 {
		faults = append(faults, errors.New("router: Hosts: there is no host, so every request would be refused"))
	}
	for _, entry := range hosts {
		into := s.names
		text, wildcard := strings.CutPrefix(entry, "*.")
		if wildcard {
			into = s.domains
		}
		name, port, ok := splitHost(text)
		if !ok || wildcard && name[0] == '[' {
			faults = append(faults, fmt.Errorf("router: Hosts: %q is not a host", entry))
			continue
		}
		p := into[name]
		if port == 0 {
			p.any = true
		} else {
			p.some = append(p.some, port)
		}
		into[name] = p
	}
	return s, faults
}

func (s *hostSet) admits(r *http.Request) bool {
	name, port, ok := splitHost(r.Host)
	if !ok {
		return false
	}
	if p, ok := s.names[name]; ok && p.admit(port, r) {
		return true
	}
	if len(s.domains) == 0 {
		return false
	}
	for {
		if _, name, ok = strings.Cut(name, "."); !ok {
			return false
		}
		if p, ok := s.domains[name]; ok && p.admit(port, r) {
			return true
		}
	}
}

// admit reports whether a host that may have these ports may have this one; 0 is that of the scheme.
func (p ports) admit(port uint16, r *http.Request) bool {
	if p.any {
		return true
	}
	if port == 0 {
		port = 80
		if endpoint.ClientOf(r).Scheme == "https" {
			port = 443
		}
	}
	return slices.Contains(p.some, port)
}

// maxHost is how long the name of a host can be (RFC 1035, section 2.3.4), with a dot at its end.
const maxHost = 254

// splitHost returns the name of a host, in lower case and without the dot at its end, or its address
// in brackets in the usual form, and its port, 0 for none. ok is false if s is no host: a name
// consists of labels of letters, digits, hyphens and underscores.
func splitHost(s string) (name string, port uint16, ok bool) {
	if strings.HasPrefix(s, "[") {
		return splitIPv6(s)
	}
	name, text, hasPort := strings.Cut(s, ":")
	if hasPort {
		if port, ok = parsePort(text); !ok {
			return "", 0, false
		}
	}
	if len(name) > maxHost {
		return "", 0, false
	}
	name = strings.TrimSuffix(name, ".")
	if !field.AreLabels(name) {
		return "", 0, false
	}
	return strings.ToLower(name), port, true
}

func splitIPv6(s string) (name string, port uint16, ok bool) {
	inner, rest, found := strings.Cut(s[1:], "]")
	addr, err := netip.ParseAddr(inner)
	if !found || err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", 0, false
	}
	if rest != "" {
		text, isPort := strings.CutPrefix(rest, ":")
		if port, ok = parsePort(text); !isPort || !ok {
			return "", 0, false
		}
	}
	return "[" + addr.String() + "]", port, true
}

// parsePort parses a port. 0 is none that a client can ask for.
func parsePort(s string) (uint16, bool) {
	port, err := strconv.ParseUint(s, 10, 16)
	return uint16(port), err == nil && port > 0
}
