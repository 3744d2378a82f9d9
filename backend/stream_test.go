package backend_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

// newStream returns a passthrough to a loopback address.
func newStream(t testing.TB, url string) proxy.Proxy {
	t.Helper()
	return newBackend(t, newTransport(t), backend.Spec{URL: url, Headers: []string{"*"}, Decode: backend.Passthrough})
}

// proves M13, M15, M16, F5
func TestTheStatusOfAStream(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 205, 206, 301, 304, 404, 407, 500, 503, 600, 999} {
		up := &answers{status: status, body: "body", header: http.Header{"Content-Length": {"4"}}}
		res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
		require.NoError(t, err, status)
		assert.Equal(t, status, res.Status)
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		switch status {
		case 204, 205:
			assert.Empty(t, b)
			assert.NotContains(t, res.Header, "Content-Length")
		case 304:
			assert.Empty(t, b)
		default:
			assert.Equal(t, "body", string(b))
		}
		assert.True(t, res.Document.IsZero())
		require.NoError(t, res.Close())
		require.NoError(t, res.Close())
		assert.EqualValues(t, 1, up.body0.closes.Load())
	}
	for _, status := range []int{-1, 1, 99, 100, 101, 102, 199, 1000} {
		up := &answers{status: status}
		res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
		assert.Nil(t, res)
		assert.Equal(t, 502, proxy.StatusOf(err), status)
		assert.EqualValues(t, 1, up.body0.closes.Load())
	}
}

// proves F5
func TestAHeadOfAStreamHasNoBody(t *testing.T) {
	t.Parallel()
	up := &answers{body: "body", header: http.Header{"Content-Length": {"4"}}}
	res, err := newBackend(t, up, backend.Spec{Decode: backend.Passthrough})(t.Context(), proxy.NewRequest("HEAD", "/"))
	require.NoError(t, err)
	defer res.Close()
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	assert.Empty(t, b)
	assert.Equal(t, "4", res.Header.Get("Content-Length"), "what a GET would have")
	assert.EqualValues(t, 1, up.body0.closes.Load())
}

// proves F5
func TestAGetThatAsksWithHeadAnnouncesNoBody(t *testing.T) {
	t.Parallel()
	up := &answers{header: http.Header{"Content-Length": {"4"}, "X-A": {"1"}}}
	for method, want := range map[string]http.Header{
		"GET": {"X-A": {"1"}}, "": {"X-A": {"1"}}, "POST": {"X-A": {"1"}}, "HEAD": {"X-A": {"1"}, "Content-Length": {"4"}},
	} {
		p := newBackend(t, up, backend.Spec{Method: "HEAD", Decode: backend.Passthrough})
		res, err := p(t.Context(), proxy.NewRequest(method, "/"))
		require.NoError(t, err)
		assert.Equal(t, "HEAD", up.last.Method)
		assert.Equal(t, want, res.Header, method)
		require.NoError(t, res.Close())
	}
}

// proves F3
func TestAStreamThatBreaksIsAnErrorOfItsBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body io.Reader
		want error
	}{
		{"ends early", strings.NewReader("hell"), io.ErrUnexpectedEOF},
		{"ends early with its last bytes", iotest.DataErrReader(strings.NewReader("hell")), io.ErrUnexpectedEOF},
		{"resets", io.MultiReader(strings.NewReader("he"), iotest.ErrReader(net.ErrClosed)), net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &countedBody{r: tt.body}
			rt := trip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b, ContentLength: 5}, nil
			})
			res, err := get(t, newBackend(t, rt, backend.Spec{Decode: backend.Passthrough}))
			require.NoError(t, err)
			_, err = io.ReadAll(res.Body)
			assert.ErrorIs(t, err, tt.want)
			e, ok := errors.AsType[*proxy.Error](err)
			require.True(t, ok)
			assert.Equal(t, "read", e.Op)
			assert.Equal(t, 502, proxy.StatusOf(err))
			require.NoError(t, res.Close())
			assert.EqualValues(t, 1, b.closes.Load())
		})
	}
}

// proves F4
func TestTheSurplusOfAStreamIsDropped(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 5, 512} {
		rt := trip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("hello, and more")), ContentLength: 5}, nil
		})
		res, err := get(t, newBackend(t, rt, backend.Spec{Decode: backend.Passthrough}))
		require.NoError(t, err)
		var got []byte
		p := make([]byte, size)
		for {
			n, err := res.Body.Read(p)
			got = append(got, p[:n]...)
			if err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		assert.Equal(t, "hello", string(got))
		require.NoError(t, res.Close())
	}
}

func TestAStreamArrivesAsItComes(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprint(w, i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))
	t.Cleanup(upstream.Close)
	res, err := get(t, newStream(t, upstream.URL))
	require.NoError(t, err)
	defer res.Close()
	for i := range 3 {
		p := make([]byte, 10)
		n, err := res.Body.Read(p)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(i), string(p[:n]))
		next <- struct{}{}
	}
	_, err = res.Body.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
}

// proves H11
func TestTrailersOfAStream(t *testing.T) {
	t.Parallel()
	up := newText(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\n"+
		"X-Sum: 1\r\nX-More: 2\r\nConnection: x\r\nSet-Cookie: a=1\r\nSet_Cookie: a=2\r\nContent.Length: 5\r\n\r\n")
	res, err := get(t, newStream(t, up.URL))
	require.NoError(t, err)
	defer res.Close()
	assert.NotContains(t, res.Header, "Trailer")
	require.NotNil(t, res.Trailer)
	assert.Equal(t, http.Header{"X-Sum": nil}, res.Trailer(), "before the end: what was announced")
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-Sum": {"1"}, "X-More": {"2"}}, res.Trailer())

	decoded := newText(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n")
	res, err = get(t, newBackend(t, newTransport(t), backend.Spec{URL: decoded.URL, Expose: []string{"X-Sum"}}))
	require.NoError(t, err)
	assert.Nil(t, res.Trailer)
	assert.Empty(t, res.Header)

	plain := newText(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	res, err = get(t, newStream(t, plain.URL))
	require.NoError(t, err)
	assert.Nil(t, res.Trailer)
	require.NoError(t, res.Close())
}

// proves H11, H6
func TestTheClientsTrailersGoWithAStream(t *testing.T) {
	t.Parallel()
	up := newText(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	p := newStream(t, up.URL)
	read := false
	req := proxy.NewRequest("POST", "/")
	req.Body = io.NopCloser(readerFunc(func(b []byte) (int, error) {
		if read {
			return 0, io.EOF
		}
		read = true
		return copy(b, "hello"), nil
	}))
	req.ContentLength = -1
	req.Upstream.Set("X-Tenant", "acme")
	req.Trailer = func() http.Header {
		if !read {
			return nil
		}
		return http.Header{"X-Sum": {"1", "a\x00"}, "X-Tenant": {"evil"}, "X_tenant": {"evil"}, "Content-Length": {"5"}, "Transfer-Encoding": {"x"}, "Authorization": {"x"},
			"X.Tenant": {"evil"}, "Content_length": {"5"}, "Www_authenticate": {"x"}}
	}
	res, err := p(t.Context(), req)
	require.NoError(t, err)
	require.NoError(t, res.Close())
	_, chunks, _ := strings.Cut(up.requests()[0], "\r\n\r\n")
	assert.Equal(t, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", chunks)
}

// An informed collects informational answers.
type informed struct {
	mu  sync.Mutex
	got []string
}

func (i *informed) inform(status int, h http.Header) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, fmt.Sprint(status, " ", h))
}

const last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// proves H12, M12, L31
func TestInformationalAnswers(t *testing.T) {
	t.Parallel()
	const hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
	tests := []struct {
		name, text string
		status     int
		informed   []string
	}{
		{"103", hint + last, 200, []string{"103 map[Link:[</a>]]"}},
		{"several", hint + "HTTP/1.1 102 Processing\r\n\r\n" + hint + last, 200,
			[]string{"103 map[Link:[</a>]]", "102 map[]", "103 map[Link:[</a>]]"}},
		{"1,000 times 100", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + last, 200, nil},
		{"malformed", "HTTP/1.1 1x3 Early\r\n\r\n" + last, 502, nil},
		{"with a bad header", "HTTP/1.1 103 Early Hints\r\nLink\x00: a\r\n\r\n" + last, 502, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newText(t, tt.text)
			var got informed
			for _, p := range []proxy.Proxy{newStream(t, up.URL), newBackend(t, newTransport(t), backend.Spec{URL: up.URL})} {
				req := proxy.NewRequest("GET", "/")
				req.Inform = got.inform
				res, err := p(t.Context(), req)
				assert.Equal(t, tt.status, max(proxy.StatusOf(err), 200))
				if err == nil {
					assert.NotContains(t, res.Header, "Link")
				}
				require.NoError(t, res.Close())
			}
			assert.Equal(t, tt.informed, got.got, "by the stream, and not by the document")
		})
	}
}

// proves H12, M12
func TestInformationalAnswersWithoutEndFail(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"} {
		up := newRaw(t, func(c *net.TCPConn, _ *http.Request) bool {
			for {
				if _, err := io.WriteString(c, strings.Repeat(line, 100)); err != nil {
					return false
				}
			}
		})
		for _, p := range []proxy.Proxy{newStream(t, up.URL), newBackend(t, newTransport(t), backend.Spec{URL: up.URL})} {
			n := 0
			req := proxy.NewRequest("GET", "/")
			req.Inform = func(int, http.Header) { n++ }
			_, err := p(t.Context(), req)
			assert.Equal(t, 502, proxy.StatusOf(err))
			assert.LessOrEqual(t, n, 2000)
		}
	}
}

// proves T4
func TestAPanicOfInformFailsTheCallAlone(t *testing.T) {
	t.Parallel()
	up := newText(t, "HTTP/1.1 103 Early Hints\r\n\r\n"+last)
	req := proxy.NewRequest("GET", "/")
	req.Inform = func(int, http.Header) { panic("bug") }
	_, err := newStream(t, up.URL)(t.Context(), req)
	assert.Equal(t, 500, proxy.StatusOf(err))
}

// proves H13, M12, L30
func TestAnUpgrade(t *testing.T) {
	t.Parallel()
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-Websocket-Accept: x\r\n\r\n"
	tests := []struct {
		name, asked, answered string
		decode                backend.Decoder
		want                  int
	}{
		{"asked for", "websocket", "websocket", backend.Passthrough, 101},
		{"in another case", "websocket", "WebSocket", backend.Passthrough, 101},
		{"with a version", "irc/2", "irc/2", backend.Passthrough, 101},
		{"not asked for", "", "websocket", backend.Passthrough, 502},
		{"another protocol", "websocket", "h2c", backend.Passthrough, 502},
		{"two protocols", "websocket", "websocket, h2c", backend.Passthrough, 502},
		{"letters that only look alike", "websocKet", "websoc\u212aet", backend.Passthrough, 502},
		{"h2c", "h2c", "h2c", backend.Passthrough, 502},
		{"no token", "a b", "a b", backend.Passthrough, 502},
		{"of a document", "websocket", "websocket", nil, 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newRaw(t, func(c *net.TCPConn, _ *http.Request) bool {
				fmt.Fprintf(c, switched, tt.answered)
				line, err := bufio.NewReader(c).ReadString('\n')
				if err == nil {
					fmt.Fprint(c, "you said "+line)
				}
				return false
			})
			p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Headers: []string{"*"}, Decode: tt.decode})
			req := proxy.NewRequest("GET", "/")
			req.Upgrade = tt.asked
			res, err := p(t.Context(), req)
			head := up.requests()[0]
			asks := tt.decode != nil && tt.asked != "" && tt.asked != "h2c" && tt.asked != "a b"
			assert.Equal(t, asks, strings.Contains(head, "\r\nConnection: Upgrade\r\n"), head)
			assert.Equal(t, asks, strings.Contains(head, "\r\nUpgrade: "+tt.asked+"\r\n"), head)
			if tt.want != 101 {
				assert.Nil(t, res)
				assert.Equal(t, tt.want, proxy.StatusOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, 101, res.Status)
			assert.Equal(t, http.Header{"Sec-Websocket-Accept": {"x"}}, res.Header)
			assert.Nil(t, res.Body)
			require.NotNil(t, res.Upgrade)
			_, err = io.WriteString(res.Upgrade, "hello\n")
			require.NoError(t, err)
			w, ok := res.Upgrade.(interface{ CloseWrite() error })
			require.True(t, ok)
			require.NoError(t, w.CloseWrite())
			b, err := io.ReadAll(res.Upgrade)
			require.NoError(t, err)
			assert.Equal(t, "you said hello\n", string(b))
			require.NoError(t, res.Close())
		})
	}
}

// proves H13
func TestAnUpgradeThatIsRefusedTunnelsNothing(t *testing.T) {
	t.Parallel()
	up := newText(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno")
	req := proxy.NewRequest("GET", "/")
	req.Upgrade = "websocket"
	res, err := newStream(t, up.URL)(t.Context(), req)
	require.NoError(t, err)
	assert.Nil(t, res.Upgrade)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "no", string(b))
	require.NoError(t, res.Close())
	assert.Len(t, up.requests(), 1)
}

// proves M24
func TestABodyThatTheClientCutsFailsWithItsReason(t *testing.T) {
	t.Parallel()
	cut := &proxy.Error{Status: 400, Err: io.ErrUnexpectedEOF}
	up := newText(t, last)
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Decode: decode})
		req := proxy.NewRequest("POST", "/")
		req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("he"), iotest.ErrReader(cut))), 5
		_, err := p(t.Context(), req)
		assert.ErrorIs(t, err, cut)
		assert.Equal(t, 400, proxy.StatusOf(err))
	}
	assert.Empty(t, up.requests(), "the upstream never saw a whole request")
}

// proves M24
func TestTheReasonOfACutBodyIsKeptWhateverTheTransportSays(t *testing.T) {
	t.Parallel()
	cut := &proxy.Error{Status: 413, Err: errors.New("too large")}
	rt := trip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.ReadAll(r.Body)
		return nil, errors.New("stream error")
	})
	req := proxy.NewRequest("POST", "/")
	req.Body, req.ContentLength = io.NopCloser(iotest.ErrReader(cut)), -1
	_, err := newBackend(t, rt, backend.Spec{})(t.Context(), req)
	assert.Equal(t, 413, proxy.StatusOf(err))
}

// proves F9, T3
func TestTheDeadlineHoldsWhileTheClientSendsNothing(t *testing.T) {
	t.Parallel()
	up := newText(t, last)
	p := newStream(t, up.URL)
	released := make(chan struct{})
	body := &countedBody{r: readerFunc(func([]byte) (int, error) {
		<-released
		return 0, io.EOF
	})}
	req := proxy.NewRequest("POST", "/")
	req.Body, req.ContentLength = body, -1
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p(ctx, req)
	assert.Equal(t, 504, proxy.StatusOf(err))
	assert.Zero(t, body.closes.Load(), "the body belongs to who made it")
	close(released)
}

// proves F9
func TestNobodyReadsTheRequestBodyAfterTheCall(t *testing.T) {
	t.Parallel()
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		body := &countedBody{r: strings.NewReader("hello")}
		var kept io.ReadCloser
		rt := trip(func(r *http.Request) (*http.Response, error) {
			kept = r.Body // as a transport does that reads on after its answer
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2}, nil
		})
		req := proxy.NewRequest("POST", "/")
		req.Body, req.ContentLength = body, 5
		res, err := newBackend(t, rt, backend.Spec{Decode: decode})(t.Context(), req)
		require.NoError(t, err)
		if decode != nil {
			n, err := kept.Read(make([]byte, 2))
			assert.Equal(t, 2, n, "a stream may still be sent while its answer comes")
			assert.NoError(t, err)
		}
		require.NoError(t, res.Close())
		before := body.read.Load()
		_, err = kept.Read(make([]byte, 2))
		assert.Error(t, err)
		assert.Equal(t, before, body.read.Load())
		require.NoError(t, kept.Close())
		assert.Zero(t, body.closes.Load())
	}
}

func TestABodyThatCanBeReplayedIsOpenedAgainForTheTransport(t *testing.T) {
	t.Parallel()
	opened := &countedBody{r: strings.NewReader("hello")}
	rt := trip(func(r *http.Request) (*http.Response, error) {
		again, err := r.GetBody()
		require.NoError(t, err)
		b, err := io.ReadAll(again)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(b))
		require.NoError(t, again.Close())
		return &http.Response{StatusCode: 204}, nil
	})
	req := proxy.NewRequest("POST", "/")
	req.SetBody("text/plain", []byte("hello"))
	req.GetBody = func() (io.ReadCloser, error) { return opened, nil }
	_, err := newBackend(t, rt, backend.Spec{})(t.Context(), req)
	require.NoError(t, err)
	assert.EqualValues(t, 1, opened.closes.Load(), "what the transport had opened it closes")
}

// proves T2
func TestAStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go func() {
			br := bufio.NewReader(server)
			r, err := http.ReadRequest(br)
			if err == nil {
				_ = r.Body.Close()
				_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
			}
			_, _ = br.ReadByte() // until the connection is closed
			_ = server.Close()
		}()
		tr := dialing(func(context.Context, string, string) (net.Conn, error) { return client, nil })
		p := newBackend(t, tr, backend.Spec{Decode: backend.Passthrough})
		ctx, cancel := context.WithCancel(t.Context())
		res, err := p(ctx, proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err = io.ReadAll(res.Body)
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start))
		_ = res.Close()
		synctest.Wait()
	})
}
