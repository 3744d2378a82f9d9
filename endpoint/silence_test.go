package endpoint_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// inEachProtocol runs a test with a client and a server in memory, in fake time, over HTTP/1.1 and
// over HTTP/2.
func inEachProtocol(t *testing.T, h http.Handler, test func(t *testing.T, c *http.Client)) {
	t.Helper()
	for name, protocols := range map[string]*http.Protocols{"HTTP/1.1": nil, "HTTP/2": h2c()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newPipeListener()
				srv := &http.Server{Protocols: protocols, Handler: h}
				go srv.Serve(l)
				defer srv.Close()
				tr := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial() }}
				defer tr.CloseIdleConnections()
				test(t, &http.Client{Transport: tr})
			})
		})
	}
}

// A paced body comes in pieces, each after a pause, and ends after another one.
type paced struct {
	pause  time.Duration
	pieces []string
}

func (p *paced) Read(b []byte) (int, error) {
	if <-time.After(p.pause); len(p.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.pieces[0])
	p.pieces = p.pieces[1:]
	return n, nil
}

func (p *paced) Close() error { return nil }

// proves M29
func TestAStreamMayBeSilentForLongerThanAWriteMayTake(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Stream: true, WriteTimeout: 10 * time.Second, Proxy: streams(true, answers(func() *proxy.Response {
		return &proxy.Response{Body: &paced{50 * time.Second, []string{"a", "b"}}, Trailer: func() http.Header {
			return http.Header{"X-Sum": {"2"}}
		}}
	}))})
	inEachProtocol(t, h, func(t *testing.T, c *http.Client) {
		res, err := c.Get("http://a/")
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, "ab", string(b))
		assert.Equal(t, "2", res.Trailer.Get("X-Sum"))
	})
}

// proves M29
func TestAfterAnInformationalAnswerThePipeHasItsTime(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Stream: true, WriteTimeout: 10 * time.Second, Timeout: -1,
		Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			req.Inform(http.StatusEarlyHints, nil)
			<-time.After(time.Minute)
			return &proxy.Response{Document: documentOf(`{}`)}, nil
		})})
	inEachProtocol(t, h, func(t *testing.T, c *http.Client) {
		res, err := c.Get("http://a/")
		require.NoError(t, err)
		defer res.Body.Close()
		assert.Equal(t, http.StatusOK, res.StatusCode)
	})
}

func TestAnUploadThatNobodyReadsIsNotSilent(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Stream: true, IdleTimeout: 10 * time.Second, Timeout: -1,
		Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			if _, err := io.ReadFull(req.Body, make([]byte, 4)); err != nil {
				return nil, err
			}
			<-time.After(20 * time.Second) // while the client sends
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			return &proxy.Response{Body: io.NopCloser(&paced{0, []string{string(b)}})}, nil
		})})
	inEachProtocol(t, h, func(t *testing.T, c *http.Client) {
		res, err := c.Post("http://a/", "text/plain", &paced{8 * time.Second, []string{"ping", "p", "o", "n", "g"}})
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Equal(t, "pong", string(b))
	})
}
