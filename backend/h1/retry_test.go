package h1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request on a used connection that breaks is sent again, if it can be replayed, once.
func TestWhatIsSentASecondTime(t *testing.T) {
	t.Parallel()
	text := func() io.Reader { return strings.NewReader("text") }
	tests := []struct {
		name, method string
		body         func() io.Reader
		header       http.Header
		second       string // what the first connection says to its second request before it closes
		again        bool
	}{
		{"GET", "GET", nil, nil, "", true},
		{"HEAD", "HEAD", nil, nil, "", true},
		{"GET with a body", "GET", text, nil, "", true},
		{"POST", "POST", text, nil, "", false},
		{"DELETE", "DELETE", nil, nil, "", false},
		{"POST with a key", "POST", text, http.Header{"Idempotency-Key": {"k"}}, "", true},
		{"POST with another key", "POST", text, http.Header{"X-Idempotency-Key": {"k"}}, "", true},
		{"a stream with a key", "POST", func() io.Reader { return stream{text()} }, http.Header{"Idempotency-Key": {"k"}}, "", false},
		{"something received", "GET", nil, nil, "HTTP/1.1 2", false},
		{"an informational answer received", "GET", nil, nil, "HTTP/1.1 103 Early Hints\r\n\r\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []string
				peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
					for i := 0; ; i++ {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						b, _ := io.ReadAll(req.Body)
						if n == 1 && i == 1 {
							_, _ = io.WriteString(c, tt.second)
							return
						}
						got = append(got, string(b))
						_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
					}
				}}
				transport := peer.transport()
				transport.MaxConns = 1
				first, err := get(t.Context(), transport, "GET")
				body(t, first, err)

				var reader io.Reader
				if tt.body != nil {
					reader = tt.body()
				}
				req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://host/", reader)
				require.NoError(t, err)
				if tt.header != nil {
					req.Header = tt.header
				}
				res, err := transport.RoundTrip(req)
				if tt.again {
					body(t, res, err)
					assert.EqualValues(t, 2, peer.dials.Load())
					if tt.body != nil {
						assert.Equal(t, []string{"", "text"}, got)
					}
				} else {
					assert.Error(t, err)
					assert.EqualValues(t, 1, peer.dials.Load())
				}
				transport.CloseIdleConnections()
			})
		})
	}
}

func TestAFreshConnectionThatBreaksIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := &peer{serve: onceThenClose("")}
		_, err := get(t.Context(), peer.transport(), "GET")
		assert.ErrorIs(t, err, io.EOF)
		assert.EqualValues(t, 1, peer.dials.Load())
	})
}

func TestTheSecondTryIsTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
			if n == 1 {
				onceThenClose(hello)(c, r, n)
			}
			_, _ = http.ReadRequest(r)
		}}
		transport := peer.transport()
		res, err := get(t.Context(), transport, "GET")
		body(t, res, err)
		_, err = get(t.Context(), transport, "GET")
		assert.ErrorIs(t, err, io.EOF)
		assert.EqualValues(t, 2, peer.dials.Load())
	})
}

func TestNoSecondTryWhenTheContextHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
			onceThenClose(hello)(c, r, n)
			_, _ = http.ReadRequest(r)
			cancel()
		}}
		transport := peer.transport()
		res, err := get(t.Context(), transport, "GET")
		body(t, res, err)
		_, err = get(ctx, transport, "GET")
		assert.ErrorIs(t, err, context.Canceled)
		assert.EqualValues(t, 1, peer.dials.Load())
	})
}

func TestABodyThatCannotBeOpenedAgainIsTheError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tests := []struct {
		name string
		open func() (io.ReadCloser, error)
		want string
	}{
		{"error", func() (io.ReadCloser, error) { return nil, broken }, "broken"},
		{"panic", func() (io.ReadCloser, error) { panic("bug") }, "bug"},
		{"nothing", func() (io.ReadCloser, error) { return nil, nil }, "GetBody returned no body"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
				onceThenClose(hello)(c, r, n)
				_, _ = http.ReadRequest(r)
			}}
			transport := peer.transport()
			transport.MaxConns = 1
			res, err := get(t.Context(), transport, "GET")
			body(t, res, err)
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/", strings.NewReader("x"))
			require.NoError(t, err)
			req.GetBody = tt.open
			_, err = transport.RoundTrip(req)
			assert.ErrorContains(t, err, tt.want)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			res, err = get(ctx, transport, "GET")
			body(t, res, err)
			transport.CloseIdleConnections()
		})
	}
}
