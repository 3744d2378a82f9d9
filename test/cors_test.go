package test_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/router"
)

// corsGateway is a gateway with CORS and RequestID around it, whose upstreams talk about CORS too.
func corsGateway(t *testing.T) *httptest.Server {
	t.Helper()
	theirs := func() http.Header {
		return http.Header{"Access-Control-Allow-Origin": {"*"}, "access-control-allow-credentials": {"true"}, "X-Request-Id": {"theirs"},
			"Vary": {"Accept"}}
	}
	answer := func(res func() *proxy.Response) proxy.Proxy {
		return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return res(), nil },
			pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})
	}
	fails := func(status int) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: status, Op: "test", Header: theirs()}
		}
	}
	route := func(pattern string, stream bool, p proxy.Proxy) router.Route {
		return router.Route{Method: "GET", Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p, Stream: stream, SendRequestID: true}}
	}
	cors, err := adapter.CORS(adapter.CORSSpec{Origins: []string{"https://app.example"}, Credentials: true})
	require.NoError(t, err)
	r := chi.NewRouter()
	r.Use(router.Named("request id", adapter.RequestID), router.Named("cors", cors))
	router.Problems(r)
	require.NoError(t, router.Mount(r,
		route("/200", false, answer(func() *proxy.Response {
			return &proxy.Response{Header: theirs(), Document: document.MustParse(`{}`)}
		})),
		route("/stream", true, answer(func() *proxy.Response { return &proxy.Response{Header: theirs(), Body: proxytest.NewBody("rows")} })),
		route("/101", true, answer(func() *proxy.Response {
			ours, other := net.Pipe()
			_ = other.Close()
			return &proxy.Response{Status: 101, Header: theirs(), Upgrade: ours}
		})),
		route("/panic", false, func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }),
		route("/401", false, fails(401)), route("/429", false, fails(429)), route("/503", false, fails(503)),
	))
	require.NoError(t, router.PlanOf(r).Before("request id", "cors"))
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return srv
}

// proves O1, H15
func TestCORSIsOnEveryAnswerAndTheHouses(t *testing.T) {
	t.Parallel()
	srv := corsGateway(t)
	for path, status := range map[string]int{"/200": 200, "/stream": 200, "/101": 101, "/panic": 500, "/401": 401, "/429": 429, "/503": 503,
		"/nowhere": 404} {
		for origin, admitted := range map[string]bool{"https://app.example": true, "https://evil.example": false} {
			res := askRaw(t, srv, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: thing\r\nX-Request-Id: a b\r\nOrigin: "+origin+"\r\n\r\n")
			assert.Equal(t, status, res.StatusCode, path)
			want := http.Header{}
			if admitted {
				want = http.Header{"Access-Control-Allow-Origin": {origin}, "Access-Control-Allow-Credentials": {"true"}}
			}
			got := http.Header{}
			for name, values := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					got[name] = values
				}
			}
			assert.Equal(t, want, got, "%s for %s", path, origin)
			assert.Contains(t, res.Header["Vary"], "Origin", path)
			if assert.Len(t, res.Header["X-Request-Id"], 1, path) {
				assert.Regexp(t, "^[0-9a-f]{32}$", res.Header.Get("X-Request-Id"), path)
			}
		}
	}
}

// proves O1
func TestAPreflightOfAnyPathIsAnswered(t *testing.T) {
	t.Parallel()
	srv := corsGateway(t)
	for _, path := range []string{"/200", "/401", "/nowhere", "/%2e%2e/x", "*"} {
		res := askRaw(t, srv, "OPTIONS "+path+" HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\r\n")
		if path == "*" {
			assert.Equal(t, http.StatusOK, res.StatusCode, "net/http answers it")
			continue
		}
		assert.Equal(t, http.StatusNoContent, res.StatusCode, path)
		assert.Equal(t, "https://app.example", res.Header.Get("Access-Control-Allow-Origin"), path)
	}
}

// askRaw sends a request on a connection of its own and returns the answer without its body.
func askRaw(t *testing.T, srv *httptest.Server, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return res
}
