package test_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// proves F3, F14, T23
func TestAGatewayWithACache(t *testing.T) {
	t.Parallel()
	made := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	var calls, failing atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Date"] = []string{made} // that of the origin
		h.Set("Cache-Control", "max-age=7200")
		h.Set("Content-Type", "application/json")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Etag", `"1"`)
		h.Set("Vary", "Accept-Language")
		if r.URL.Path == "/short" {
			h.Set("Content-Length", "100")
		}
		n := &calls
		if r.URL.Path == "/short" || r.URL.Path == "/broken" {
			n = &failing
		}
		fmt.Fprintf(w, `{"call":%d,"for":%q}`, n.Add(1), r.Header.Get("Accept-Language")+r.Header.Get("Authorization"))
		if r.URL.Path == "/broken" {
			_ = http.NewResponseController(w).Flush()
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}))
	defer upstream.Close()
	transport := backend.NewDefaultTransport()
	defer transport.CloseIdleConnections()
	leaf := func(name string, decode backend.Decoder) proxy.Proxy {
		return pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: name, URL: upstream.URL + "/{*}", Decode: decode,
			Headers: []string{"Accept-Language", "Authorization"}}))
	}
	cached := cache.New(cache.Spec{TTL: time.Hour})
	for name, spec := range map[string]endpoint.Spec{
		"single": {Proxy: leaf("single", nil).With(cached.Decorate)},
		"merge":  {Proxy: proxy.Merge(proxy.Grouped("a", leaf("a", nil)), proxy.Grouped("b", leaf("b", nil))).With(cached.Decorate)},
		"parts":  {Proxy: proxy.Merge(proxy.Grouped("a", leaf("a", nil).With(cached.Decorate)), proxy.Grouped("b", leaf("b", nil).With(cached.Decorate)))},
		"stream": {Proxy: leaf("stream", backend.Passthrough).With(cached.Decorate), Stream: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := endpoint.New(spec)
			require.NoError(t, err)
			gateway := httptest.NewServer(h)
			defer gateway.Close()
			get := func(path string, header http.Header) (*http.Response, string, error) {
				req, err := http.NewRequestWithContext(t.Context(), "GET", gateway.URL+path, nil)
				require.NoError(t, err)
				req.Header = header
				res, err := gateway.Client().Do(req)
				if err != nil {
					return nil, "", err
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				return res, string(b), err
			}
			in := func(language string) http.Header { return http.Header{"Accept-Language": {language}} }
			path := "/" + name
			before := calls.Load()
			miss, first, err := get(path, in("de"))
			require.NoError(t, err)
			after := calls.Load()
			hit, second, err := get(path, in("de"))
			require.NoError(t, err)
			assert.Equal(t, after, calls.Load())
			assert.Greater(t, after, before)
			assert.Equal(t, first, second)
			assert.Empty(t, hit.Header.Get("X-Hop"))
			if name == "stream" {
				assert.Equal(t, made, hit.Header.Get("Date"))
			}
			for _, res := range []*http.Response{miss, hit} {
				for _, field := range []string{"Age", "Cache-Status", "X-Request-Id"} {
					res.Header.Del(field)
				}
				if name != "stream" {
					res.Header.Del("Date") // that of the gateway
				}
			}
			assert.Equal(t, miss.Header, hit.Header)

			_, other, err := get(path, in("en"))
			require.NoError(t, err)
			assert.NotEqual(t, first, other)
			ann := http.Header{"Accept-Language": {"de"}, "Authorization": {"ann"}}
			for _, header := range []http.Header{ann, in("de"), ann} {
				_, body, err := get(path, header)
				require.NoError(t, err)
				assert.Equal(t, header.Get("Authorization") != "", strings.Contains(body, "ann"), "what is hers")
			}

			etag := hit.Header.Get("Etag")
			if etag != "" {
				res, body, err := get(path, http.Header{"Accept-Language": {"de"}, "If-None-Match": {etag}})
				require.NoError(t, err)
				assert.Equal(t, http.StatusNotModified, res.StatusCode)
				assert.Empty(t, body)
			}

			for _, path := range []string{"/short", "/broken"} {
				before := failing.Load()
				for range 2 {
					res, _, err := get(path, in("de"))
					assert.True(t, err != nil || res.StatusCode >= 500, path)
				}
				assert.GreaterOrEqual(t, failing.Load(), before+2, "%s is never kept", path)
			}
		})
	}
}
