package adapter_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

// A folder holds files whose times are set, because two writes may be too close for the clock of the
// file system.
type folder struct {
	dir   string
	times int
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) write(t *testing.T, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(f.path(name), content, 0o600))
	f.times++
	when := time.Unix(int64(f.times), 0)
	require.NoError(t, os.Chtimes(f.path(name), when, when))
}

func (f *folder) pair(name string) adapter.CertificatePair {
	return adapter.CertificatePair{Certificate: f.path(name + ".crt"), Key: f.path(name + ".key")}
}

func (f *folder) put(t *testing.T, name string, cert tls.Certificate) {
	t.Helper()
	f.write(t, name+".crt", certPEM(cert))
	f.write(t, name+".key", keyPEM(t, cert))
}

func certPEM(cert tls.Certificate) []byte {
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	return append(b, bytes.Repeat([]byte("#"), 2048-len(b))...) // certificates of one size
}

func keyPEM(t *testing.T, cert tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// serial returns the serial number of the certificate that a client gets for a name.
func serial(t *testing.T, c *adapter.Certificates, name string) int64 {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(server, c.TLS(nil)).Handshake() }()
	conn := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // only the number is of interest
	require.NoError(t, conn.Handshake())
	require.NoError(t, <-done)
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// watch runs c until the test ends.
func watch(t *testing.T, c *adapter.Certificates) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-done)
	})
}

func TestARenewedCertificateIsTakenWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	changes := map[string]func(t *testing.T, f *folder, next tls.Certificate){
		"written in place": func(t *testing.T, f *folder, next tls.Certificate) { f.put(t, "a", next) },
		"written in place, longer and at the same moment": func(t *testing.T, f *folder, next tls.Certificate) {
			for name, content := range map[string][]byte{"a.crt": certPEM(next), "a.key": keyPEM(t, next)} {
				was, err := os.Stat(f.path(name))
				require.NoError(t, err)
				f.write(t, name, append(content, '#'))
				require.NoError(t, os.Chtimes(f.path(name), was.ModTime(), was.ModTime()))
			}
		},
		"renamed, with the time and size of the old": func(t *testing.T, f *folder, next tls.Certificate) {
			for name, content := range map[string][]byte{"a.crt": certPEM(next), "a.key": keyPEM(t, next)} {
				was, err := os.Stat(f.path(name))
				require.NoError(t, err)
				f.write(t, "new", content)
				require.NoError(t, os.Chtimes(f.path("new"), was.ModTime(), was.ModTime()))
				require.NoError(t, os.Rename(f.path("new"), f.path(name)))
			}
		},
		"behind a symbolic link": func(t *testing.T, f *folder, next tls.Certificate) {
			f.put(t, "b", next)
			for _, end := range []string{".crt", ".key"} {
				require.NoError(t, os.Symlink(f.path("b"+end), f.path("link")))
				require.NoError(t, os.Rename(f.path("link"), f.path("a"+end)))
			}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &folder{dir: t.TempDir()}
			f.put(t, "a", certificate(t, 1))
			synctest.Test(t, func(t *testing.T) {
				c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")},
					Report: func(err error) { assert.NoError(t, err) }})
				require.NoError(t, err)
				watch(t, c)
				assert.EqualValues(t, 1, serial(t, c, "localhost"))
				change(t, f, certificate(t, 2))
				pass(5*time.Second - 1)
				synctest.Wait()
				assert.EqualValues(t, 1, serial(t, c, "localhost"), "not looked at yet")
				pass(1)
				synctest.Wait()
				assert.EqualValues(t, 2, serial(t, c, "localhost"))
			})
		})
	}
}

func TestABadPairKeepsTheOldOneAndIsToldOnce(t *testing.T) {
	t.Parallel()
	next := certificate(t, 2)
	breaks := map[string]func(t *testing.T, f *folder){
		"another key":    func(t *testing.T, f *folder) { f.write(t, "a.crt", certPEM(next)) },
		"half a file":    func(t *testing.T, f *folder) { f.write(t, "a.crt", certPEM(next)[:100]) },
		"an empty file":  func(t *testing.T, f *folder) { f.write(t, "a.key", nil) },
		"no file":        func(t *testing.T, f *folder) { require.NoError(t, os.Remove(f.path("a.key"))) },
		"no certificate": func(t *testing.T, f *folder) { f.write(t, "a.crt", keyPEM(t, next)) },
	}
	for name, spoil := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &folder{dir: t.TempDir()}
			f.put(t, "a", certificate(t, 1))
			synctest.Test(t, func(t *testing.T) {
				var told []error
				c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")},
					Interval: time.Minute, Report: func(err error) { told = append(told, err) }})
				require.NoError(t, err)
				watch(t, c)
				spoil(t, f)
				pass(10 * time.Minute)
				synctest.Wait()
				assert.EqualValues(t, 1, serial(t, c, "localhost"))
				require.Len(t, told, 1)
				assert.ErrorContains(t, told[0], "adapter: certificates: "+f.path("a.crt")+", "+f.path("a.key")+": ")

				f.write(t, "a.crt", []byte("-----BEGIN NOTHING-----"))
				pass(10 * time.Minute)
				synctest.Wait()
				assert.Len(t, told, 2, "another change")

				f.put(t, "a", next)
				pass(time.Minute)
				synctest.Wait()
				assert.EqualValues(t, 2, serial(t, c, "localhost"))
				assert.Len(t, told, 2)
			})
		})
	}
}

func TestCertificatesAreChosenByName(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	other := certificate(t, 2)
	f.put(t, "a", certificate(t, 1)) // for localhost
	f.put(t, "b", other)
	f.put(t, "c", certificateFor(t, 3, "c.example", "*.c.example"))
	c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a"), f.pair("b"), f.pair("c")}})
	require.NoError(t, err)
	for name, want := range map[string]int64{"localhost": 1, "c.example": 3, "x.c.example": 3, "unknown.example": 1, "": 1} {
		assert.Equal(t, want, serial(t, c, name), name)
	}
}

func TestCertificatesThatCannotBeLoadedAreAStartupError(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	f.put(t, "a", certificate(t, 1))
	f.write(t, "bad.crt", certPEM(certificate(t, 2)))
	f.write(t, "bad.key", keyPEM(t, certificate(t, 3)))
	tests := []struct {
		name string
		spec adapter.CertificatesSpec
		want []string
	}{
		{"none", adapter.CertificatesSpec{}, []string{"there is no pair"}},
		{"a missing file, a key of another, no CA", adapter.CertificatesSpec{
			Pairs: []adapter.CertificatePair{f.pair("a"), f.pair("missing"), f.pair("bad")}, ClientCAs: []string{f.path("a.key")}},
			[]string{"missing.crt", "private key does not match", "no certificate in it"}},
		{"a missing CA", adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")}, ClientCAs: []string{f.path("ca")}},
			[]string{"no such file"}},
		{"an interval", adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")}, Interval: -1}, []string{"interval"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := adapter.LoadCertificates(tt.spec)
			assert.Nil(t, c)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

// connect makes a handshake with a client certificate and returns what the client and the server
// say.
func connect(config *tls.Config, client *tls.Config) (protocol string, verified int, err error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	server := tls.Server(b, config)
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		_ = b.Close() // the client waits for no alert
		done <- err
	}()
	conn := tls.Client(a, client)
	_, clientErr := conn.Read(make([]byte, 1)) // with the session ticket before it
	err = errors.Join(<-done, clientErr)
	return server.ConnectionState().NegotiatedProtocol, len(server.ConnectionState().VerifiedChains), err
}

func TestAClientCAIsReplacedInOpenConfigs(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	one, two := certificate(t, 1), certificate(t, 2)
	f.put(t, "a", one)
	f.write(t, "ca", certPEM(one))
	synctest.Test(t, func(t *testing.T) {
		c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")}, ClientCAs: []string{f.path("ca")}})
		require.NoError(t, err)
		watch(t, c)
		config := c.TLS(nil)
		sessions := tls.NewLRUClientSessionCache(8)
		with := func(certs ...tls.Certificate) *tls.Config {
			return &tls.Config{RootCAs: pool(one), ServerName: "localhost", NextProtos: []string{"h2"}, Certificates: certs, ClientSessionCache: sessions}
		}
		protocol, verified, err := connect(config, with(one))
		require.NoError(t, err)
		assert.Equal(t, "h2", protocol)
		assert.Equal(t, 1, verified)
		_, _, err = connect(config, &tls.Config{RootCAs: pool(one), ServerName: "localhost", Certificates: []tls.Certificate{two}})
		assert.ErrorContains(t, err, "unknown authority")

		f.write(t, "ca", certPEM(two))
		pass(5 * time.Second)
		synctest.Wait()
		_, verified, err = connect(config, with(one)) // with the session of before
		assert.True(t, err != nil || verified == 0, "accepted by an authority that is gone")
		_, verified, err = connect(config, &tls.Config{RootCAs: pool(one), ServerName: "localhost", Certificates: []tls.Certificate{two}})
		require.NoError(t, err)
		assert.Equal(t, 1, verified)
	})
}

func TestAClientCAThatMustBeKnown(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	one := certificate(t, 1)
	f.put(t, "a", one)
	f.write(t, "ca", certPEM(one))
	c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")}, ClientCAs: []string{f.path("ca")}})
	require.NoError(t, err)
	config := c.TLS(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13})
	_, _, err = connect(config, &tls.Config{RootCAs: pool(one), ServerName: "localhost"})
	assert.ErrorContains(t, err, "certificate")
	assert.EqualValues(t, tls.VersionTLS13, config.MinVersion)
}

func TestCertificatesServeInOneRun(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	cert := certificate(t, 1)
	f.put(t, "a", cert)
	f.write(t, "ca", certPEM(cert))
	for _, authorities := range [][]string{nil, {f.path("ca")}} {
		c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")}, ClientCAs: authorities})
		require.NoError(t, err)
		l := listen(t)
		start(t, adapter.Server{Listener: l, TLS: c.TLS(nil), Handler: ok}, c)
		res, err := tlsClient(t, &tls.Config{RootCAs: pool(cert)}).Get("https://" + l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, "HTTP/2.0", res.Proto)
	}
}

func TestAReportThatPanicsEndsNoServer(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	f.put(t, "a", certificate(t, 1))
	synctest.Test(t, func(t *testing.T) {
		c, err := adapter.LoadCertificates(adapter.CertificatesSpec{Pairs: []adapter.CertificatePair{f.pair("a")},
			Report: func(error) { panic("bug") }})
		require.NoError(t, err)
		watch(t, c)
		f.write(t, "a.crt", []byte("half"))
		<-time.After(6 * time.Second)
		f.put(t, "a", certificate(t, 2))
		<-time.After(6 * time.Second)
		assert.EqualValues(t, 2, serial(t, c, ""))
	})
}
