package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unicode"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/router"
)

// A logbook keeps the lines of a log.
type logbook struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan struct{}
}

func newLogbook() *logbook { return &logbook{lines: make(chan struct{}, 1024)} }

// Write is called once per line.
func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.lines <- struct{}{} }()
	return l.text.Write(b)
}

func (l *logbook) json() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// entries returns the lines, as far as they are there, without what changes each time.
func (l *logbook) entries(t testing.TB) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		entry := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		for _, name := range []string{"time", "duration"} {
			assert.Contains(t, entry, name)
			delete(entry, name)
		}
		all = append(all, entry)
	}
	return all
}

// next waits for a line and returns it.
func (l *logbook) next(t testing.TB) map[string]any {
	t.Helper()
	select {
	case <-l.lines:
	case <-time.After(10 * time.Second):
		require.Fail(t, "nothing was logged")
	}
	all := l.entries(t)
	return all[len(all)-1]
}

// edge is a gateway with an access log around all that answers.
func edge(t testing.TB, log *slog.Logger, s router.AccessLogSpec) http.Handler {
	t.Helper()
	r := chi.NewRouter()
	router.Problems(r)
	r.Use(router.Client(networks("127.0.0.0/8", "192.0.2.0/24")...), router.AccessLog(log, s), router.Recover(nil))
	r.Use(func(next http.Handler) http.Handler { // what CORS does with a preflight
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	caller := &proxy.Caller{Issuer: "https://issuer.example", ID: "ada\nforged=1", Scheme: "jwt"}
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 10)), iotest.ErrReader(errors.New("reset by peer")))
	routes := map[string]proxy.Proxy{
		"/users/{id}": func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			endpoint.Identify(ctx, req, caller)
			doc, err := document.Parse([]byte(`{"a":1}`))
			return &proxy.Response{Document: doc}, err
		},
		"/limited": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: http.StatusTooManyRequests, Op: "limit", Err: errors.New("too many")}
		},
		"/partial": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Err: errors.New("part mail: down")}, nil
		},
		"/broken": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"Content-Length": {"20"}}, Body: io.NopCloser(broken)}, nil
		},
		"/fails": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 502, Backend: "mail", Op: "dial", Err: errors.New("refused\r\nlevel=INFO forged=1")}
		},
		"/tunnel": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			mine, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Write([]byte("hello"))
				_ = theirs.Close()
			}()
			return &proxy.Response{Status: http.StatusSwitchingProtocols, Header: http.Header{"Upgrade": {"echo"}}, Upgrade: mine}, nil
		},
	}
	for pattern, p := range routes {
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p, Stream: pattern == "/tunnel"}}))
	}
	r.With(router.Networks(networks("10.0.0.0/8"), nil)).Get("/inner", said)
	r.Get("/plain/{x}", said)
	r.Get("/empty", func(http.ResponseWriter, *http.Request) {})
	r.Get("/panics", func(http.ResponseWriter, *http.Request) { panic("bug\nforged=1") })
	r.Get("/panics-late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("bug")
	})
	r.Get("/aborts", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r.Get("/hijacks", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = conn.Close()
		}
	})
	r.Get("/file", func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(t.TempDir(), "file.txt")
		_ = os.WriteFile(name, make([]byte, 100_000), 0o600)
		http.ServeFile(w, r, name)
	})
	return r
}

// proves O5
func TestTheAccessLogHasALineForEachRequest(t *testing.T) {
	t.Parallel()
	line := func(level, path string, status, n float64, more map[string]any) map[string]any {
		entry := map[string]any{"level": level, "msg": "request", "method": "GET", "path": path, "status": status, "bytes": n, "client": "127.0.0.1", "id": "id-1"}
		for name, value := range more {
			if entry[name] = value; value == nil {
				delete(entry, name)
			}
		}
		return entry
	}
	type more = map[string]any
	caller := more{"id": `ada\nforged=1`, "scheme": "jwt", "issuer": "https://issuer.example"}
	tests := []struct {
		name, request string
		want          map[string]any
	}{
		{"a document", "GET /users/7?token=secret", line("INFO", "/users/7", 200, 7, more{"route": "/users/{id}", "caller": caller})},
		{"an escaped path", "GET /users/%0Aa%2Fb", line("INFO", "/users/%0Aa%2Fb", 400, 77, more{"route": "/users/{id}", "error": "path: param id: the value holds NUL, CR or LF"})},
		{"HEAD", "HEAD /users/7", line("INFO", "/users/7", 200, 0, more{"method": "HEAD", "route": "/users/{id}", "caller": caller})},
		{"a preflight", "OPTIONS /nothing/here", line("INFO", "/nothing/here", 204, 0, more{"method": "OPTIONS"})},
		{"no route", "GET /nothing/here", line("INFO", "/nothing/here", 404, 75, more{"error": "route: no route has this path"})},
		{"another method", "DELETE /limited", line("INFO", "/limited", 405, 84, more{"method": "DELETE", "error": "route: no route of this path has this method"})},
		{"too many", "GET /limited", line("INFO", "/limited", 429, 83, more{"route": "/limited", "error": "limit: too many"})},
		{"a middleware that refuses", "GET /inner", line("INFO", "/inner", 403, 75, more{"route": "/inner", "error": "networks: the address of the client is not admitted"})},
		{"a bad path", "GET /users/%2e%2e", line("INFO", "/users/%2e%2e", 400, 77, more{"route": "/users/{id}", "error": "path: the path has a dot segment"})},
		{"a partial answer", "GET /partial", line("WARN", "/partial", 200, 0, more{"route": "/partial", "error": "part mail: down"})},
		{"a stream that breaks", "GET /broken", line("WARN", "/broken", 200, 10, more{"route": "/broken", "error": "stream: reset by peer"})},
		{"an upstream that fails", "GET /fails", line("ERROR", "/fails", 502, 77, more{"route": "/fails", "error": `backend mail: dial: refused\r\nlevel=INFO forged=1`})},
		{"a tunnel", "GET /tunnel", line("INFO", "/tunnel", 101, 5, more{"route": "/tunnel"})},
		{"a handler", "GET /plain/1", line("INFO", "/plain/1", 200, 6, more{"route": "/plain/{x}"})},
		{"a handler that writes nothing", "GET /empty", line("INFO", "/empty", 200, 0, more{"route": "/empty"})},
		{"a handler that panics", "GET /panics", line("ERROR", "/panics", 500, 87, more{"route": "/panics", "error": `recover: panic: bug\nforged=1`})},
		{"a handler that panics late", "GET /panics-late", line("WARN", "/panics-late", 200, 4, more{"route": "/panics-late", "error": "recover: panic: bug"})},
		{"a handler that aborts", "GET /aborts", line("ERROR", "/aborts", 0, 0, more{"route": "/aborts", "error": "the handler has not returned"})},
		{"a handler that takes the connection", "GET /hijacks", line("INFO", "/hijacks", 101, 0, more{"route": "/hijacks"})},
		{"a file", "GET /file", line("INFO", "/file", 200, 100_000, more{"route": "/file"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			book := newLogbook()
			srv := httptest.NewUnstartedServer(edge(t, book.json(), router.AccessLogSpec{}))
			srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			srv.Start()
			defer srv.Close()
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, tt.request+" HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer secret\r\nCookie: a=secret\r\nX-Request-Id: id-1\r\n"+
				"Origin: https://app.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			require.NoError(t, err)
			go func() { // a tunnel ends when both sides have
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
			got := book.next(t)
			assert.Equal(t, tt.want, got)
			assert.NotContains(t, book.String(), "secret")
			assert.Len(t, book.entries(t), 1)
		})
	}
}

func TestTheAccessLogNamesWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	book := newLogbook()
	h := edge(t, book.json(), router.AccessLogSpec{Headers: []string{"user-agent", "Host", "X-None"}, Query: []string{"page", "none"}})
	r := httptest.NewRequest("GET", "/plain/1?page=2&page=3&token=secret", nil)
	r.Header.Set("User-Agent", "curl/8\x1b[31m")
	r.Header.Set("Authorization", "secret")
	r.Host = "api.example.com"
	h.ServeHTTP(httptest.NewRecorder(), r)
	entry := book.next(t)
	assert.Equal(t, map[string]any{"User-Agent": `curl/8\x1b[31m`, "Host": "api.example.com"}, entry["header"])
	assert.Equal(t, map[string]any{"page": "2, 3"}, entry["query"])
	assert.NotContains(t, book.String(), "secret")
}

func TestTheAccessLogSamplesByStatus(t *testing.T) {
	t.Parallel()
	none := func(int) float64 { return 0 }
	tests := []struct {
		name   string
		sample func(int) float64
		target string
		logged bool
	}{
		{"all", nil, "/plain/1", true},
		{"none", none, "/plain/1", false},
		{"none of 404", none, "/nothing", false},
		{"none of 429", none, "/limited", false},
		{"failures are always logged", none, "/fails", true},
		{"panics are always logged", none, "/panics", true},
		{"partial answers are always logged", none, "/partial", true},
		{"broken answers are always logged", none, "/broken", true},
		{"by the status", func(status int) float64 { return float64(status - 404) }, "/nothing", false},
		{"by another status", func(status int) float64 { return float64(status - 403) }, "/nothing", true},
		{"a share that is no number", func(int) float64 { return math.NaN() }, "/plain/1", true},
		{"a share below 0", func(int) float64 { return math.Inf(-1) }, "/plain/1", false},
		{"a panic", func(int) float64 { panic("bug") }, "/plain/1", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			book := newLogbook()
			h := edge(t, book.json(), router.AccessLogSpec{Sample: tt.sample})
			func() {
				defer func() { _ = recover() }() // of a stream that breaks
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", tt.target, nil))
			}()
			assert.Equal(t, tt.logged, book.String() != "", book.String())
		})
	}
	book := newLogbook()
	h := edge(t, book.json(), router.AccessLogSpec{Sample: func(int) float64 { return 0.5 }})
	for range 200 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/plain/1", nil))
	}
	assert.InDelta(t, 100, len(book.entries(t)), 80)
}

// A raw handler of a logger that escapes nothing.
type raw struct {
	slog.Handler
	out io.Writer
}

func (h raw) Enabled(context.Context, slog.Level) bool { return true }

func (h raw) Handle(_ context.Context, record slog.Record) error {
	var b strings.Builder
	record.Attrs(func(a slog.Attr) bool {
		b.WriteString(a.String() + " ")
		return true
	})
	_, err := io.WriteString(h.out, b.String()+"\n")
	return err
}

// Whatever a client sends, a line stays one, and nothing of it reaches a terminal as a control sequence,
// even if the handler of the logger escapes nothing.
//
// proves H14
func TestNoByteOfAClientBreaksALineOfTheAccessLog(t *testing.T) {
	t.Parallel()
	evil := append(naughty(t), "a\nb", "a\r\nlevel=ERROR msg=forged", "\x1b[2J\x1b]0;title\a", "\u009b31m", "\u0085", "\u2028\u2029", "\u202e\u2066", "\xff\xfe\x00",
		strings.Repeat("\n", 100_000), strings.Repeat("é", 2000))
	handlers := map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"raw":  func(w io.Writer) slog.Handler { return raw{out: w} },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			h := around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				endpoint.WriteError(w, r, errors.New(r.Header.Get("X-Evil")))
			}), router.AccessLog(slog.New(handler(&out)), router.AccessLogSpec{Headers: []string{"X-Evil", "Host", "User-Agent", "Origin", "X-Forwarded-For"}, Query: []string{"q"}}))
			for _, text := range evil {
				out.Reset()
				r := httptest.NewRequest("GET", "/", nil)
				r.URL.Path, r.URL.RawPath, r.Method = "/"+text, "/"+text, text
				r.URL.RawQuery = "q=" + text
				r.Host, r.Pattern = text, text
				for _, header := range []string{"X-Evil", "User-Agent", "Origin", "X-Forwarded-For", "X-Request-Id"} {
					r.Header[header] = []string{text, text}
				}
				h.ServeHTTP(httptest.NewRecorder(), r)
				line := out.String()
				require.Equal(t, 1, strings.Count(line, "\n"), "%q: %s", text, line)
				require.Less(t, len(line), 64<<10, "%q", text[:min(len(text), 20)])
				for _, r := range strings.TrimSuffix(line, "\n") {
					require.True(t, unicode.IsPrint(r), "%q: %q in %s", text, r, line)
				}
			}
		})
	}
}

// A logger that panics costs a client nothing, and another panic goes on as it was.
func TestALoggerThatPanicsIsDropped(t *testing.T) {
	t.Parallel()
	log := slog.New(panicking{slog.DiscardHandler})
	h := edge(t, log, router.AccessLogSpec{})
	assert.Equal(t, http.StatusOK, statusOf(h, httptest.NewRequest("GET", "/plain/1", nil)))
	bug := errors.New("bug")
	h = around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(bug) }), router.AccessLog(log, router.AccessLogSpec{}))
	assert.PanicsWithValue(t, bug, func() { statusOf(h, httptest.NewRequest("GET", "/", nil)) })
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool  { return true }
func (panicking) Handle(context.Context, slog.Record) error { panic("bug") }

// An error whose method panics is logged as that.
func TestTheAccessLogSurvivesAnError(t *testing.T) {
	t.Parallel()
	book := newLogbook()
	h := around(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { endpoint.RecordOf(r.Context()).Fail(badError{}) }),
		router.AccessLog(book.json(), router.AccessLogSpec{}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, "the error has a method that panics", book.next(t)["error"])
}

type badError struct{}

func (badError) Error() string { panic("bug") }

func TestTheAccessLogIsQuietWhereItsLoggerIs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := edge(t, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})), router.AccessLogSpec{})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/plain/1", nil))
	assert.Empty(t, out.String())
}
