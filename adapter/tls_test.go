package adapter_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

// certificate makes a self-signed one for localhost, valid in the years of fake time too.
func certificate(t testing.TB, serial int64) tls.Certificate {
	t.Helper()
	return certificateFor(t, serial, "localhost")
}

func certificateFor(t testing.TB, serial int64, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func pool(certs ...tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c.Leaf)
	}
	return p
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func tlsClient(t testing.TB, c *tls.Config) *http.Client {
	c.ServerName = "localhost"
	tr := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTLSServesBothHTTPVersions(t *testing.T) {
	t.Parallel()
	cert, l := certificate(t, 1), listen(t)
	start(t, adapter.Server{Listener: l, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })})
	c := tlsClient(t, &tls.Config{RootCAs: pool(cert)})
	_, proto := get(t, c, "https://"+l.Addr().String())
	assert.Equal(t, "HTTP/2.0", proto)
	one := tlsClient(t, &tls.Config{RootCAs: pool(cert), NextProtos: []string{"http/1.1"}})
	one.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	_, proto = get(t, one, "https://"+l.Addr().String())
	assert.Equal(t, "HTTP/1.1", proto)
}

func TestTLSIsAtLeast12ByDefault(t *testing.T) {
	t.Parallel()
	cert := certificate(t, 1)
	tests := []struct {
		name   string
		config *tls.Config
		http   func(*http.Server)
		old    bool // TLS 1.1 is accepted
	}{
		{"nothing said", &tls.Config{Certificates: []tls.Certificate{cert}}, nil, false},
		{"set by HTTP", nil, func(s *http.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}} }, false},
		{"as it is", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS11}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			start(t, adapter.Server{Listener: l, TLS: tt.config, Handler: ok, HTTP: tt.http})
			for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
				conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool(cert), ServerName: "localhost",
					MinVersion: version, MaxVersion: version})
				if version == tls.VersionTLS11 && !tt.old {
					assert.Error(t, err)
					continue
				}
				if assert.NoError(t, err) {
					_ = conn.Close()
				}
			}
		})
	}
}

func TestTheCallersTLSConfigIsNotChanged(t *testing.T) {
	t.Parallel()
	cert, l := certificate(t, 1), listen(t)
	protos := append(make([]string, 0, 8), "h2") // with room for what net/http appends
	theirs := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protos}
	r := start(t, adapter.Server{Listener: l, TLS: theirs, Handler: ok, HTTP: func(s *http.Server) {
		assert.NotSame(t, theirs, s.TLSConfig)
		s.TLSConfig.NextProtos = append(s.TLSConfig.NextProtos, "mine")
		s.TLSConfig = theirs // nor when it comes this way
	}})
	get(t, tlsClient(t, &tls.Config{RootCAs: pool(cert)}), "https://"+l.Addr().String())
	r.stop()
	require.NoError(t, r.wait())
	assert.Equal(t, uint16(0), theirs.MinVersion)
	//lint:ignore SA1019 it says nothing, but net/http sets it
	assert.False(t, theirs.PreferServerCipherSuites)
	assert.Equal(t, []string{"h2"}, theirs.NextProtos)
	assert.Equal(t, make([]string, 7), protos[1:8], "what lies behind it")
}

func TestACertificateIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	l := listen(t)
	var current atomic.Pointer[tls.Certificate]
	start(t, adapter.Server{Listener: l, Handler: ok, TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}})
	for serial := range int64(3) {
		cert := certificate(t, serial+1)
		current.Store(&cert)
		c := tlsClient(t, &tls.Config{RootCAs: pool(cert)})
		res, err := c.Get("https://" + l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, serial+1, res.TLS.PeerCertificates[0].SerialNumber.Int64())
	}
}

func TestClientCertificatesAreTheConfigs(t *testing.T) {
	t.Parallel()
	cert, client, l := certificate(t, 1), certificate(t, 7), listen(t)
	start(t, adapter.Server{
		Listener: l,
		TLS:      &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(client)},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
		}),
	})
	_, body := get(t, tlsClient(t, &tls.Config{RootCAs: pool(cert), Certificates: []tls.Certificate{client}}), "https://"+l.Addr().String())
	assert.Equal(t, "7", body)
	_, err := tlsClient(t, &tls.Config{RootCAs: pool(cert)}).Get("https://" + l.Addr().String())
	require.Error(t, err)
}

func TestTLSWithoutACertificateDoesNotStart(t *testing.T) {
	t.Parallel()
	err := adapter.Run(t.Context(), adapter.Server{Addr: "127.0.0.1:0", Handler: ok, TLS: &tls.Config{}})
	assert.EqualError(t, err, "adapter: server 127.0.0.1:0: the TLS config has no certificate")
}

func TestH2CServesBothHTTPVersions(t *testing.T) {
	t.Parallel()
	proto := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	for _, h2c := range []bool{true, false} {
		l := listen(t)
		start(t, adapter.Server{Listener: l, H2C: h2c, Handler: proto})
		url := "http://" + l.Addr().String()

		two := &http.Transport{Protocols: new(http.Protocols)}
		two.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(two.CloseIdleConnections)
		one := &http.Transport{}
		t.Cleanup(one.CloseIdleConnections)

		_, got := get(t, &http.Client{Transport: one}, url)
		assert.Equal(t, "HTTP/1.1", got)
		if !h2c {
			res, err := (&http.Client{Transport: two}).Get(url)
			if assert.Error(t, err, "only where asked for") {
				continue
			}
			_ = res.Body.Close()
			continue
		}
		_, got = get(t, &http.Client{Transport: two}, url)
		assert.Equal(t, "HTTP/2.0", got)
	}
}

// proves T1, M30
func TestASlowTLSClientIsClosedAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	cert := certificate(t, 1)
	handshake := func(proto string) func(t *testing.T, conn net.Conn) net.Conn {
		return func(t *testing.T, conn net.Conn) net.Conn {
			c := tls.Client(conn, &tls.Config{RootCAs: pool(cert), ServerName: "localhost", NextProtos: []string{proto}})
			require.NoError(t, c.HandshakeContext(t.Context()))
			return c
		}
	}
	tests := []struct {
		name  string
		begin func(*testing.T, net.Conn) net.Conn
		sent  string
	}{
		{"half a handshake", func(_ *testing.T, conn net.Conn) net.Conn { return conn }, "\x16\x03\x01\x02"},
		{"half a header", handshake("http/1.1"), "GET / HTTP/1.1\r\n"},
		{"half a header of HTTP/2", handshake("h2"), preface + settings + halfHead},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newMemory("public")
				start(t, adapter.Server{Listener: l, Handler: ok, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
				conn := tt.begin(t, l.dial(t))
				go func() { _, _ = io.WriteString(conn, tt.sent) }()
				assert.Equal(t, 5*time.Second, untilClosed(conn))
			})
		})
	}
}
