package adapter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection of each kind is counted once, and forgotten, however it ends.
func TestConnectionsAreCountedUntilTheyEnd(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secure := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	for name, config := range map[string]*tls.Config{"TLS": secure, "no TLS": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var protocols http.Protocols
			protocols.SetHTTP1(true)
			protocols.SetHTTP2(true)
			protocols.SetUnencryptedHTTP2(config == nil)
			srv := &http.Server{TLSConfig: config, Protocols: &protocols, ErrorLog: log.New(io.Discard, "", 0),
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/" {
						return
					}
					conn, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						_ = conn.Close()
					}
					if r.URL.Path == "/panic" {
						panic(errors.New("after Hijack"))
					}
				})}
			var c conns
			c.track(srv)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan struct{})
			go func() {
				defer close(served)
				if config != nil {
					_ = srv.ServeTLS(l, "", "")
					return
				}
				_ = srv.Serve(l)
			}()
			scheme := "http"
			if config != nil {
				scheme = "https"
			}
			request := func(path string, two bool) {
				var p http.Protocols
				p.SetHTTP1(!two)
				p.SetHTTP2(two)
				p.SetUnencryptedHTTP2(two)
				tr := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
				defer tr.CloseIdleConnections()
				for range 2 {
					if res, err := (&http.Client{Transport: tr}).Get(scheme + "://" + l.Addr().String() + path); err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
				}
			}
			says := func(text string) {
				conn, err := net.Dial("tcp", l.Addr().String())
				if assert.NoError(t, err) {
					_, _ = io.WriteString(conn, text)
					_ = conn.Close()
				}
			}
			var clients sync.WaitGroup
			for range 10 {
				for _, path := range []string{"/", "/hijack", "/panic"} {
					clients.Go(func() { request(path, false) })
					clients.Go(func() { request(path, true) })
				}
				for _, text := range []string{"", "G", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x00\x05", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"} {
					clients.Go(func() { says(text) })
				}
			}
			clients.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			assert.NoError(t, srv.Shutdown(ctx)) // so that nothing more is accepted
			<-served
			c.open.wait(ctx)
			assert.Zero(t, c.open.count())
			assert.Zero(t, c.n.Load())
			c.states.Range(func(conn, state any) bool {
				t.Errorf("a connection is still known: %v", state)
				return true
			})
		})
	}
}
