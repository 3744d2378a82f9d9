package test_test

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// proves M22, T2
func TestALeavingClientEndsEveryCall(t *testing.T) {
	t.Parallel()
	for _, begun := range []string{"", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"b\"\r\n"} {
		for _, s := range shapes() {
			t.Run(s.name+", begun "+strconv.FormatBool(begun != ""), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w, start := inMemory(t), time.Now()
					ended := make(chan time.Duration, 2)
					c := s.serve(w, scripted(func(c *wire, _ *http.Request) bool {
						c.say(begun)
						c.untilLeft()
						ended <- time.Since(start)
						return false
					}))
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					r, err := http.NewRequestWithContext(ctx, "GET", "http://gateway/", nil)
					require.NoError(t, err)
					res, err := c.Do(r)
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, 3*time.Second, <-ended)
					require.NoError(t, w.stop())
					w.assertBodiesClosedOnce()
				})
			})
		}
	}
}

// proves L28, T2, M22
func TestTwoHundredLeavingClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t)
		hang := func(c *wire, _ *http.Request) bool { c.untilLeft(); return false }
		var parts []proxy.Part
		for _, name := range []string{"a", "b", "c"} {
			w.upstream(name, hang)
			parts = append(parts, proxy.Part{Proxy: w.backend(backend.Spec{Name: name})})
		}
		c := w.serve(endpoint.Spec{Proxy: proxy.Merge(parts...)})
		ctx, leave := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 200 {
			clients.Go(func() {
				r, err := http.NewRequestWithContext(ctx, "GET", "http://gateway/", nil)
				if !assert.NoError(t, err) {
					return
				}
				_, err = c.Do(r) //nolint:bodyclose // there is no answer
				assert.ErrorIs(t, err, context.Canceled)
			})
		}
		synctest.Wait()
		require.EqualValues(t, 600, w.open.Load())
		start := time.Now()
		leave()
		clients.Wait()
		assert.Zero(t, time.Since(start))
		<-time.After(5 * time.Millisecond) // until then package h1 need not watch its context
		synctest.Wait()
		assert.Zero(t, w.open.Load(), "no call runs on, and no connection idles")
	})
}

// proves M23
func TestAGoneClientCausesNoCall(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := onLoopback(t)
			w.outside = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					gone, cancel := context.WithCancel(r.Context())
					cancel()
					next.ServeHTTP(rw, r.WithContext(gone))
				})
			}
			c := s.serve(w, answer("200 OK", "", `{"b":2}`))
			res, err := c.Get("http://gateway/")
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, proxy.StatusClientGone, res.StatusCode)
			for name, conns := range w.conns {
				assert.Zero(t, conns.Load(), "connections to %s", name)
			}
		})
	}
}

// Each row says what a client does to its body, the status it gets and when, and how many requests
// the upstream gets.
//
// proves M24, F7, L9
func TestSpoiltRequestBodies(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
	tests := []struct {
		name, sent   string
		half         bool // the client closes its half of the connection
		read, stream string
	}{
		{"as announced", head + "Content-Length: 7\r\n\r\n{\"x\":1}", false, "200", "200"},
		{"too large, announced", head + "Content-Length: 1048577\r\n\r\n" + strings.Repeat(" ", 1<<20+1), false, "413", "200"},
		{"too large, in chunks", head + "Transfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat(" ", 1<<20+1) + "\r\n0\r\n\r\n", false, "413", "200"},
		{"too large, and it does not end", head + "Transfer-Encoding: chunked\r\n\r\n10000000\r\n" + strings.Repeat(" ", 1<<20+1), false, "413", ""},
		{"broken chunks", head + "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"x\":1}\r\nx\r\n", false, "400", "400"},
		{"cut", head + "Content-Length: 7\r\n\r\n{\"x\"", true, "400", "400"},
		{"slow", head + "Content-Length: 7\r\n\r\n{\"x\"", false, "504 @10s", "504 @10s"},
	}
	for _, tt := range tests {
		for _, s := range shapes() {
			want := tt.read
			if s.stream {
				want = tt.stream
			}
			if want == "" {
				continue
			}
			t.Run(tt.name+", "+s.name, func(t *testing.T) {
				t.Parallel()
				run := func(t *testing.T, w *world) {
					s.serve(w, answer("200 OK", "", `{"b":2}`))
					start, conn := time.Now(), w.connect()
					go func() {
						_, _ = io.WriteString(conn, tt.sent) // not all of it is read
						if tcp, ok := conn.(*net.TCPConn); ok && tt.half {
							_ = tcp.CloseWrite()
						}
					}()
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					seen := strconv.Itoa(res.StatusCode)
					if took := time.Since(start); w.memory && took > 0 {
						seen += " @" + took.String()
					}
					assert.Equal(t, want, seen)
					if res.StatusCode != http.StatusOK {
						for name, calls := range w.calls {
							assert.Zero(t, calls.Load(), "whole requests that %s got", name)
						}
					}
				}
				if tt.half {
					run(t, onLoopback(t))
					return
				}
				synctest.Test(t, func(t *testing.T) { run(t, inMemory(t)) })
			})
		}
	}
}

// proves M25
func TestAStreamedBodyIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := inMemory(t)
		w.upstream("busy", func(c *wire, _ *http.Request) bool {
			return c.say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		})
		busy := w.backend(backend.Spec{Name: "busy", Decode: backend.Passthrough})
		decoded := w.backend(backend.Spec{Name: "decoded"})
		_, err := endpoint.New(endpoint.Spec{Proxy: proxy.Merge(proxy.Part{Proxy: decoded}), Stream: true})
		require.Error(t, err, "a merge is refused at wiring")

		c := w.serve(endpoint.Spec{Proxy: busy.With(policy.Retry(policy.Attempts{})), Stream: true})
		for _, tt := range []struct {
			body  io.Reader
			calls int64
		}{{strings.NewReader("x"), 1}, {nil, 3}} {
			before := w.calls["busy"].Load()
			r, err := http.NewRequest("PUT", "http://gateway/", tt.body)
			require.NoError(t, err)
			res, err := c.Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			assert.Equal(t, tt.calls, w.calls["busy"].Load()-before)
		}
	})
}

// A deadline counts by the monotonic clock unless code strips that reading. As long as no code
// does, changes of the wall clock have no effect.
//
// proves M26
func TestDeadlinesAreMonotonic(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			deadlines := make(chan time.Time, 2)
			look := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				deadline, _ := ctx.Deadline()
				deadlines <- deadline
				return decoded(`{"b":2}`), nil
			})
			timed := func(*world, bool) proxy.Proxy {
				return look.With(policy.Timeout(5*time.Second), policy.Retry(policy.Attempts{}))
			}
			for _, around := range []source{timed, func(*world, bool) proxy.Proxy { return look }} {
				w := onLoopback(t)
				res, err := s.serve(w, around).Get("http://gateway/")
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				assert.Contains(t, (<-deadlines).String(), " m=", "the monotonic reading")
			}
		})
	}
	wall := regexp.MustCompile(`\.(Unix|UnixMilli|UnixMicro|UnixNano|UTC|Local)\(\)|\.Round\(0\)|time\.Date\(`)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return skipGit(d)
		}
		if _, nested := os.Stat(filepath.Join(path, "go.mod")); path != ".." && nested == nil {
			return filepath.SkipDir // a module of its own, which holds no deadlines
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if filepath.ToSlash(path) == "../proxy/policy/cache/entry.go" {
			return nil // other processes read when an answer was kept, so that only the wall clock tells its age
		}
		if filepath.ToSlash(path) == "../proxy/policy/window.go" {
			return nil // windows are those of the calendar
		}
		src, err := os.ReadFile(path)
		assert.Empty(t, wall.FindString(string(src)), "%s takes the monotonic reading from a time", path)
		return err
	}))
}

// proves M29, T1
func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	t.Parallel()
	long := `{"b":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := inMemory(t)
				s.serve(w, answer("200 OK", "", long))
				ask := func(wait time.Duration) (n int64, err error) {
					conn := w.connect()
					_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
					require.NoError(t, err)
					<-time.After(wait)
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						return 0, err
					}
					return io.Copy(io.Discard, res.Body)
				}
				n, err := ask(30*time.Second - 1)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, n, int64(len(long)))
				n, err = ask(31*time.Second + 1) // a deadline may be a second late
				assert.Error(t, err)
				assert.Less(t, n, int64(64<<10))
				require.NoError(t, w.stop())
				w.assertBodiesClosedOnce()
			})
		})
	}
}

// proves L10, M16, M37
func TestAHundredFailuresUseOneConnection(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"404 Not Found", "500 Internal Server Error", "302 Found"} {
		for _, s := range shapes() {
			t.Run(status+", "+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := inMemory(t)
					c := s.serve(w, answer(status, "", strings.Repeat("boom ", 1000)))
					for range 100 {
						look(t, c)
						synctest.Wait() // until the connection is back in the pool
					}
					for name, conns := range w.conns {
						if s.name == "required" && name != "faulty" {
							continue // a call that was cancelled because another part failed loses its connection
						}
						assert.EqualValues(t, 1, conns.Load(), "connections to %s", name)
					}
					require.NoError(t, w.stop())
				})
			})
		}
	}
}

// proves M2, M16, M21
func TestAMergeWithNothingLeftFails(t *testing.T) {
	t.Parallel()
	missing := answer("404 Not Found", "", `"boom"`)
	tests := []struct {
		name string
		all  []source
		want string
	}{
		{"all missing", []source{missing, missing}, "404"},
		{"a server's failure counts before a client's", []source{missing, answer("500 Internal Server Error", "", `"boom"`)}, "502"},
		{"all hang", []source{hangs(""), hangs("")}, "504 @9.75s"},
		{"all panic", []source{code(func() (*proxy.Response, error) { panic("boom") }), missing}, "500"},
		{"one is left", []source{missing, answer("200 OK", "", `{"b":2}`)}, `200 {"b":2} partial`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := inMemory(t)
				var parts []proxy.Part
				for i, faulty := range tt.all {
					w.name = "faulty" + strconv.Itoa(i)
					parts = append(parts, proxy.Part{Name: w.name, Proxy: faulty(w, false), Optional: true})
				}
				assert.Equal(t, tt.want, look(t, w.serve(endpoint.Spec{Proxy: proxy.Merge(parts...)})))
				require.NoError(t, w.stop())
				w.assertBodiesClosedOnce()
			})
		})
	}
}

// This test is not parallel: it looks at all goroutines.
//
// proves L26, L27, M32
func TestAStopLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, s := range shapes() {
		w := onLoopback(t)
		begun, finish := make(chan struct{}), make(chan struct{})
		c := s.serve(w, scripted(func(c *wire, _ *http.Request) bool {
			close(begun)
			<-finish
			return c.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}")
		}))
		seen := make(chan string)
		go func() { seen <- look(t, c) }()
		<-begun
		stopped := make(chan error)
		go func() { stopped <- w.stop() }()
		_, err := w.dial(t.Context(), "tcp", "")
		for err == nil { // until it accepts no more
			_, err = w.dial(t.Context(), "tcp", "")
		}
		close(finish)
		got, _, _ := strings.Cut(<-seen, " @")
		assert.Equal(t, s.want(fault{single: alone, required: all, optional: all, stream: alone}), got, "what was in flight finishes")
		require.NoError(t, <-stopped)
		c.CloseIdleConnections()
		for name := range w.hosts {
			_ = w.hosts[name].Close()
		}
		w.all.Wait() // the upstreams see that the stop closed their connections; nothing else tells them
		goleak.VerifyNone(t, before)
	}
}
