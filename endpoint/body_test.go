package endpoint_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// proves F7, L9, D7
func TestABodyAboveTheLimitIsRefusedBeforeThePipe(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	tests := []struct {
		name     string
		max      int64
		size     int
		announce bool
		status   int
	}{
		{"default, below", 0, mib - 1, true, 200},
		{"default, at the limit", 0, mib, true, 200},
		{"default, above", 0, mib + 1, true, 413},
		{"default, below, chunked", 0, mib - 1, false, 200},
		{"default, at the limit, chunked", 0, mib, false, 200},
		{"default, above, chunked", 0, mib + 1, false, 413},
		{"its own, at the limit", 10, 10, false, 200},
		{"its own, above", 10, 11, false, 413},
		{"its own, above, announced", 10, 11, true, 413},
		{"none", -1, 3 * mib, false, 200},
		{"empty, chunked", 0, 0, false, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call, MaxBody: tt.max}))
			var body io.Reader = strings.NewReader(strings.Repeat("x", tt.size))
			if !tt.announce {
				body = struct{ io.Reader }{body}
			}
			res, err := srv.Client().Post(srv.URL, "text/plain", body)
			require.NoError(t, err)
			defer res.Body.Close()
			assert.Equal(t, tt.status, res.StatusCode)
			if tt.status != 200 {
				assert.Zero(t, s.calls())
				return
			}
			assert.Len(t, s.body, tt.size)
			assert.EqualValues(t, tt.size, s.last.ContentLength)
			assert.True(t, s.last.Replayable())
			if tt.size > 0 {
				again, err := s.last.GetBody()
				require.NoError(t, err)
				b, err := io.ReadAll(again)
				require.NoError(t, err)
				assert.True(t, string(b) == s.body)
			}
		})
	}
}

// rawExchange sends bytes to a server on loopback, closes its half if told, and returns all that
// comes back until the server closes.
func rawExchange(t *testing.T, srv *httptest.Server, request string, half bool) string {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	if half {
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second))) // a connection that stays open fails the test
	b, err := io.ReadAll(c)
	require.NoError(t, err, string(b))
	return string(b)
}

// proves F7, M24
func TestABodyThatBreaksIsABadRequest(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, request string }{
		{"cut", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"},
		{"cut, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET /smug HTTP/1.1\r\nHost: a\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call}))
			answer := rawExchange(t, srv, tt.request, true)
			assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 400 Bad Request\r\n"), answer)
			assert.Contains(t, answer, "application/problem+json")
			assert.Equal(t, 1, strings.Count(answer, "HTTP/1.1"), "what follows is no request")
			assert.Zero(t, s.calls())
		})
	}
}

// proves M24, F2
func TestABodyThatIsNotWantedDoesNotBecomeARequest(t *testing.T) {
	t.Parallel()
	var s seen
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call, MaxBody: 10}))
	smuggled := "GET /smug HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, path := range []string{"/", "/.."} { // too large, and refused before the body is looked at
		answer := rawExchange(t, srv, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(smuggled), smuggled), false)
		assert.Equal(t, 1, strings.Count(answer, "HTTP/1.1 4"), answer)
		assert.NotContains(t, answer, "HTTP/1.1 200")
	}
	assert.Zero(t, s.calls())
}

// proves M24, T1, O19, D11
func TestASlowBodyEndsAtItsOwnTime(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration
		after   time.Duration
		status  int
	}{
		{"default, below", 0, endpoint.DefaultReadTimeout - 1, 200},
		{"default, above", 0, endpoint.DefaultReadTimeout + 1, 504},
		{"its own, above", time.Second, time.Second + 1, 504},
		{"none", -1, time.Hour, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left time.Duration
				var got reports
				dial := serve(t, newHandler(t, endpoint.Spec{ReadTimeout: tt.timeout, Report: got.add, Proxy: func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
					deadline, _ := ctx.Deadline()
					left = time.Until(deadline)
					return &proxy.Response{}, nil
				}}))
				c := dial()
				start := time.Now()
				go func() {
					fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
					<-time.After(tt.after)
					fmt.Fprint(c, "b")
				}()
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				assert.Equal(t, tt.status, res.StatusCode)
				if tt.status == 200 {
					assert.Equal(t, tt.after, time.Since(start))
					assert.Equal(t, endpoint.DefaultTimeout, left, "the body does not eat the time of the pipe")
				} else {
					assert.Equal(t, tt.after-1, time.Since(start))
					assert.True(t, res.Close)
					require.Len(t, got.all(), 1)
					assert.EqualError(t, got.all()[0], fmt.Sprintf("body: the request body did not arrive within ReadTimeout (%v): read pipe: i/o timeout",
						tt.after-1))
					assert.ErrorIs(t, got.all()[0], os.ErrDeadlineExceeded)
				}
				_ = c.Close()
				<-time.After(time.Hour) // the client's goroutine
			})
		})
	}
}

func TestExpectContinueIsMet(t *testing.T) {
	t.Parallel()
	var s seen
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call, MaxBody: 10}))
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, _ = r.ReadString('\n')
	fmt.Fprint(c, "hello")
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, "hello", s.body)
	assert.NotContains(t, s.last.Header, "Expect")

	answer := rawExchange(t, srv, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n", false)
	assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 413"), answer)
}

func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`)})
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("x"))
		r.ContentLength = 1 << 20
		return r
	}
	record(h, request())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	record(h, request())
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), "a client that announces 1 MiB and sends a byte")
}

// uploads is a Stream pipe.
func uploads(call proxy.Proxy) proxy.Proxy {
	return pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})
}

// proves F9, M24, F2
func TestAStreamedBodyIsHandedOnAsItComes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		status        int
		body          string
		kept          bool
	}{
		{"with a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"chunked with a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\nX-Late: 1\r\n\r\n", 200, "hello", true},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\nGET /smug HTTP/1.1\r\nHost: a\r\n\r\n", 400, "", false},
		{"not read", "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nGET /smug HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", false},
		{"not read, chunked", "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET /smug HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", false},
		{"too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n", 413, "", false},
		{"too large, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + strings.Repeat("x", 101) + "\r\n0\r\n\r\n", 413, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var kept *proxy.Request
			var trailer http.Header
			var paths []string
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, MaxBody: 100, Proxy: uploads(func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
				paths = append(paths, req.Path)
				kept = req
				if req.Path == "/unread" {
					return &proxy.Response{}, nil
				}
				if req.Body == nil {
					return &proxy.Response{}, nil
				}
				assert.False(t, req.Replayable())
				assert.Nil(t, req.Trailer())
				b, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				trailer = req.Trailer()
				return &proxy.Response{Body: io.NopCloser(bytes.NewReader(b)), Header: http.Header{"Content-Length": {fmt.Sprint(len(b))}}}, nil
			})}))
			answer := rawExchange(t, srv, tt.request+"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
			assert.True(t, strings.HasPrefix(answer, fmt.Sprint("HTTP/1.1 ", tt.status)), answer)
			assert.Contains(t, answer, tt.body)
			assert.NotContains(t, paths, "/smug")
			if tt.kept {
				assert.Contains(t, paths, "/end")
			} else {
				assert.NotContains(t, paths, "/end")
				assert.Contains(t, answer, "Connection: close")
			}
			if strings.Contains(tt.request, "X-Sum") {
				assert.Equal(t, http.Header{"X-Sum": {"9"}, "X-Late": {"1"}}, trailer)
			}
			if kept != nil && kept.Body != nil {
				n, err := kept.Body.Read(make([]byte, 1))
				assert.Zero(t, n)
				assert.Error(t, err, "nobody reads when the handler has returned")
			}
		})
	}
}

// proves F9
func TestAReadThatWaitsForTheClientEndsWithTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: uploads(func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			go func() {
				_, err := io.ReadAll(req.Body)
				ended <- err
			}()
			synctest.Wait()
			return &proxy.Response{Document: documentOf(`{}`)}, nil
		})}))
		c := dial()
		start := time.Now()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Contains(t, string(b), "HTTP/1.1 200 OK")
		assert.Contains(t, string(b), "Connection: close")
		err = <-ended
		assert.Error(t, err)
		assert.NotContains(t, err.Error(), "IdleTimeout", "the handler ended it")
		assert.LessOrEqual(t, time.Since(start), time.Second)
	})
}

// proves F2, T1
func TestAnUploadThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: uploads(jsonOf(`{}`))}))
		c := dial()
		start := time.Now()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Contains(t, string(b), "HTTP/1.1 200 OK")
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
	})
}

// proves T1
func TestASilentUploadEndsAtTheIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got reports
		dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Timeout: -1, Report: got.add, Proxy: uploads(func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			_, err := io.ReadAll(req.Body)
			return nil, err
		})}))
		c := dial()
		start := time.Now()
		go func() {
			fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
			<-time.After(endpoint.DefaultIdleTimeout - 1)
			fmt.Fprint(c, "def")
		}()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
		assert.Equal(t, 2*endpoint.DefaultIdleTimeout-1+time.Second, time.Since(start), "a deadline is up to a second late")
		require.Len(t, got.all(), 1)
		assert.ErrorContains(t, got.all()[0], "body: the request body was silent for IdleTimeout (1m0s): read pipe: i/o timeout")
		assert.ErrorIs(t, got.all()[0], os.ErrDeadlineExceeded)
	})
}
