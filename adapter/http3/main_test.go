package http3_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	quichttp "github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/adapter/http3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificate makes a self-signed one for localhost.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// A gateway is a Run with a server over TCP and one over QUIC.
type gateway struct {
	tcp, quic string // the URLs
	roots     *x509.CertPool
	server    *http3.Server
	stop      context.CancelFunc
	done      chan struct{}
	err       error // of Run, after done
	stopped   adapter.Stop
}

// start runs a gateway until the test ends.
func start(t testing.TB, spec http3.Spec, edit ...func(*adapter.Server)) *gateway {
	t.Helper()
	g := &gateway{done: make(chan struct{})}
	var cert tls.Certificate
	cert, g.roots = certificate(t)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	spec.Conn, spec.TLS = conn, config
	g.server, err = http3.New(spec)
	require.NoError(t, err)
	s := adapter.Server{Listener: l, TLS: config, Handler: g.server.AltSvc(spec.Handler), OnStop: func(s adapter.Stop) { g.stopped = s }}
	for _, f := range edit {
		f(&s)
	}
	g.tcp = "https://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	g.quic = "https://localhost:" + strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	g.stop = cancel
	go func() {
		defer close(g.done)
		g.err = adapter.Run(ctx, s, g.server)
	}()
	t.Cleanup(func() {
		cancel()
		<-g.done
	})
	return g
}

type key struct{}

// wait stops the gateway and returns what Run returned.
func (g *gateway) wait() error {
	g.stop()
	<-g.done
	return g.err
}

// client speaks HTTP/3.
func (g *gateway) client(t testing.TB) *http.Client {
	tr := &quichttp.Transport{TLSClientConfig: &tls.Config{RootCAs: g.roots}, DisableCompression: true}
	t.Cleanup(func() { _ = tr.Close() })
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// overTCP speaks HTTP/2.
func (g *gateway) overTCP(t testing.TB) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.roots}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get returns the answer and its body.
func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := c.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	return res, string(b)
}
