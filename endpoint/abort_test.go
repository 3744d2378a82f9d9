package endpoint_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// readAll sends a request on a connection, and returns all that comes, and how the connection
// ended: nil is as if complete.
func readAll(t *testing.T, conn net.Conn, request string) (string, error) {
	t.Helper()
	defer conn.Close()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	b, err := io.ReadAll(conn)
	timeout, ok := errors.AsType[net.Error](err)
	require.False(t, ok && timeout.Timeout(), "the connection stays open")
	return string(b), err
}

// proves F3, F12
func TestABrokenStreamWithoutChunksResetsTheConnection(t *testing.T) {
	t.Parallel()
	broken := errors.New("reset")
	half := func(w http.ResponseWriter, _ *http.Request, _ error) {
		fmt.Fprint(w, "half an ")
		panic("bug")
	}
	tests := []struct {
		name    string
		request string
		spec    func(honoursContext bool) endpoint.Spec
		reset   bool
	}{
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", nil, true},
		{"HTTP/1.0 that keeps the connection", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", nil, true},
		{"HTTP/1.0, a problem of RenderError", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", func(bool) endpoint.Spec {
			return endpoint.Spec{Proxy: fails(broken), RenderError: half}
		}, true},
		{"HTTP/1.1, which has chunks", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", nil, false},
	}
	for _, tt := range tests {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				bothWays(t, func(t *testing.T, honoursContext bool) {
					spec := endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
						return &proxy.Response{Body: &breaking{Reader: strings.NewReader("rows"), err: broken}}
					}))}
					if tt.spec != nil {
						spec = tt.spec(honoursContext)
					}
					var got reports
					spec.Report = got.add
					srv := httptest.NewUnstartedServer(newHandler(t, spec))
					if secure {
						srv.StartTLS()
					} else {
						srv.Start()
					}
					t.Cleanup(srv.Close)
					conn, err := net.Dial("tcp", srv.Listener.Addr().String())
					require.NoError(t, err)
					if secure {
						conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
					}
					answer, err := readAll(t, conn, tt.request)
					if tt.reset {
						assert.Error(t, err, answer)
					} else {
						assert.NoError(t, err)
						assert.NotContains(t, answer, "\r\n0\r\n")
					}
					assert.NotEmpty(t, got.all())
				})
			})
		}
	}
}

// proves F12
func TestAMiddlewareThatTurnsChunksOffDoesNotMakeABrokenStreamComplete(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: streams(true, answers(func() *proxy.Response {
		return &proxy.Response{Body: &breaking{Reader: strings.NewReader("rows"), err: io.ErrUnexpectedEOF}}
	}))})
	srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "identity")
		h.ServeHTTP(w, r)
	}))
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	answer, err := readAll(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	assert.Error(t, err, answer)
}
