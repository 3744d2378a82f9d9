package backend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/proxy"
)

// net/http sends a request with an Idempotency-Key again if its connection breaks, on a new one. If
// that cannot be dialled, the request was sent all the same.
func TestARequestThatWasSentIsNotOneThatCouldNotBeDialled(t *testing.T) {
	t.Parallel()
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		for _, key := range []string{"", `"k"`} {
			var received, dials atomic.Int64
			transport := dialing(func(context.Context, string, string) (net.Conn, error) {
				if dials.Add(1) > 1 {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
				}
				client, server := net.Pipe()
				go func() {
					defer server.Close()
					r := bufio.NewReader(server)
					for received.Load() < 2 {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						_, _ = io.Copy(io.Discard, req.Body)
						if received.Add(1) == 1 {
							_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
						}
					}
				}()
				return settled{client}, nil
			})
			p, err := backend.HTTP{Transport: transport}.New(backend.Spec{Name: "orders", Method: "POST", URL: "http://orders/", Decode: decode,
				Headers: []string{"Idempotency-Key"}})
			require.NoError(t, err)
			post := func() error {
				req := proxy.NewRequest("POST", "/")
				req.SetBody("application/json", []byte("{}"))
				if key != "" {
					req.Header.Set("Idempotency-Key", key)
				}
				res, err := p(t.Context(), req)
				if err == nil && res.Body != nil {
					_, err = io.ReadAll(res.Body)
				}
				return errors.Join(err, res.Close())
			}
			require.NoError(t, post())
			err = post()
			var e *proxy.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "send", e.Op)
			assert.EqualValues(t, 2, received.Load())

			err = post() // there is no connection any more
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "dial", e.Op)
			transport.CloseIdleConnections()
		}
	}
}

// What breaks TLS behind a request is no failure to reach the upstream.
func TestARecordThatIsNoTLSBehindARequestIsNotAFailureToDial(t *testing.T) {
	t.Parallel()
	served := httptest.NewUnstartedServer(nil)
	served.StartTLS()
	t.Cleanup(served.Close)
	for _, record := range []string{"\x17\x09\x09\x00\x01x", "\x17\x03\x03\xff\xffx", "\x80\x03\x03\x00\x01x", "HTTP/1.1 400 Bad Request\r\n\r\n"} {
		for name, transport := range map[string]backend.Transport{"net/http": backend.NewTransport(), "h1": &h1.Transport{}} {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var upstream sync.WaitGroup
			upstream.Go(func() {
				raw, err := listener.Accept()
				if err != nil {
					return
				}
				defer raw.Close()
				c := tls.Server(raw, served.TLS)
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(raw, record)
				_, _ = io.Copy(io.Discard, raw)
			})
			config := &tls.Config{InsecureSkipVerify: true}
			switch transport := transport.(type) {
			case *http.Transport:
				transport.TLSClientConfig = config
			case *h1.Transport:
				transport.TLS = config
			}
			p, err := backend.HTTP{Transport: transport}.New(backend.Spec{Name: "orders", Method: "POST", URL: "https://" + listener.Addr().String()})
			require.NoError(t, err)
			req := proxy.NewRequest("POST", "/")
			req.SetBody("application/json", []byte("{}"))
			_, err = p(t.Context(), req)
			var e *proxy.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "send", e.Op, "%s: %v", name, err)
			transport.CloseIdleConnections()
			assert.NoError(t, listener.Close())
			upstream.Wait()
		}
	}
}
