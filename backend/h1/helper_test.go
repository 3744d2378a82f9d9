package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// newTransport returns a transport whose idle connections are closed at the end of the test.
func newTransport(t testing.TB) *h1.Transport {
	transport := &h1.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// newServer returns the URL of a server.
func newServer(t testing.TB, handler http.HandlerFunc) string {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// A stream hides what it reads from a transport that looks for bodies in memory.
type stream struct{ io.Reader }

// A peer is an upstream in memory. serve gets each connection that a transport makes, and its number,
// beginning with 1.
type peer struct {
	serve func(c net.Conn, r *bufio.Reader, n int)
	dials atomic.Int64
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	n, serve := int(p.dials.Add(1)), p.serve
	go func() {
		defer server.Close()
		serve(server, bufio.NewReader(server), n)
	}()
	return settled{client}, nil
}

// A settled connection never has anything to read that nobody has asked for.
type settled struct{ net.Conn }

func (settled) Quiet() bool { return true }

// transport returns a transport to the peer. Call it inside of a bubble.
func (p *peer) transport() *h1.Transport { return &h1.Transport{Dial: p.dial} }

// answers returns a peer that reads requests, and answers each with the bytes of answer.
func answers(answer string) *peer {
	return &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}}
}

// get calls http://host/ with a method.
func get(ctx context.Context, transport *h1.Transport, method string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://host/", nil)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req)
}

// body reads the body of an answer, and closes it.
func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	assert.NoError(t, res.Body.Close())
	return string(b)
}

// onceThenClose serves a connection with one answer.
func onceThenClose(answer string) func(net.Conn, *bufio.Reader, int) {
	return func(c net.Conn, r *bufio.Reader, _ int) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, answer)
		}
	}
}
