package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

const expects = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

// refusing is an upstream that answers at once, reads no body, and keeps the connection.
func refusing(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err == nil {
					_, _ = io.WriteString(conn, answer)
				}
				_, _ = io.Copy(io.Discard, r)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// proves F13
func TestAClientWhoseBodyIsRefusedIsNotToldToSendIt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"without a body":  "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
		"with a body":     "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
		"chunked":         "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"after a 103":     "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
		"in two segments": "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nn",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := backend.NewDefaultTransport()
			switch tr := tr.(type) { // after that the body goes; a busy machine may take a second to refuse it
			case *h1.Transport:
				tr.ContinueTimeout = time.Minute
			case *http.Transport:
				tr.ExpectContinueTimeout = time.Minute
			}
			defer tr.CloseIdleConnections()
			up, err := backend.HTTP{Transport: tr}.New(backend.Spec{URL: refusing(t, answer), Headers: []string{"Expect"}, Decode: backend.Passthrough})
			require.NoError(t, err)
			idle := time.Duration(0)
			if name == "in two segments" { // and the second never comes
				idle = 50 * time.Millisecond
			}
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: up, IdleTimeout: idle}))
			for range 20 {
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				require.NoError(t, err)
				got, _ := readAll(t, conn, expects)
				if idle > 0 {
					assert.NotContains(t, got, "HTTP/1.1 100")
					continue
				}
				assert.True(t, strings.HasPrefix(got, "HTTP/1.1 401 Unauthorized\r\n"), got)
			}
		})
	}
}

// proves F13
func TestAClientWhoseBodyIsWantedIsToldToSendIt(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(upstream.Close)
	tr := backend.NewDefaultTransport()
	t.Cleanup(tr.CloseIdleConnections)
	up, err := backend.HTTP{Transport: tr}.New(backend.Spec{URL: upstream.URL, Headers: []string{"Expect"}, Decode: backend.Passthrough})
	require.NoError(t, err)
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: up}))
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, expects)
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, _ = r.ReadString('\n')
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
}

// Whoever still pulls, as a transport of HTTP/2 does after a second, waits for the header of the
// answer, after which net/http says no 100.
//
// proves F13
func TestNobodyPullsTheBodyBetweenTheAnswerAndItsHeader(t *testing.T) {
	for name, way := range map[string]func() (*proxy.Response, error){
		"a stream": func() (*proxy.Response, error) {
			r, w := io.Pipe()
			time.AfterFunc(2*time.Second, func() {
				_, _ = io.WriteString(w, "no")
				_ = w.Close()
			})
			return &proxy.Response{Status: 401, Body: r, Header: http.Header{"Content-Length": {"2"}}}, nil
		},
		"a document": func() (*proxy.Response, error) { return &proxy.Response{Status: 401, Document: documentOf(`{}`)}, nil },
		"an error":   func() (*proxy.Response, error) { return nil, &proxy.Error{Status: 401} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pulled := make(chan error, 1)
				dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					res, err := way()
					go func() {
						<-time.After(time.Second)
						_, err := req.Body.Read(make([]byte, 1))
						pulled <- err
					}()
					return res, err
				})}))
				c := dial()
				go fmt.Fprint(c, expects)
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				assert.Equal(t, 401, res.StatusCode)
				_, err = io.ReadAll(res.Body)
				require.NoError(t, err)
				assert.Error(t, <-pulled)
			})
		})
	}
}

// A body may go both ways at a time, also where the client has sent it unasked.
//
// proves F13
func TestABodyIsPulledAfterTheHeaderOfTheAnswer(t *testing.T) {
	for name, header := range map[string]http.Header{"chunked": nil, "with a length": {"Content-Length": {"5"}}} {
		for _, wrapped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, wrapped %v", name, wrapped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
						echo := req.Body
						if wrapped {
							echo = io.NopCloser(io.TeeReader(req.Body, io.Discard))
						}
						return &proxy.Response{Header: header.Clone(), Body: echo}, nil
					})}))
					c := dial()
					start := time.Now()
					go fmt.Fprint(c, expects, "hello")
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					require.NoError(t, err)
					assert.Equal(t, 200, res.StatusCode)
					b, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					assert.Equal(t, "hello", string(b))
					assert.Zero(t, time.Since(start))
				})
			})
		}
	}
}

// proves T3
func TestAnEchoOfASilentClientEndsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"Content-Length": {"5"}}, Body: req.Body}, nil
		}
		h := newHandler(t, endpoint.Spec{Stream: true, Proxy: echo, Timeout: time.Second, IdleTimeout: -1})
		c := serve(t, h)()
		start := time.Now()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		assert.Equal(t, 504, res.StatusCode)
		assert.Equal(t, time.Second, time.Since(start))
		_ = c.Close()
		synctest.Wait()
		assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
	})
}
