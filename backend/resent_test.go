package backend_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
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
