package test_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// The tests of this file leave every default of a Spec as it is, and go through the whole gateway.

// inBubble runs a subtest in a bubble, where everything is in memory and time is exact.
func inBubble(t *testing.T, name string, f func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { f(t, inMemory(t)) })
	})
}

// proves D7, D8, F6, F7
func TestDefaultSizesAtTheirLimits(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	members := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%s%d":0`, prefix, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	for i, status := range []int{200, 200, 413} {
		inBubble(t, "request body "+[]string{"below", "at", "above"}[i]+" 1 MiB", func(t *testing.T, w *world) {
			n := 1<<20 - 1 + i
			w.upstream("up", func(c *wire, r *http.Request) bool {
				return c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			})
			c := w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})})
			for _, announced := range []bool{true, false} {
				var body io.Reader = strings.NewReader(strings.Repeat(" ", n))
				if !announced {
					body = io.MultiReader(body)
				}
				res, err := c.Post("http://gateway/", "application/json", body)
				require.NoError(t, err)
				_ = res.Body.Close()
				assert.Equal(t, status, res.StatusCode)
			}
			assert.EqualValues(t, map[int]int{200: 2, 413: 0}[status], w.calls["up"].Load())
		})
	}
	for i, status := range []int{200, 200, 502} {
		name := []string{"below", "at", "above"}[i]
		inBubble(t, "decoded body "+name+" 8 MiB", func(t *testing.T, w *world) {
			w.upstream("up", says(text(8<<20-1+i)))
			assert.Equal(t, status, w.status(w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})})))
		})
		inBubble(t, "decoded body "+name+" 8 MiB, compressed", func(t *testing.T, w *world) {
			w.upstream("up", func(c *wire, _ *http.Request) bool {
				z := zip(text(8<<20 - 1 + i))
				return c.say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(len(z)) + "\r\n\r\n" + z)
			})
			assert.Equal(t, status, w.status(w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})})))
		})
		inBubble(t, "depth "+name+" 512", func(t *testing.T, w *world) {
			w.upstream("up", says(deep(511+i)))
			assert.Equal(t, status, w.status(w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})})))
		})
		inBubble(t, "merged members "+name+" 100,000", func(t *testing.T, w *world) {
			w.upstream("a", says(members("a", 50_000)))
			w.upstream("b", says(members("b", 49_999+i)))
			assert.Equal(t, status, w.status(w.serve(endpoint.Spec{Proxy: proxy.Merge(
				proxy.Part{Proxy: w.backend(backend.Spec{Name: "a"})}, proxy.Part{Proxy: w.backend(backend.Spec{Name: "b"})},
			)})))
		})
	}
	inBubble(t, "a stream has no limit", func(t *testing.T, w *world) {
		w.upstream("up", func(c *wire, r *http.Request) bool { return says(text(9<<20))(c, r) })
		c := w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up", Decode: backend.Passthrough}), Stream: true})
		res, err := c.Post("http://gateway/", "text/plain", strings.NewReader(strings.Repeat("x", 2<<20)))
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.EqualValues(t, 9<<20, n)
	})
}

// status returns the status of one request.
func (w *world) status(c *http.Client) int {
	res, err := c.Get("http://gateway/")
	require.NoError(w.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, res.Body.Close())
	return res.StatusCode
}

// proves D11, D12, O19
func TestDefaultTimesAtTheirLimits(t *testing.T) {
	t.Parallel()
	within := func(name string, limit time.Duration, in, out string, f func(w *world, d time.Duration) string) {
		inBubble(t, name+", just in time", func(t *testing.T, w *world) { assert.Equal(t, in, f(w, limit-1)) })
		inBubble(t, name+", just too late", func(t *testing.T, w *world) { assert.Equal(t, out, f(w, limit+1)) })
	}
	within("the pipe has 10 s", 10*time.Second, alone+" @9.999999999s", "504 @10s", func(w *world, d time.Duration) string {
		return look(w.t, w.serve(endpoint.Spec{Proxy: w.late(d, false)}))
	})
	within("a stream has 10 s until it begins", 10*time.Second, alone+" @9.999999999s", "504 @10s", func(w *world, d time.Duration) string {
		return look(w.t, w.serve(endpoint.Spec{Proxy: w.late(d, true)}))
	})
	within("a required part has all of it", 10*time.Second, all+" @9.999999999s", "504 @10s", func(w *world, d time.Duration) string {
		a, c := w.good()
		return look(w.t, w.serve(endpoint.Spec{Proxy: proxy.Merge(a, proxy.Part{Proxy: w.late(d, false)}, c)}))
	})
	within("an optional part has 250 ms less", 9750*time.Millisecond, all+" @9.749999999s", without+" @9.75s", func(w *world, d time.Duration) string {
		a, c := w.good()
		return look(w.t, w.serve(endpoint.Spec{Proxy: proxy.Merge(a, proxy.Part{Proxy: w.late(d, false), Optional: true}, c)}))
	})
	within("an optional part has a tenth less", 900*time.Millisecond, all+" @899.999999ms", without+" @900ms", func(w *world, d time.Duration) string {
		a, c := w.good()
		page := proxy.Merge(a, proxy.Part{Proxy: w.late(d, false), Optional: true}, c)
		return look(w.t, w.serve(endpoint.Spec{Proxy: page, Timeout: time.Second}))
	})
	within("a request body has 10 s, and takes none of the pipe's", 10*time.Second, "200 @19.999999998s", "504 @10s", func(w *world, d time.Duration) string {
		w.serve(endpoint.Spec{Proxy: w.late(10*time.Second-1, false)})
		start, conn := time.Now(), w.connect()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\n{")
		require.NoError(w.t, err)
		time.AfterFunc(d, func() { _, _ = io.WriteString(conn, "}") })
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(w.t, err)
		return fmt.Sprintf("%d @%s", res.StatusCode, time.Since(start))
	})
	within("a stream may be silent for 60 s", time.Minute, alone+" @59.999999999s", "200 cut @1m0s", func(w *world, d time.Duration) string {
		w.upstream("up", func(c *wire, _ *http.Request) bool {
			c.say("HTTP/1.1 200 OK\r\n\r\n{\"b\"")
			<-time.After(d)
			c.say(":2}")
			return false
		})
		return look(w.t, w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up", Decode: backend.Passthrough})}))
	})
	inBubble(t, "a stream has no total", func(t *testing.T, w *world) {
		w.upstream("up", func(c *wire, _ *http.Request) bool {
			c.say("HTTP/1.1 200 OK\r\n\r\n")
			for range 100 {
				<-time.After(59 * time.Second)
				c.say("x")
			}
			return false
		})
		c := w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up", Decode: backend.Passthrough})})
		assert.Equal(t, "200 "+strings.Repeat("x", 100)+" @1h38m20s", look(t, c))
	})
}

// late is an upstream that answers after d.
func (w *world) late(d time.Duration, stream bool) proxy.Proxy {
	w.upstream("faulty", func(c *wire, r *http.Request) bool {
		<-time.After(d)
		return says(`{"b":2}`)(c, r)
	})
	return w.faulty("http", stream)
}

// proves D13, T1
func TestDefaultLimitsOfTheServer(t *testing.T) {
	t.Parallel()
	const request = "GET / HTTP/1.1\r\nHost: gateway\r\n"
	start := func(w *world) {
		w.upstream("up", says(`{}`))
		w.serve(endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})})
	}
	// talk writes first, waits, writes the rest, and returns the status, or "closed" if the
	// connection was closed.
	talk := func(w *world, first string, wait time.Duration, rest string) string {
		conn := w.connect()
		_, err := io.WriteString(conn, first)
		require.NoError(w.t, err)
		br := bufio.NewReader(conn)
		if strings.HasSuffix(first, "\r\n\r\n") {
			res, err := http.ReadResponse(br, nil)
			require.NoError(w.t, err)
			_, _ = io.Copy(io.Discard, res.Body)
		}
		time.AfterFunc(wait, func() { _, _ = io.WriteString(conn, rest) })
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return "closed"
		}
		return strconv.Itoa(res.StatusCode)
	}
	inBubble(t, "a header has 5 s, just in time", func(t *testing.T, w *world) {
		start(w)
		assert.Equal(t, "200", talk(w, request, 5*time.Second-1, "\r\n"))
	})
	inBubble(t, "a header has 5 s, just too late", func(t *testing.T, w *world) {
		start(w)
		begun := time.Now()
		assert.Equal(t, "closed", talk(w, request, 5*time.Second+1, "\r\n"))
		assert.Equal(t, 5*time.Second, time.Since(begun))
	})
	inBubble(t, "a connection may be idle for 60 s, just in time", func(t *testing.T, w *world) {
		start(w)
		assert.Equal(t, "200", talk(w, request+"\r\n", time.Minute-1, request+"\r\n"))
	})
	inBubble(t, "a connection may be idle for 60 s, just too late", func(t *testing.T, w *world) {
		start(w)
		assert.Equal(t, "closed", talk(w, request+"\r\n", time.Minute+1, request+"\r\n"))
	})
	for name, tt := range map[string]struct {
		bytes  int
		status string
	}{"below": {64<<10 - 1, "200"}, "at": {64 << 10, "200"}, "above, with the grace of net/http": {68<<10 + 1, "431"}} {
		inBubble(t, "a header has 64 KiB, "+name, func(t *testing.T, w *world) {
			start(w)
			header := request + "X: \r\n\r\n"
			header = strings.Replace(header, "X: ", "X: "+strings.Repeat("x", tt.bytes-len(header)), 1)
			assert.Equal(t, tt.status, talk(w, "", 0, header))
		})
	}
	for _, tt := range []struct {
		name string
		wait time.Duration
		seen string
	}{
		{"just in time", 15*time.Second - 1, alone + " @14.999999999s"},
		{"just too late", 15*time.Second + 1, "503 @15s"},
	} {
		inBubble(t, "a stop waits for 15 s, "+tt.name, func(t *testing.T, w *world) {
			c := w.serve(endpoint.Spec{Proxy: w.late(tt.wait, false), Timeout: -1})
			seen := make(chan string)
			go func() { seen <- look(t, c) }()
			synctest.Wait()
			stopped := make(chan error)
			go func() { stopped <- w.stop() }()
			assert.Equal(t, tt.seen, <-seen)
			assert.NoError(t, <-stopped)
		})
	}
}

// proves D1, D2, D3, H1, H2, H4, H5, H8, H9, L11, L12
func TestWhatGoesOnOfARequestByDefault(t *testing.T) {
	t.Parallel()
	const asked = "GET /x?a=1&debug=1 HTTP/1.1\r\nHost: gateway\r\nCookie: c=1\r\nAuthorization: Basic Zm9v\r\nAccept-Language: de\r\n" +
		"X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\n" +
		"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nProxy-Authorization: Basic Zm9v\r\nTe: trailers\r\n" +
		"Upgrade: secret\r\nIf-None-Match: \"1\"\r\nRange: bytes=0-1\r\n\r\n"
	forwarded := []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: gateway", "X-Forwarded-Proto: http"}
	tests := []struct {
		name   string
		spec   backend.Spec
		query  string
		header []string // beside those of every request
	}{
		{"nothing", backend.Spec{}, "", nil},
		{"what is named", backend.Spec{Headers: []string{"Accept-Language", "X-Hop"}, Query: []string{"a"}}, "a=1", []string{"Accept-Language: de"}},
		{"all", backend.Spec{Headers: []string{"*"}, Query: []string{"*"}}, "a=1&debug=1", append([]string{"Accept-Language: de", "Authorization: Basic Zm9v", "Cookie: c=1"}, forwarded...)},
		{"all but some", backend.Spec{Headers: []string{"*", "-Cookie", "-Authorization"}, Query: []string{"*", "-debug"}}, "a=1", append([]string{"Accept-Language: de"}, forwarded...)},
	}
	for _, tt := range tests {
		inBubble(t, tt.name, func(t *testing.T, w *world) {
			var got *http.Request
			w.upstream("up", func(c *wire, r *http.Request) bool {
				got = r
				return c.say("HTTP/1.1 200 OK\r\nConnection: X-Back\r\nX-Back: 1\r\nKeep-Alive: 1\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\n{}")
			})
			tt.spec.Name, tt.spec.URL = "up", "http://up/y"
			w.serve(endpoint.Spec{Proxy: w.backend(tt.spec)})
			conn := w.connect()
			_, err := io.WriteString(conn, asked)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, res.StatusCode)
			for _, name := range []string{"X-Back", "Keep-Alive", "X-Other"} {
				assert.Empty(t, res.Header.Values(name), name)
			}
			assert.Equal(t, tt.query, got.URL.RawQuery)
			assert.Equal(t, "up", got.Host)
			var header []string
			for name, values := range got.Header {
				if name == "X-Request-Id" || name == "Accept-Encoding" {
					continue
				}
				header = append(header, name+": "+strings.Join(values, ", "))
			}
			assert.ElementsMatch(t, tt.header, header)
		})
	}
}

// proves D4, D16, T6, U2
func TestAnUnfilledPlaceholderIsRefused(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	mount := func(s backend.Spec) error {
		s.Name = "up"
		_, err := router.New(router.Spec{Routes: []router.Route{{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: w.backend(s)}}}})
		return err
	}
	assert.NoError(t, mount(backend.Spec{URL: "http://up/{id}"}))
	assert.ErrorContains(t, mount(backend.Spec{URL: "http://up/{account}"}), "account")
	assert.NoError(t, mount(backend.Spec{URL: "http://up/{account}", Given: []string{"account"}}))
	assert.Error(t, mount(backend.Spec{URL: "http://up/{*}"}))
	assert.Error(t, mount(backend.Spec{URL: "ftp://up/"}))
}

// proves D5, D16, U2, U4, O4
func TestPathsAreNormalOrRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t)
		var got []string
		var mu sync.Mutex
		w.upstream("up", func(c *wire, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.RequestURI)
			return c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		})
		users := func(s string) proxy.Proxy {
			return w.backend(backend.Spec{Name: "up", URL: "http://up/" + s + "/{id}"})
		}
		c := w.serveRoutes(
			router.Route{Method: "GET", Pattern: "/admin/{id}", Endpoint: endpoint.Spec{Proxy: users("admin")}},
			router.Route{Method: "GET", Pattern: "/{site}/{id}", Endpoint: endpoint.Spec{Proxy: users("site")}},
		)
		for path, want := range map[string]string{
			"/admin/1": "/admin/1", "/x/1": "/site/1", "/x/a%2Fb": "/site/a%2Fb", "/x/a%3Fb": "/site/a%3Fb",
			"/%61dmin/1": "", "/x/..": "", "/x/%2e%2e": "", "/x/a%00b": "", "/x/a%0d%0ab": "", "/x/": "",
			"/healthz": "", "/readyz": "", "/debug/plan": "/site/plan", "/debug/pprof/": "",
		} {
			mu.Lock()
			got = nil
			mu.Unlock()
			r, err := http.NewRequest("GET", "http://gateway"+path, nil)
			require.NoError(t, err)
			res, err := c.Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			if want == "" {
				assert.Contains(t, []int{400, 404}, res.StatusCode, path)
				assert.Empty(t, got, path)
				continue
			}
			assert.Equal(t, 200, res.StatusCode, path)
			assert.Equal(t, []string{want}, got, path)
		}
	})
}

// proves D10, F5, M15
func TestAGETRouteAnswersHEADByDefault(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		inBubble(t, s.name, func(t *testing.T, w *world) {
			var asked string
			faulty := scripted(func(c *wire, r *http.Request) bool {
				asked = r.Method
				if r.Method == "HEAD" {
					return c.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
				}
				return says(`{"b":2}`)(c, r)
			})
			c := w.serveRoutes(router.Route{Method: "GET", Pattern: "/", Endpoint: endpoint.Spec{Proxy: s.around(w, faulty(w, s.stream)), Stream: s.stream}})
			res, err := c.Head("http://gateway/")
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Empty(t, b)
			if s.stream {
				assert.Equal(t, "HEAD", asked)
				assert.EqualValues(t, 7, res.ContentLength)
				return
			}
			assert.Equal(t, "GET", asked, "a document needs one to be made of")
			res, err = c.Post("http://gateway/", "", nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
		})
	}
}

// proves D6, U8, L20
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		inBubble(t, s.name, func(t *testing.T, w *world) {
			w.upstream("other", says(`{"b":2}`))
			c := s.serve(w, answer("302 Found", "Location: http://other/\r\n", ""))
			_ = look(t, c)
			assert.Zero(t, w.conns["other"].Load())
		})
	}
}

// proves D16
func TestNothingIsServedThatWasNotMounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t)
		w.upstream("up", says(`{}`))
		c := w.serveRoutes(router.Route{Method: "GET", Pattern: "/one", Endpoint: endpoint.Spec{Proxy: w.backend(backend.Spec{Name: "up"})}})
		for _, path := range []string{"/", "/healthz", "/readyz", "/plan", "/debug/plan", "/debug/pprof/", "/debug/vars", "/metrics", "/__stats"} {
			res, err := c.Get("http://gateway" + path)
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusNotFound, res.StatusCode, path)
			assertProblem(t, res, b)
		}
	})
}
