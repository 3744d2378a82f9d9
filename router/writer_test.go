package router_test

import (
	"bufio"
	"context"
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
	"github.com/sluice-go/sluice/router"
)

// watchers are the middlewares that wrap the ResponseWriter.
func watchers() []wrapper {
	return []wrapper{router.AccessLog(quiet(), router.AccessLogSpec{}), router.Recover(nil)}
}

// What the ResponseWriter of net/http can do, it can behind the middlewares, whether code asks the
// controller or the writer.
func TestAWriterCanDoWhatItCouldBefore(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		assert.NoError(t, control.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.SetWriteDeadline(time.Now().Add(time.Minute)))
		_, flushes := w.(http.Flusher)
		assert.True(t, flushes)
		_, hijacks := w.(http.Hijacker)
		assert.Equal(t, r.ProtoMajor == 1, hijacks)
		_, reads := w.(io.ReaderFrom)
		assert.True(t, reads)
		_, writes := w.(io.StringWriter)
		assert.True(t, writes)
		if r.ProtoMajor == 1 {
			assert.NoError(t, control.EnableFullDuplex())
		}
		_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("a"))
		assert.NoError(t, err)
		assert.NoError(t, control.Flush())
		_, err = io.WriteString(w, "b")
		assert.NoError(t, err)
		_, err = w.Write([]byte("c"))
		assert.NoError(t, err)
	}), watchers()...)
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	plain := httptest.NewServer(h)
	defer plain.Close()
	for _, s := range []*httptest.Server{srv, plain} {
		res, err := s.Client().Get(s.URL)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, "abc", string(body), res.Proto)
	}
}

// bare is a ResponseWriter that can do nothing else.
type bare struct{ http.ResponseWriter }

// behind is a ResponseWriter of a user, which wraps another one.
type behind struct{ http.ResponseWriter }

func (w behind) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// What a ResponseWriter cannot do, it does not seem to be able to.
func TestAWriterCannotDoMoreThanBefore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		w                http.ResponseWriter
		flushes, hijacks bool
	}{
		{"a recorder", httptest.NewRecorder(), true, false},
		{"bare", bare{httptest.NewRecorder()}, false, false},
		{"a recorder that is wrapped", behind{httptest.NewRecorder()}, true, false},
		{"bare and wrapped", behind{bare{httptest.NewRecorder()}}, false, false},
		{"one that can be taken over", behind{taken{httptest.NewRecorder()}}, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, flushes := w.(http.Flusher)
				assert.Equal(t, tt.flushes, flushes)
				_, hijacks := w.(http.Hijacker)
				assert.Equal(t, tt.hijacks, hijacks)
				assert.Equal(t, tt.flushes, http.NewResponseController(w).Flush() == nil)
			}), watchers()...).ServeHTTP(tt.w, httptest.NewRequest("GET", "/", nil))
		})
	}
}

type taken struct{ *httptest.ResponseRecorder }

func (taken) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }

// A Stream endpoint works behind the middlewares.
func TestAStreamGoesThroughTheMiddlewares(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	stream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: read}, nil
	})
	h, err := endpoint.New(endpoint.Spec{Stream: true, Proxy: stream})
	require.NoError(t, err)
	srv := httptest.NewServer(around(h, append(watchers(), router.InFlight(1), router.Secure(router.SecureSpec{}), router.Client())...))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	lines := bufio.NewReader(res.Body)
	for _, event := range []string{"data: 1\n", "data: 2\n"} {
		_, err := io.WriteString(write, event)
		require.NoError(t, err)
		got, err := lines.ReadString('\n') // it comes before the next one is sent
		require.NoError(t, err)
		assert.Equal(t, event, got)
	}
	require.NoError(t, write.Close())
	_, err = lines.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}
