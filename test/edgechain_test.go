package test_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
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

// edgeRoutes is a router with a document, a stream of events and files.
func edgeRoutes(t *testing.T) http.Handler {
	t.Helper()
	site := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(site, "app.js"), []byte("let a = 1"), 0o600))
	events := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: proxytest.NewBody("data: 1\n\n")}, nil
	}
	doc := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":"` + req.Params.Get("id") + `"}`)}, nil
	}
	r, err := router.New(router.Spec{Routes: []router.Route{
		{Pattern: "/doc/{id}", Endpoint: endpoint.Spec{Proxy: doc}},
		{Method: "GET", Pattern: "/events", Endpoint: endpoint.Spec{Stream: true,
			Proxy: pipe.Describe(events, pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})}},
	}})
	require.NoError(t, err)
	r.Handle("/static/*", http.StripPrefix("/static", http.FileServerFS(os.DirFS(site))))
	return r
}

func TestMiddlewareOfOthersStaysUsable(t *testing.T) {
	t.Parallel()
	for name, mw := range map[string]func(http.Handler) http.Handler{
		"http.CrossOriginProtection":  http.NewCrossOriginProtection().Handler,
		"middleware.AllowContentType": middleware.AllowContentType("application/json"),
		"middleware.CleanPath":        middleware.CleanPath,
		"middleware.Compress":         middleware.Compress(5),
		"middleware.GetHead":          middleware.GetHead,
		"middleware.Heartbeat":        middleware.Heartbeat("/ping"),
		"middleware.Logger":           middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: quiet{}}),
		"middleware.Maybe":            middleware.Maybe(middleware.NoCache, func(*http.Request) bool { return true }),
		"middleware.NoCache":          middleware.NoCache,
		"middleware.PathRewrite":      middleware.PathRewrite("/nowhere", "/elsewhere"),
		"middleware.RequestSize":      middleware.RequestSize(1 << 20),
		"middleware.SetHeader":        middleware.SetHeader("X-House", "1"),
		"middleware.StripSlashes":     middleware.StripSlashes,
		"middleware.Throttle":         middleware.Throttle(10),
		"middleware.Timeout":          middleware.Timeout(time.Minute),
		"middleware.WithValue":        middleware.WithValue("key", "value"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := chi.NewRouter()
			r.Use(mw)
			r.Mount("/", edgeRoutes(t))
			srv := httptest.NewServer(adapter.RequestID(r))
			defer srv.Close()
			for path, want := range map[string]string{"/doc/7": `{"id":"7"}`, "/events": "data: 1", "/static/app.js": "let a = 1"} {
				res, err := srv.Client().Get(srv.URL + path)
				require.NoError(t, err)
				b, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				assert.Equal(t, 200, res.StatusCode, path)
				assert.Contains(t, string(b), want, path)
			}
		})
	}
}

type quiet struct{}

func (quiet) Print(...any) {}

// http.TimeoutHandler holds back the whole answer, so a Stream endpoint refuses to stand inside.
func TestATimeoutHandlerIsNotForStreams(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	http.TimeoutHandler(edgeRoutes(t), time.Minute, "").ServeHTTP(w, httptest.NewRequest("GET", "/events", nil))
	assert.Equal(t, 500, w.Code)
}

func TestAPathIsRewrittenBeforeRouting(t *testing.T) {
	t.Parallel()
	old := func(next http.Handler) http.Handler {
		stripped := http.StripPrefix("/v1", next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v1/") {
				stripped.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	h := old(edgeRoutes(t))
	for _, path := range []string{"/v1/doc/a%2Fb", "/doc/a%2Fb"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		assert.JSONEq(t, `{"id":"a/b"}`, w.Body.String(), path)
	}
}

// CORS says who may read, CrossOriginProtection who may change something with the cookies of a
// browser. A page that may do both is named in both.
func TestCORSAndCrossOriginProtectionStandTogether(t *testing.T) {
	t.Parallel()
	const page, evil = "https://app.example", "https://evil.example"
	cors, err := adapter.CORS(adapter.CORSSpec{Origins: []string{page}, Credentials: true})
	require.NoError(t, err)
	protection := http.NewCrossOriginProtection()
	require.NoError(t, protection.AddTrustedOrigin(page))
	h := cors(protection.Handler(edgeRoutes(t)))
	for _, tt := range []struct {
		method, origin string
		status         int
		reads          bool
	}{
		{"POST", page, 200, true}, {"POST", evil, 403, false}, {"GET", evil, 200, false}, {"OPTIONS", page, 204, true}, {"OPTIONS", evil, 204, false},
	} {
		r := httptest.NewRequest(tt.method, "/doc/7", nil)
		r.Header.Set("Origin", tt.origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if tt.method == "OPTIONS" {
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, tt.status, w.Code, "%s of %s", tt.method, tt.origin)
		assert.Equal(t, tt.reads, w.Header().Get("Access-Control-Allow-Origin") == tt.origin, "%s of %s", tt.method, tt.origin)
	}
}
