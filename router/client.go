package router

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

// A ClientSpec says which proxies [ClientWith] trusts. The zero value trusts none.
type ClientSpec struct {
	// TrustedProxies are the networks of the proxies that are trusted to say who the client is. TrustLocal
	// says that a peer without an address is such a proxy. Both are as in [endpoint.Spec]. An invalid
	// network is a fault in the plan.
	TrustedProxies []netip.Prefix
	TrustLocal     bool
}

// Client returns a middleware that decides where a request comes from, once for everything inside it: its
// address, its scheme and its host. They are those of the connection, unless its peer is in one of the
// trusted networks. For a trusted peer they are what the proxy says, as with TrustedProxies of
// [endpoint.Spec], a field that then has no effect. [endpoint.ClientOf] returns the verdict.
//
// Client stands around everything that reads the verdict: [AccessLog], [Networks], [HTTPS], [Secure], the
// limits and the endpoints. If there are two, the outer one decides. A Client inside [Networks], [HTTPS],
// [Hosts], [Secure] or [Limit] is a fault in the plan, because these would have decided by the connection.
//
// [ClientWith] can trust a Unix socket too.
func Client(trusted ...netip.Prefix) func(http.Handler) http.Handler {
	return ClientWith(ClientSpec{TrustedProxies: trusted})
}

const kindClient = "client"

// ClientWith is [Client] with all settings.
func ClientWith(s ClientSpec) func(http.Handler) http.Handler {
	s.TrustedProxies = slices.Clone(s.TrustedProxies)
	step := pipe.Step{Kind: kindClient, Detail: s.detail(), Acts: pipe.In, Effects: pipe.WritesRequest,
		Takes: []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}}
	return described(step, faultsOfNetworks("Client", "trusted", s.TrustedProxies),
		func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, endpoint.WithClient(r, s.TrustedProxies, s.TrustLocal))
		})
}

func (s ClientSpec) detail() string {
	var trusted []string
	if s.TrustLocal {
		trusted = append(trusted, "local peers")
	}
	trusted = append(trusted, textsOf(s.TrustedProxies)...)
	if len(trusted) == 0 {
		return "trusts no proxy"
	}
	return "trusts " + some(trusted)
}

// faultsOfNetworks returns an error for each network that is none.
func faultsOfNetworks(of, list string, networks []netip.Prefix) (faults []error) {
	for i, network := range networks {
		if !network.IsValid() {
			faults = append(faults, fmt.Errorf("router: %s: network %d of %s is invalid", of, i+1, list))
		}
	}
	return faults
}

func textsOf(networks []netip.Prefix) []string {
	var texts []string
	for _, network := range networks {
		texts = append(texts, network.String())
	}
	return texts
}

// some returns the first few words of a list for a plan, and how many more there are.
func some(words []string) string {
	const shown = 4
	if more := len(words) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:shown], ", "), more)
	}
	return strings.Join(words, ", ")
}
