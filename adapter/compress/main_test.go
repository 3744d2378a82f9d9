package compress_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/adapter/compress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a body that is worth compressing.
var long = strings.Repeat("all work and no play makes jack a dull boy. ", 100)

// wrap puts the middleware around a handler.
func wrap(t testing.TB, spec compress.Spec, h http.Handler) http.Handler {
	t.Helper()
	mw, err := compress.New(spec)
	require.NoError(t, err)
	return mw(h)
}

// text answers with a body of text/plain of announced length.
func text(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := 0; i < len(header); i += 2 {
			w.Header()[header[i]] = []string{header[i+1]}
		}
		http.ServeContent(w, r, "", noTime, strings.NewReader(body))
	}
}

// serve starts a server for both versions of HTTP, and returns a client for each.
func serve(t testing.TB, h http.Handler) (url string, clients map[string]*http.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	one := srv.Client().Transport.(*http.Transport).Clone()
	one.ForceAttemptHTTP2, one.TLSClientConfig.NextProtos, one.Protocols = false, []string{"http/1.1"}, nil
	one.DisableCompression = true
	two := srv.Client().Transport.(*http.Transport).Clone()
	two.DisableCompression = true
	t.Cleanup(one.CloseIdleConnections)
	t.Cleanup(two.CloseIdleConnections)
	return srv.URL, map[string]*http.Client{"HTTP/1.1": {Transport: one}, "HTTP/2.0": {Transport: two}}
}

// do sends a request with fields of a header, in pairs, and returns the answer with its bytes.
func do(t testing.TB, c *http.Client, method, url string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// record answers without a network.
func record(h http.Handler, method string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// decode returns what a body says.
func decode(t testing.TB, coding, body string) string {
	t.Helper()
	if coding == "" {
		return body
	}
	text, err := tryDecode(coding, []byte(body))
	require.NoError(t, err)
	return text
}

func reader(coding string, r io.Reader) (io.ReadCloser, error) {
	if coding == "gzip" {
		return gzip.NewReader(r)
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

func tryDecode(coding string, b []byte) (string, error) {
	r, err := reader(coding, bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	return string(out), err
}
