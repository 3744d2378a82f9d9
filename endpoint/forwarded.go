package endpoint

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

const (
	xForwardedFor   = "X-Forwarded-For"
	xForwardedHost  = "X-Forwarded-Host"
	xForwardedProto = "X-Forwarded-Proto"
	forwardedName   = "Forwarded"
	xRealIP         = "X-Real-Ip"
)

// inNetworks reports whether addr is in one of the networks.
func inNetworks(networks []netip.Prefix, addr netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// forward makes the headers about the client anew, and sets Remote, Scheme and Host of req. What r
// says about the client counts if its peer is trusted. The new values are appended to all, which has
// room for three.
func (h *handler) forward(req *proxy.Request, r *http.Request, all []string) []string {
	decided := h.verdictOf(r)
	header, peer := req.Header, decided.peer
	req.Remote, req.Scheme, req.Host = decided.client.Addr, decided.client.Scheme, decided.client.Host
	if decided.trusted { // otherwise none of these headers is there
		decided.takeOver(req, r)
	}
	if peer.IsValid() {
		list := addrText(r.RemoteAddr, peer.Addr())
		if decided.trusted && len(header[xForwardedFor]) > 0 {
			list = header[xForwardedFor][0] + ", " + list
		}
		all = set(header, all, xForwardedFor, list)
	}
	if (!decided.trusted || header[xForwardedHost] == nil) && validHost(r.Host) {
		all = set(header, all, xForwardedHost, r.Host)
	}
	if !decided.trusted || header[xForwardedProto] == nil {
		all = set(header, all, xForwardedProto, req.Scheme)
	}
	return all
}

// verdictOf returns who the client of a request is: as [WithClient] has decided, else by the Spec.
func (h *handler) verdictOf(r *http.Request) verdict {
	if decided, ok := r.Context().Value(clientKey{}).(*verdict); ok {
		return *decided
	}
	v := decide(r, h.spec.TrustedProxies, h.spec.TrustLocal)
	v.client.Host = r.Host // only WithClient takes the host from a proxy
	return v
}

// isLocal reports whether the connection of a request has no address of IP.
func isLocal(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return false // nobody knows
	}
	addr, _ := parseRemote(local.String())
	return !addr.IsValid()
}

// takeOver puts into the header what a trusted peer says about the client.
func (v *verdict) takeOver(req *proxy.Request, r *http.Request) {
	h := req.Header
	if len(v.hops) > 0 {
		texts := make([]string, len(v.hops))
		for i, hop := range v.hops {
			texts[i] = hop.Addr().String()
		}
		h[xForwardedFor] = []string{strings.Join(texts, ", ")}
	}
	for _, name := range [...]string{xForwardedHost, xForwardedProto, "X-Forwarded-Port", "X-Forwarded-Prefix",
		"X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Server"} {
		if values := r.Header[name]; len(values) == 1 && printable(values[0]) {
			h[name] = []string{values[0]}
		}
	}
	if r.Header[xRealIP] != nil && req.Remote.IsValid() {
		h[xRealIP] = []string{req.Remote.Addr().String()}
	}
	if lines := r.Header[forwardedName]; lines != nil {
		if before := strings.Join(lines, ", "); validForwarded(before) {
			h[forwardedName] = []string{before + ", " + forwardedElement(v.peer.Addr(), r.Host, r.TLS != nil)}
		}
	}
}

// parseForwardedFor returns the addresses in X-Forwarded-For, in order: only those after the last
// element that is not an address.
func parseForwardedFor(lines []string) []netip.AddrPort {
	var hops []netip.AddrPort
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			hop, ok := parseHop(strings.Trim(element, " \t"))
			if !ok {
				hops = hops[:0]
				continue
			}
			hops = append(hops, hop)
		}
	}
	return hops
}

// parseHop parses an address with or without a port, and an IPv6 address with or without brackets.
// It refuses a zone, which means nothing to another host.
func parseHop(s string) (netip.AddrPort, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 0), addr.Zone() == ""
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return netip.AddrPortFrom(addr.Unmap(), 0), err == nil && addr.Is6() && addr.Zone() == ""
		}
	}
	hop, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(hop.Addr().Unmap(), hop.Port()), err == nil && hop.Addr().Zone() == ""
}

// parseRemote parses the address of a connection as net/http gives it, or an address without a
// port, which is not that of a connection.
func parseRemote(s string) (peer netip.AddrPort, ofConnection bool) {
	peer, err := netip.ParseAddrPort(s)
	ofConnection = err == nil
	if err != nil {
		if inner, ok := strings.CutPrefix(s, "["); ok {
			s, _ = strings.CutSuffix(inner, "]")
		}
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.AddrPort{}, false
		}
		peer = netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(peer.Addr().Unmap().WithZone(""), peer.Port()), ofConnection
}

// addrText returns the text of addr. It allocates nothing for IPv4 with a port, where it is the
// beginning of remote.
func addrText(remote string, addr netip.Addr) string {
	if i := strings.IndexByte(remote, ':'); addr.Is4() && i > 0 && strings.IndexByte(remote[i+1:], ':') < 0 {
		return remote[:i]
	}
	return addr.String()
}

// forwardedElement returns the element of RFC 7239 for a connection.
func forwardedElement(peer netip.Addr, host string, secure bool) string {
	element := "for=unknown"
	switch {
	case peer.Is6():
		element = `for="[` + peer.String() + `]"`
	case peer.IsValid():
		element = "for=" + peer.String()
	}
	if validHost(host) {
		element += `;host="` + host + `"`
	}
	if secure {
		return element + ";proto=https"
	}
	return element + ";proto=http"
}

// validForwarded reports whether s is a list of RFC 7239, section 4: its elements are pairs of a
// token and a token or quoted string.
func validForwarded(s string) bool {
	for {
		name := tokenLen(s)
		if name == 0 || name == len(s) || s[name] != '=' {
			return false
		}
		s = s[name+1:]
		value := tokenLen(s)
		if value == 0 {
			value = quotedLen(s)
		}
		if value == 0 {
			return false
		}
		s = strings.TrimLeft(s[value:], " \t")
		if s == "" {
			return true
		}
		if s[0] != ';' && s[0] != ',' {
			return false
		}
		s = strings.TrimLeft(s[1:], " \t")
	}
}

func tokenLen(s string) int {
	n := 0
	for n < len(s) && field.IsTokenByte(s[n]) {
		n++
	}
	return n
}

// quotedLen returns the length of the quoted string that s begins with, or 0. It refuses escapes,
// since nothing that a proxy says needs one.
func quotedLen(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 || strings.IndexByte(s[1:1+end], '\\') >= 0 || !printable(s[1:1+end]) {
		return 0
	}
	return end + 2
}

// validHost reports whether a host can stand in a header and in a quoted string.
func validHost(s string) bool { return s != "" && printable(s) && !strings.ContainsAny(s, `"\, ;`) }

// printable reports whether s consists of visible ASCII and blanks.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
