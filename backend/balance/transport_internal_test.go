package balance

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/mark"
)

// net/http tries HTTP/2 by itself unless a transport has a DialContext, which those of hosts have.
func TestATransportSpeaksTheProtocolsThatItWouldSpeakWithoutAPool(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		transport *http.Transport
		want      bool
	}{
		"backend's":         {backend.NewTransport(), true},
		"the zero one":      {&http.Transport{}, true},
		"with certificates": {&http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}, false},
		"HTTP/1 only":       {&http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}, false},
		"with a dialer":     {&http.Transport{DialContext: (&net.Dialer{}).DialContext}, false},
	} {
		template, _ := netHTTPOf(tt.transport)
		assert.Equal(t, tt.want, transportOf(template, Host{Address: "a:1"}).ForceAttemptHTTP2, name)
	}
}

// Only where no code of a user sees a request may a backend hand over maps of the client's request.
func TestAPoolIsTrustedIfNoCodeOfAUserIsInIt(t *testing.T) {
	t.Parallel()
	key := ByFunc(func(*http.Request) string { return "" })
	dials := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	for name, tt := range map[string]struct {
		spec Spec
		want bool
	}{
		"default":            {Spec{}, true},
		"a key by header":    {Spec{Pick: Hash(ByHeader("X-User"))}, true},
		"a key by func":      {Spec{Pick: Hash(key)}, false},
		"a dialer of a user": {Spec{Transport: dials}, false},
	} {
		tt.spec.Resolver = Static("a:1")
		p, err := New(tt.spec)
		require.NoError(t, err)
		assert.Equal(t, tt.want, mark.On(p), name)
	}
}
