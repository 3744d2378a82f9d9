package h1_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/h1"
)

// A function of the configuration of TLS is code of a user, which may block or panic.
func TestAHandshakeThatBlocksEndsWithTheContext(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	release := make(chan struct{})
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.VerifyConnection = func(tls.ConnectionState) error { <-release; return nil }
	for _, transport := range []*h1.Transport{{TLS: config}, {TLS: config, TLSTimeout: 20 * time.Millisecond}} {
		ctx, cancel := context.WithCancel(t.Context())
		if transport.TLSTimeout == 0 {
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		req, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
		assert.NoError(t, err)
		_, err = transport.RoundTrip(req) //nolint:bodyclose // there is no answer
		assert.Error(t, err)
		cancel()
	}
	close(release)
}

func TestAPanicOfAHandshakeIsAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.VerifyConnection = func(tls.ConnectionState) error { panic("bug") }
	transport := &h1.Transport{TLS: config, MaxConns: 1}
	for range 3 { // none of them keeps the one connection
		_, err := call(t.Context(), transport, server.URL)
		assert.ErrorContains(t, err, "bug")
	}
}

func call(ctx context.Context, rt http.RoundTripper, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	return rt.RoundTrip(req)
}

func TestATransportIsNoFallbackOfItself(t *testing.T) {
	t.Parallel()
	var transport h1.Transport
	transport.Fallback = &transport
	assert.True(t, transport.HonoursContext())
	transport.CloseIdleConnections()
	_, err := call(t.Context(), &transport, "gopher://host/")
	assert.ErrorContains(t, err, "unsupported protocol scheme")
}
