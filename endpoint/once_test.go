package endpoint_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// ways are how an answer can get to the client: its status, and a proxy that sends a header with
// it.
var ways = map[string]func(header func() http.Header) (status int, p proxy.Proxy){
	"a document": func(header func() http.Header) (int, proxy.Proxy) {
		return 200, answers(func() *proxy.Response { return &proxy.Response{Header: header(), Document: documentOf(`{}`)} })
	},
	"a stream": func(header func() http.Header) (int, proxy.Proxy) {
		return 200, streams(true, answers(func() *proxy.Response { return &proxy.Response{Header: header(), Body: newBody("rows")} }))
	},
	"a problem": func(header func() http.Header) (int, proxy.Proxy) {
		return 429, func(ctx, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 429, Header: header()}
		}
	},
	"a tunnel": func(header func() http.Header) (int, proxy.Proxy) {
		return 101, streams(true, answers(func() *proxy.Response {
			ours, theirs := net.Pipe()
			_ = theirs.Close()
			return &proxy.Response{Status: 101, Header: header(), Upgrade: ours}
		}))
	},
}

// proves H15
func TestAFieldThatAMiddlewareSetAndTheAnswerSendsComesOnce(t *testing.T) {
	t.Parallel()
	once := []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Location", "Retry-After", "X-Frame-Options",
		"Content-Security-Policy", "Strict-Transport-Security", "Age", "Expires", "X-Anything", "Date"}
	joined := []string{"Set-Cookie", "Vary", "Link", "Via", "WWW-Authenticate", "Server-Timing", "Cache-Status", "Allow"}
	ofBody := []string{"Content-Type", "Etag", "Last-Modified", "Cache-Control", "Content-Language"} // a problem and a document have their own
	for name, way := range ways {
		for _, spelled := range []func(string) string{http.CanonicalHeaderKey, strings.ToLower} {
			names := append(append([]string{}, once...), joined...)
			if name == "a stream" || name == "a tunnel" {
				names = append(names, ofBody...)
			}
			status, p := way(func() http.Header {
				h := http.Header{}
				for _, field := range names {
					h[spelled(field)] = []string{"theirs"}
				}
				return h
			})
			h := newHandler(t, endpoint.Spec{Stream: name == "a tunnel", Proxy: p})
			srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, field := range names {
					w.Header()[spelled(field)] = []string{"house"}
				}
				h.ServeHTTP(w, r)
			}))
			res := rawResponse(t, srv.Listener.Addr().String(), upgrade)
			assert.Equal(t, status, res.StatusCode, name)
			for _, field := range names {
				want := []string{"house"}
				for _, j := range joined {
					if field == j {
						want = []string{"house", "theirs"}
					}
				}
				assert.Equal(t, want, res.Header[http.CanonicalHeaderKey(field)], "%s: %s", name, field)
			}
		}
	}
}

// proves H15
func TestAFieldThatOnlyOneSideSendsIsAsItWas(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		_, p := way(func() http.Header { return http.Header{"X-Theirs": {"1", "2"}, "Via": {"1", "2"}, "X-Null": {"1"}} })
		h := newHandler(t, endpoint.Spec{Stream: name == "a tunnel", Proxy: p})
		srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["X-House"], w.Header()["X-Null"] = []string{"3", "4"}, nil
			h.ServeHTTP(w, r)
		}))
		res := rawResponse(t, srv.Listener.Addr().String(), upgrade)
		assert.Equal(t, []string{"1", "2"}, res.Header["X-Theirs"], name)
		assert.Equal(t, []string{"1", "2"}, res.Header["Via"], name)
		assert.Equal(t, []string{"3", "4"}, res.Header["X-House"], name)
		assert.Equal(t, []string{"1"}, res.Header["X-Null"], "%s: no value is none", name)
	}
}

// The length is that of the bytes that are sent, whatever a middleware thinks.
//
// proves H15, F3
func TestTheLengthIsNeverAMiddlewares(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{{"Content-Length": {"4"}}, nil} {
		for _, of := range []*proxy.Response{{Body: newBody("rows"), Header: header}, {Document: documentOf(`"rows"`)}} {
			h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response { return of })})
			srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Length"], w.Header()["content-length"] = []string{"2"}, []string{"3"}
				h.ServeHTTP(w, r)
			}))
			_, body := get(t, srv, "/")
			assert.Equal(t, "rows", strings.Trim(body, `"`))
		}
	}
}

// rawResponse sends a request on a connection of its own and returns the answer, with its body read
// if it has one.
func rawResponse(t *testing.T, addr, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	if res.StatusCode != http.StatusSwitchingProtocols {
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
	}
	return res
}
