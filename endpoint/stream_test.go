package endpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// streams is a proxy that answers with a body as it comes, once as our own code and once as
// somebody's.
func streams(honoursContext bool, call proxy.Proxy) proxy.Proxy {
	if !honoursContext {
		return call
	}
	return pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})
}

// bothWays runs a test over a pipe that is known to honour its context, and over one that is not.
func bothWays(t *testing.T, f func(t *testing.T, honoursContext bool)) {
	t.Helper()
	for _, honoursContext := range []bool{true, false} {
		t.Run(fmt.Sprintf("honoursContext=%v", honoursContext), func(t *testing.T) { f(t, honoursContext) })
	}
}

// proves M13, M15, M16, M17, F5
func TestAStreamIsAnsweredAsSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method string
		status       int
		header       http.Header
		body         string
		want         http.Header // besides Date
	}{
		{"with a length", "GET", 200, http.Header{"Content-Length": {"4"}, "Content-Type": {"text/csv"}, "Etag": {`"1"`}}, "rows",
			http.Header{"Content-Length": {"4"}, "Content-Type": {"text/csv"}, "Etag": {`"1"`}}},
		{"without a length or type", "GET", 200, nil, "<html>", http.Header{}},
		{"a failure", "GET", 503, http.Header{"Content-Length": {"4"}, "Retry-After": {"1"}}, "rows",
			http.Header{"Content-Length": {"4"}, "Retry-After": {"1"}}},
		{"a redirect", "GET", 302, http.Header{"Location": {"http://inside/"}, "Content-Length": {"0"}}, "",
			http.Header{"Location": {"http://inside/"}, "Content-Length": {"0"}}},
		{"HEAD", "HEAD", 200, http.Header{"Content-Length": {"4"}}, "rows", http.Header{"Content-Length": {"4"}}},
		{"204", "GET", 204, http.Header{"Content-Length": {"4"}}, "rows", http.Header{}},
		{"205", "GET", 205, http.Header{"Content-Length": {"4"}}, "rows", http.Header{"Content-Length": {"0"}}},
		{"304", "GET", 304, http.Header{"Etag": {`"1"`}}, "rows", http.Header{"Etag": {`"1"`}}},
		{"a length that is none", "GET", 200, http.Header{"Content-Length": {"+4"}}, "rows", http.Header{}},
		{"a status nobody knows", "GET", 799, http.Header{"Content-Length": {"4"}}, "rows", http.Header{"Content-Length": {"4"}}},
		{"repeated headers", "GET", 200, http.Header{"Content-Length": {"4"}, "Set-Cookie": {"a=1", "b=2", "a=1"}}, "rows",
			http.Header{"Content-Length": {"4"}, "Set-Cookie": {"a=1", "b=2", "a=1"}}},
		{"two lengths", "GET", 200, http.Header{"Content-Length": {"4", "5"}}, "rows", http.Header{}},
		{"a surplus", "GET", 200, http.Header{"Content-Length": {"2"}}, "rows", http.Header{"Content-Length": {"2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, honoursContext bool) {
				sent := newBody(tt.body)
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
					return &proxy.Response{Status: tt.status, Header: tt.header, Body: sent}
				}))}))
				req, err := http.NewRequest(tt.method, srv.URL, nil)
				require.NoError(t, err)
				res, err := srv.Client().Transport.RoundTrip(req)
				require.NoError(t, err)
				b, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				res.Body.Close()
				srv.Close()
				assert.Equal(t, tt.status, res.StatusCode)
				want := tt.body
				if tt.name == "a surplus" {
					want = tt.body[:2]
				}
				if tt.method == http.MethodHead || tt.status == 204 || tt.status == 205 || tt.status == 304 {
					want = ""
				}
				assert.Equal(t, want, string(b))
				res.Header.Del("Date")
				assert.Equal(t, tt.want, res.Header)
				assert.EqualValues(t, 1, sent.closed.Load())
			})
		})
	}
}

// proves M1
func TestStreamedBytesComeAsTheyAreSent(t *testing.T) {
	for _, header := range []http.Header{nil, {"Content-Type": {"text/event-stream; charset=utf-8"}, "Content-Length": {"6"}}} {
		bothWays(t, func(t *testing.T, honoursContext bool) {
			synctest.Test(t, func(t *testing.T) {
				r, w := io.Pipe()
				dial := serve(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
					return &proxy.Response{Body: r, Header: header}
				}))}))
				start := time.Now()
				res, err := clientOf(t, dial).Get("http://a/")
				require.NoError(t, err)
				assert.Zero(t, time.Since(start), "the header does not wait for the first byte")
				for i := range 3 {
					<-time.After(20 * time.Second) // in all longer than the timeout of the endpoint
					_, err := io.WriteString(w, "ab")
					require.NoError(t, err)
					b := make([]byte, 2)
					_, err = io.ReadFull(res.Body, b)
					require.NoError(t, err)
					assert.Equal(t, time.Duration(i+1)*20*time.Second, time.Since(start))
				}
				w.Close()
				_, err = io.ReadAll(res.Body)
				assert.NoError(t, err)
			})
		})
	}
}

// A breaking body ends with an error.
type breaking struct {
	io.Reader
	err    error
	closed atomic.Int64
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	if err == errPanic {
		panic("bug")
	}
	return n, err
}

func (b *breaking) Close() error {
	b.closed.Add(1)
	return nil
}

var errPanic = errors.New("panic")

// proves F3, L15, M20, D14
func TestAStreamThatBreaksIsNeverComplete(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	tests := []struct {
		name   string
		body   string
		header http.Header
		err    error
		status int // 0: aborted before the header could be read or within the body
	}{
		{"after bytes", "rows", nil, reset, 0},
		{"after bytes, with a length", "rows", http.Header{"Content-Length": {"9"}}, reset, 0},
		{"short, and said to be complete", "rows", http.Header{"Content-Length": {"9"}}, io.EOF, 0},
		{"after many bytes", strings.Repeat("x", 100_000), http.Header{"Content-Length": {"100001"}}, reset, 0},
		{"a panic after bytes", "rows", nil, errPanic, 0},
		{"before the first byte, with a length", "", http.Header{"Content-Length": {"9"}}, reset, 502},
		{"a panic before the first byte", "", http.Header{"Content-Length": {"9"}}, errPanic, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, honoursContext bool) {
				var got reports
				sent := &breaking{Reader: strings.NewReader(tt.body), err: tt.err}
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, answers(func() *proxy.Response {
					return &proxy.Response{Body: sent, Header: tt.header}
				}))}))
				answer := rawExchange(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
				srv.Close()
				if tt.status != 0 {
					assert.Contains(t, answer, fmt.Sprint("HTTP/1.1 ", tt.status))
					assert.NotContains(t, answer, "Content-Length: 9\r\n")
				} else if answer != "" {
					res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
					require.NoError(t, err)
					_, err = io.ReadAll(res.Body)
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
				}
				assert.Len(t, got.all(), 1)
				assert.EqualValues(t, 1, sent.closed.Load())
			})
		})
	}
}

// proves M2, M3, T1, D11
func TestASilentStreamEndsAtTheIdleLimit(t *testing.T) {
	tests := []struct {
		name  string
		limit time.Duration
		after time.Duration
		ends  bool
	}{
		{"default, below", 0, endpoint.DefaultIdleTimeout - 1, false},
		{"default, above", 0, endpoint.DefaultIdleTimeout + 1, true},
		{"its own, above", time.Second, time.Second + 1, true},
		{"none", -1, 24 * time.Hour, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, honoursContext bool) {
				synctest.Test(t, func(t *testing.T) {
					var got reports
					r, w := io.Pipe()
					dial := serve(t, newHandler(t, endpoint.Spec{Report: got.add, IdleTimeout: tt.limit,
						Proxy: streams(honoursContext, answers(func() *proxy.Response { return &proxy.Response{Body: r} }))}))
					res, err := clientOf(t, dial).Get("http://a/")
					require.NoError(t, err)
					start := time.Now()
					go func() {
						<-time.After(tt.after)
						_, _ = io.WriteString(w, "rows")
						w.Close()
					}()
					b, err := io.ReadAll(res.Body)
					if !tt.ends {
						require.NoError(t, err)
						assert.Equal(t, "rows", string(b))
						assert.Equal(t, tt.after, time.Since(start))
						return
					}
					assert.Error(t, err)
					assert.Equal(t, tt.after-1, time.Since(start))
					<-time.After(time.Second) // the writer too
					synctest.Wait()
					require.Len(t, got.all(), 1)
					assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(got.all()[0]))
				})
			})
		})
	}
}

// A deaf body blocks until it is freed, whatever happens.
type deaf struct{ free chan struct{} }

func (d deaf) Read([]byte) (int, error) { <-d.free; return 0, io.EOF }
func (deaf) Close() error               { return nil }

// proves M3, T3
func TestABodyThatIgnoresEverythingIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deaf{make(chan struct{})}
		h := newHandler(t, endpoint.Spec{MaxAbandoned: 1, Proxy: answers(func() *proxy.Response { return &proxy.Response{Body: d} })})
		dial := serve(t, h)
		res, err := clientOf(t, dial).Get("http://a/")
		require.NoError(t, err)
		start := time.Now()
		_, err = io.ReadAll(res.Body)
		assert.Error(t, err)
		assert.Equal(t, endpoint.DefaultIdleTimeout, time.Since(start))
		synctest.Wait()
		assert.Equal(t, 1, h.(interface{ Abandoned() int }).Abandoned())
		res, err = clientOf(t, dial).Get("http://a/")
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		close(d.free)
		synctest.Wait()
		assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
	})
}

// proves C6, M3, T3
func TestABodyOfAMiddlewareThatBlocksDoesNotHoldTheAnswer(t *testing.T) {
	for name, spec := range map[string]endpoint.Spec{
		"past Timeout, as a stream": {Stream: true, Timeout: time.Second, Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			_, err := io.ReadAll(req.Body)
			return &proxy.Response{}, err
		}},
		"past ReadTimeout": {ReadTimeout: time.Second, Proxy: jsonOf(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deaf{make(chan struct{})}
				h := newHandler(t, spec)
				dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Body = d
					h.ServeHTTP(w, r)
				}))
				start := time.Now()
				res, err := clientOf(t, dial).Post("http://a/", "text/plain", strings.NewReader("hello"))
				require.NoError(t, err)
				_ = res.Body.Close()
				assert.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
				assert.Equal(t, time.Second+50*time.Millisecond, time.Since(start))
				synctest.Wait()
				assert.NotZero(t, h.(interface{ Abandoned() int }).Abandoned())
				close(d.free)
				synctest.Wait()
				assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
			})
		})
	}
}

// A body that is broken ends the context of its request before its Read returns, as that of net/http
// does.
type brokenBody struct {
	end   context.CancelFunc
	after time.Duration
}

func (b brokenBody) Read([]byte) (int, error) {
	b.end()
	<-time.After(b.after)
	return 0, io.ErrUnexpectedEOF
}
func (b brokenBody) Close() error { return nil }

func TestABrokenBodyIsTheReasonAlthoughTheContextEndsFirst(t *testing.T) {
	for after, status := range map[time.Duration]int{time.Millisecond: http.StatusBadRequest, time.Hour: 499} {
		synctest.Test(t, func(t *testing.T) {
			h := newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				go func() { _, _ = io.Copy(io.Discard, req.Body) }() // as a transport of net/http does
				<-ctx.Done()
				return nil, ctx.Err()
			})})
			seen := make(chan int, 1)
			dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				r = r.WithContext(ctx)
				r.Body = brokenBody{cancel, after}
				sees := &statusWriter{ResponseWriter: w}
				h.ServeHTTP(sees, r)
				seen <- sees.status
			}))
			res, err := clientOf(t, dial).Post("http://a/", "text/plain", strings.NewReader("hello"))
			require.NoError(t, err)
			_ = res.Body.Close()
			assert.Equal(t, status, <-seen, "after %v", after)
			<-time.After(after) // until the Read returns
		})
	}
}

// A statusWriter keeps the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A stubborn body blocks in Close until it is freed.
type stubborn struct {
	io.Reader
	free chan struct{}
}

func (s stubborn) Close() error { <-s.free; return nil }

// proves C6, M3, T3
func TestACloseThatBlocksDoesNotHoldTheAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(free chan struct{}) *proxy.Response
		status int
		body   string
	}{
		"of a whole stream": {func(free chan struct{}) *proxy.Response {
			return &proxy.Response{Body: stubborn{strings.NewReader("whole"), free}}
		}, 200, "whole"},
		"of what OnClose has": {func(free chan struct{}) *proxy.Response {
			res := &proxy.Response{Body: newBody("whole")}
			res.OnClose(func() { <-free })
			return res
		}, 200, "whole"},
		"of an answer that is refused": {func(free chan struct{}) *proxy.Response {
			return &proxy.Response{Status: 7, Body: stubborn{strings.NewReader(""), free}}
		}, 500, `"status":500`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				h := newHandler(t, endpoint.Spec{MaxAbandoned: 1, Proxy: answers(func() *proxy.Response { return tt.answer(free) })})
				client := clientOf(t, serve(t, h))
				start := time.Now()
				get := func() (int, string) {
					res, err := client.Get("http://a/")
					require.NoError(t, err)
					b, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					return res.StatusCode, string(b)
				}
				status, text := get()
				assert.Equal(t, tt.status, status)
				assert.Contains(t, text, tt.body)
				assert.Equal(t, 500*time.Millisecond, time.Since(start))
				synctest.Wait()
				assert.Equal(t, 1, h.(interface{ Abandoned() int }).Abandoned())
				if status == 200 {
					status, _ = get()
					assert.Equal(t, http.StatusServiceUnavailable, status, "too many are abandoned")
				}
				close(free)
				synctest.Wait()
				assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
			})
		})
	}
}

// proves M29, T1, D11
func TestAClientThatDoesNotReadEndsAtTheWriteTimeout(t *testing.T) {
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	endless := func() *proxy.Response { return &proxy.Response{Body: io.NopCloser(endlessReader{})} }
	document := func() *proxy.Response { return &proxy.Response{Document: documentOf(large)} }
	small := func() *proxy.Response { return &proxy.Response{Document: documentOf(`{}`)} }
	for name, res := range map[string]func() *proxy.Response{"document": document, "small document": small, "stream": endless} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, honoursContext bool) {
				synctest.Test(t, func(t *testing.T) {
					var closed atomic.Int64
					call := answers(res)
					dial := serve(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
						res, err := call(ctx, req)
						res.OnClose(func() { closed.Add(1) })
						return res, err
					})}))
					c := dial()
					fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
					<-time.After(endpoint.DefaultWriteTimeout + time.Second + 1) // a deadline is up to a second late
					synctest.Wait()
					assert.EqualValues(t, 1, closed.Load())
					n, err := io.Copy(io.Discard, c) // the connection is closed: nothing comes that had not been written
					assert.NoError(t, err)
					assert.Less(t, n, int64(1<<20))
				})
			})
		})
	}
}

// proves M29, T1, D11
func TestAFailureDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	passed := &proxy.Error{Status: 404, Err: mark.Passed{Status: 404}, Upstream: &proxy.UpstreamAnswer{Status: 404, Body: []byte(large)}}
	for name, spec := range map[string]endpoint.Spec{
		"problem":     {Proxy: fails(errors.New("boom"))},
		"header":      {Proxy: fails(passed), RenderError: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(404) }},
		"passed":      {Proxy: fails(passed)},
		"RenderError": {Proxy: fails(passed), RenderError: endpoint.WritePassed},
		"in one write": {Proxy: fails(passed), RenderError: func(w http.ResponseWriter, _ *http.Request, _ error) {
			_, _ = io.WriteString(w, large)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dial := serve(t, newHandler(t, spec))
				ask := func(wait time.Duration) (read int64) {
					c := dial()
					fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					for err := error(nil); err == nil; {
						<-time.After(wait)
						var n int64
						n, err = io.CopyN(io.Discard, c, 512<<10)
						read += n
					}
					return read
				}
				assert.Zero(t, ask(endpoint.DefaultWriteTimeout+time.Second+1), "the connection is closed")
				if name != "problem" && name != "header" {
					assert.Greater(t, ask(endpoint.DefaultWriteTimeout-1), int64(1<<20), "each piece has its time")
				}
			})
		})
	}
}

// proves T1, D11
func TestTheTimeThatAClientTakesIsNotTheUpstreams(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			var got reports
			rows := strings.Repeat("x", 200<<10)
			dial := serve(t, newHandler(t, endpoint.Spec{IdleTimeout: time.Second, WriteTimeout: time.Minute, Report: got.add,
				Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
					// It ends with the context or when it is closed, as one of the network does.
					r, w := io.Pipe()
					context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
					go func() {
						_, _ = io.WriteString(w, rows)
						w.Close()
					}()
					return &proxy.Response{Body: r}, nil
				})}))
			c := dial()
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			var b strings.Builder
			for err == nil {
				<-time.After(30 * time.Second) // in which a write waits
				_, err = io.CopyN(&b, res.Body, 50<<10)
			}
			assert.ErrorIs(t, err, io.EOF)
			assert.Equal(t, len(rows), b.Len())
			synctest.Wait()
			assert.Empty(t, got.all())
		})
	})
}

// A keeper is a ResponseWriter whose writes fail and that still holds what it was given, as one of
// HTTP/2 may whose stream was reset while a frame is written.
type keeper struct {
	*httptest.ResponseRecorder
	fails func() error
	kept  *[]*byte
}

func (k keeper) Write(p []byte) (int, error) {
	*k.kept = append(*k.kept, &p[0])
	return 0, k.fails()
}

func TestABufferWhoseWriteFailedIsNotUsedAgain(t *testing.T) {
	for name, res := range map[string]func() *proxy.Response{
		"document": func() *proxy.Response { return &proxy.Response{Document: documentOf(`{"a":1}`)} },
		"stream":   func() *proxy.Response { return &proxy.Response{Body: newBody("rows")} },
	} {
		for how, fails := range map[string]func() error{
			"error": func() error { return io.ErrClosedPipe },
			"panic": func() error { panic("bug") },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				h := newHandler(t, endpoint.Spec{Proxy: streams(true, answers(res))})
				var kept []*byte
				for range 100 {
					assert.Panics(t, func() {
						h.ServeHTTP(keeper{httptest.NewRecorder(), fails, &kept}, httptest.NewRequest(http.MethodGet, "/", nil))
					})
				}
				once := map[*byte]bool{}
				for _, p := range kept {
					once[p] = true
				}
				assert.Len(t, once, 100)
			})
		}
	}
}

// A refuser is a ResponseWriter that fails to write or to flush.
type refuser struct {
	*httptest.ResponseRecorder
	write, flush func() error
}

func (r refuser) Write(p []byte) (int, error) { return len(p), r.write() }
func (r refuser) FlushError() error           { return r.flush() }

func TestAnAnswerThatTheClientDoesNotTakeIsReportedAsThat(t *testing.T) {
	t.Parallel()
	well := func() error { return nil }
	tests := []struct {
		name  string
		res   func() *proxy.Response
		flush bool // is what fails
	}{
		{"document", func() *proxy.Response { return &proxy.Response{Document: documentOf(`{}`)} }, false},
		{"stream", func() *proxy.Response { return &proxy.Response{Body: newBody("rows")} }, false},
		{"flush of a stream", func() *proxy.Response { return &proxy.Response{Body: newBody("rows")} }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, honoursContext bool) {
				var got reports
				h := newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, answers(tt.res))})
				ctx, stop := context.WithCancelCause(t.Context())
				fails := func() error {
					stop(errors.New("the server stops")) // which would be the status, had the client not failed first
					return io.ErrClosedPipe
				}
				w := refuser{httptest.NewRecorder(), fails, well}
				if tt.flush {
					w.write, w.flush = well, fails
				}
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(w, r) })
				require.Len(t, got.all(), 1)
				assert.EqualError(t, got.all()[0], "write: io: read/write on closed pipe")
				assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(got.all()[0]))
			})
		})
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

// proves M10
func TestAnEndlessStreamEndsWithTheClient(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			var got reports
			ended := make(chan struct{})
			dial := serve(t, newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
				res := &proxy.Response{Body: io.NopCloser(endlessReader{})}
				res.OnClose(func() { close(ended) })
				return res, nil
			})}))
			c := dial()
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			_, err := io.CopyN(io.Discard, c, 10<<20)
			require.NoError(t, err)
			c.Close()
			<-ended
			synctest.Wait()
			require.Len(t, got.all(), 1)
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(got.all()[0]))
		})
	})
}

// proves M2, M3, M35, T3, L22, L23, D11
func TestTheTimeoutHoldsAgainstAPipeThatIgnoresIt(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration
		takes   time.Duration
		status  int
	}{
		{"default, below", 0, endpoint.DefaultTimeout - 1, 200},
		{"default, above", 0, endpoint.DefaultTimeout + 1, 504},
		{"its own, above", 300 * time.Millisecond, 3 * time.Second, 504},
		{"none", -1, time.Hour, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got reports
				late := newBody("late")
				h := newHandler(t, endpoint.Spec{Timeout: tt.timeout, Report: got.add, Proxy: func(ctx, *proxy.Request) (*proxy.Response, error) {
					<-time.After(tt.takes)
					return &proxy.Response{Body: late}, nil
				}})
				dial := serve(t, h)
				start := time.Now()
				res, err := clientOf(t, dial).Get("http://a/")
				require.NoError(t, err)
				defer res.Body.Close()
				assert.Equal(t, tt.status, res.StatusCode)
				if tt.status == 200 {
					assert.Equal(t, tt.takes, time.Since(start))
					return
				}
				limit := tt.timeout
				if limit == 0 {
					limit = endpoint.DefaultTimeout
				}
				assert.Equal(t, limit, time.Since(start))
				assert.Equal(t, 1, h.(interface{ Abandoned() int }).Abandoned())
				<-time.After(tt.takes)
				synctest.Wait()
				assert.EqualValues(t, 1, late.closed.Load(), "the late response is closed")
				assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
				assert.Len(t, got.all(), 1, "and nothing is reported twice")
			})
		})
	}
}

// proves M2
func TestAPipeThatHangsIsAGatewayTimeout(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			dial := serve(t, newHandler(t, endpoint.Spec{Timeout: time.Second, Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
				own, cancel := context.WithCancel(ctx)
				defer cancel()
				<-own.Done()
				return nil, context.Canceled // who hides the reason
			})}))
			start := time.Now()
			res, err := clientOf(t, dial).Get("http://a/")
			require.NoError(t, err)
			res.Body.Close()
			assert.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
			assert.Equal(t, time.Second, time.Since(start))
		})
	})
}

// proves M2, M3
func TestAnErrorSaysWhoseClockEndedTheCall(t *testing.T) {
	const inTime = "endpoint: no answer in time (10s): "
	sent := func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, &proxy.Error{Backend: "w", Op: "send", Err: ctx.Err()}
	}
	tests := []struct {
		name   string
		spec   endpoint.Spec
		client time.Duration // the time that a middleware gives the request; 0 is none
		call   proxy.Proxy
		status int
		text   string
	}{
		{"it waits for its context", endpoint.Spec{}, 0, streams(true, sent), 504, inTime + "backend w: send: context deadline exceeded"},
		{"it ignores its context", endpoint.Spec{}, 0, func(ctx, *proxy.Request) (*proxy.Response, error) {
			<-time.After(time.Minute)
			return &proxy.Response{}, nil
		}, 504, inTime + "context deadline exceeded"},
		{"it hides the reason", endpoint.Spec{}, 0, streams(true, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, context.Canceled
		}), 504, inTime + "context deadline exceeded: context canceled"},
		{"a timeout of the network", endpoint.Spec{}, 0, streams(true, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("dial: %w", os.ErrDeadlineExceeded)
		}), 504, inTime + "context deadline exceeded: dial: i/o timeout"},
		{"a stream that comes too late", endpoint.Spec{}, 0, streams(true, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return &proxy.Response{Body: newBody("rows")}, nil
		}), 504, inTime + "the response came too late: context deadline exceeded"},
		{"a connection that comes too late", endpoint.Spec{Stream: true}, 0, streams(true, func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			ours, _ := net.Pipe()
			return &proxy.Response{Status: 101, Upgrade: ours}, nil
		}), 504, inTime + "the response came too late: context deadline exceeded"},
		{"first bytes that do not come", endpoint.Spec{}, 0, func(ctx, *proxy.Request) (*proxy.Response, error) {
			r, _ := io.Pipe()
			return &proxy.Response{Body: r, Header: http.Header{"Content-Length": {"4"}}}, nil
		}, 504, inTime + "stream: context deadline exceeded"},
		{"another failure", endpoint.Spec{}, 0, streams(true, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, &proxy.Error{Status: 503, Op: "limit", Err: ctx.Err()}
		}), 503, "limit: context deadline exceeded"},
		{"a clock inside", endpoint.Spec{}, 0, streams(true, func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
			inner, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return sent(inner, req)
		}), 504, "backend w: send: context deadline exceeded"},
		{"a clock outside", endpoint.Spec{}, time.Second, streams(true, sent), 504, "backend w: send: context deadline exceeded"},
		{"no clock", endpoint.Spec{Timeout: -1}, 0, fails(context.DeadlineExceeded), 504, "context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got reports
				tt.spec.Proxy, tt.spec.Report = tt.call, got.add
				h := newHandler(t, tt.spec)
				dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.client > 0 {
						ctx, cancel := context.WithTimeout(r.Context(), tt.client)
						defer cancel()
						r = r.WithContext(ctx)
					}
					h.ServeHTTP(w, r)
				}))
				c := dial()
				fmt.Fprint(c, upgrade)
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				assert.Equal(t, tt.status, res.StatusCode)
				require.Len(t, got.all(), 1)
				assert.EqualError(t, got.all()[0], tt.text)
				assert.ErrorIs(t, got.all()[0], context.DeadlineExceeded)
				assert.Equal(t, tt.status, proxy.StatusOf(got.all()[0]))
				<-time.After(time.Minute) // what ignores its context
			})
		})
	}
}

// proves O19
func TestAPartialAnswerIsOutBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) { <-ctx.Done(); return nil, ctx.Err() }
		dial := serve(t, newHandler(t, endpoint.Spec{Timeout: time.Second, Proxy: proxy.Merge(
			proxy.Part{Proxy: jsonOf(`{"a":1}`)}, proxy.Part{Name: "slow", Proxy: slow, Optional: true})}))
		start := time.Now()
		res, err := clientOf(t, dial).Get("http://a/")
		require.NoError(t, err)
		defer res.Body.Close()
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, "false", res.Header.Get("X-Completed"))
		assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		assert.Less(t, time.Since(start), time.Second)
	})
}

// proves T2, M22
func TestAClientThatGoesAwayEndsThePipeAtOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			var got reports
			entered, ended := make(chan struct{}), make(chan time.Time, 1)
			dial := serve(t, newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
				close(entered)
				<-ctx.Done()
				ended <- time.Now()
				return nil, fmt.Errorf("backend: %w", ctx.Err())
			})}))
			c := dial()
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-entered
			left := time.Now()
			c.Close()
			assert.Equal(t, left, <-ended)
			synctest.Wait()
			require.Len(t, got.all(), 1)
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(got.all()[0]))
		})
	})
}

// proves L27
func TestStreamsLeaveNothingBehind(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			var open atomic.Int64
			h := newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
				own, cancel := context.WithCancel(ctx)
				open.Add(1)
				context.AfterFunc(own, func() { open.Add(-1) })
				res := &proxy.Response{Body: newBody("rows")}
				res.OnClose(cancel)
				return res, nil
			})})
			for range 500 {
				record(h, httptest.NewRequest(http.MethodGet, "/", nil))
			}
			synctest.Wait()
			assert.Zero(t, open.Load())
		})
	})
}

// proves H11
func TestTrailersArePassedOnAnnouncedOrNot(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, honoursContext bool) {
		for _, text := range []string{"rows", ""} {
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
				return &proxy.Response{Body: newBody(text), Header: http.Header{"Trailer": {"X-Sum"}}, Trailer: func() http.Header {
					return http.Header{"X-Sum": {"9"}, "X-Late": {"1", "2"}, "Connection": {"x"}, "X-Nul": {"\x00"}}
				}}
			}))}))
			res, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			assert.Empty(t, res.Header["Trailer"])
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			res.Body.Close()
			assert.Equal(t, text, string(b))
			assert.Equal(t, http.Header{"X-Sum": {"9"}, "X-Late": {"1", "2"}}, res.Trailer)
		}
	})
}

// A whole body is as long as was announced, but comes to its end only with the read after its last
// byte.
type whole struct {
	io.Reader
	last   func() error // the end; nil is EOF at once
	reads  atomic.Int64 // behind the last byte
	ended  atomic.Bool
	closed atomic.Int64
}

func (w *whole) Read(p []byte) (int, error) {
	if n, _ := w.Reader.Read(p); n > 0 {
		return n, nil
	}
	w.reads.Add(1)
	err := io.EOF
	if w.last != nil {
		err = w.last()
	}
	w.ended.Store(err == io.EOF)
	return 0, err
}

func (w *whole) Close() error {
	w.closed.Add(1)
	return nil
}

// trailer knows the trailers at the end only.
func (w *whole) trailer() http.Header {
	if !w.ended.Load() {
		return nil
	}
	return http.Header{"X-Sum": {"9"}}
}

// proves H11
func TestTrailersBehindALengthArePassedOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, length string
		last               func() error
		want               http.Header
		broken             bool
	}{
		{"as long as announced", "rows", "4", nil, http.Header{"X-Sum": {"9"}}, false},
		{"empty", "", "0", nil, http.Header{"X-Sum": {"9"}}, false},
		{"a surplus", "rows and more", "4", nil, http.Header{"X-Sum": {"9"}}, false},
		{"a surplus without end", strings.Repeat("x", 1<<20), "4", nil, nil, false},
		{"an end that breaks", "rows", "4", func() error { return io.ErrUnexpectedEOF }, nil, true},
		{"an end that panics", "rows", "4", func() error { panic("bug") }, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, events := range []bool{false, true} {
				bothWays(t, func(t *testing.T, honoursContext bool) {
					var got reports
					sent := &whole{Reader: strings.NewReader(tt.text), last: tt.last}
					header := http.Header{"Content-Length": {tt.length}}
					if events {
						header.Set("Content-Type", "text/event-stream")
					}
					srv := startProto(t, newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, answers(func() *proxy.Response {
						return &proxy.Response{Body: sent, Header: header, Trailer: sent.trailer}
					}))}), true)
					res, err := srv.Client().Get(srv.URL)
					if err == nil {
						var b []byte
						b, err = io.ReadAll(res.Body)
						res.Body.Close()
						if !tt.broken {
							assert.Equal(t, tt.length, fmt.Sprint(len(b)))
							assert.Equal(t, tt.want, res.Trailer)
						}
					}
					assert.Equal(t, tt.broken, err != nil, err)
					srv.Close()
					assert.Len(t, got.all(), map[bool]int{true: 1}[tt.broken])
					assert.EqualValues(t, 1, sent.closed.Load())
				})
			}
		})
	}
}

// proves H11, M1
func TestTheLastEventDoesNotWaitForTheTrailers(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, honoursContext bool) {
		read := make(chan struct{})
		sent := &whole{Reader: strings.NewReader("rows"), last: func() error { <-read; return io.EOF }}
		srv := startProto(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
			return &proxy.Response{Body: sent, Trailer: sent.trailer,
				Header: http.Header{"Content-Length": {"4"}, "Content-Type": {"text/event-stream"}}}
		}))}), true)
		res, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		_, err = io.ReadFull(res.Body, make([]byte, 4))
		require.NoError(t, err)
		close(read)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-Sum": {"9"}}, res.Trailer)
	})
}

// proves H11, T1
func TestTrailersThatDoNotComeEndAtTheIdleLimit(t *testing.T) {
	bothWays(t, func(t *testing.T, honoursContext bool) {
		synctest.Test(t, func(t *testing.T) {
			var got reports
			r, w := io.Pipe()
			h := newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, answers(func() *proxy.Response {
				return &proxy.Response{Body: r, Header: http.Header{"Content-Length": {"4"}}, Trailer: func() http.Header { return nil }}
			}))})
			go func() { _, _ = io.WriteString(w, "rows") }()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.ProtoMajor, req.ProtoMinor = 2, 0
			start := time.Now()
			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { record(h, req) })
			assert.Equal(t, endpoint.DefaultIdleTimeout, time.Since(start))
			require.Len(t, got.all(), 1)
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(got.all()[0]))
		})
	})
}

func TestNothingIsReadBehindALengthWhereNoTrailersCanFollow(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		bothWays(t, func(t *testing.T, honoursContext bool) {
			sent := &whole{Reader: strings.NewReader("rows")}
			srv := startProto(t, newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, answers(func() *proxy.Response {
				res := &proxy.Response{Body: sent, Header: http.Header{"Content-Length": {"4"}}}
				if !http2 { // HTTP/1 has no place for them
					res.Trailer = sent.trailer
				}
				return res
			}))}), http2)
			_, b := get(t, srv, "/")
			assert.Equal(t, "rows", b)
			srv.Close()
			assert.Zero(t, sent.reads.Load())
		})
	}
}

// proves H11
func TestTEIsHandedOnAsTrailersOnly(t *testing.T) {
	t.Parallel()
	for te, want := range map[string][]string{"trailers": {"trailers"}, "gzip, Trailers;q=1": nil, "gzip,Trailers": {"trailers"}, "gzip": nil} {
		for _, stream := range []bool{true, false} {
			var s seen
			h := newHandler(t, endpoint.Spec{Stream: stream, Proxy: s.call})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Te", te)
			record(h, r)
			if !stream {
				want = nil
			}
			assert.Equal(t, want, s.last.Header["Te"], te)
		}
	}
}

// bare hides what net/http's ResponseWriter can do beside the interface.
type bare struct{ http.ResponseWriter }

func TestAStreamIsNotBufferedSilently(t *testing.T) {
	t.Parallel()
	stream := streams(true, answers(func() *proxy.Response { return &proxy.Response{Body: newBody("rows")} }))
	tests := []struct {
		name   string
		stream bool
		wrap   func(http.ResponseWriter) http.ResponseWriter
		method string
		status int
	}{
		{"Stream, no deadlines", true, func(w http.ResponseWriter) http.ResponseWriter { return w }, "GET", 500},
		{"Stream, nothing", true, func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }, "GET", 500},
		{"Stream, nothing, with a body", true, func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }, "POST", 500},
		{"no deadlines", false, func(w http.ResponseWriter) http.ResponseWriter { return w }, "GET", 200},
		{"nothing", false, func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }, "GET", 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got reports
			h := newHandler(t, endpoint.Spec{Stream: tt.stream, Proxy: stream, Report: got.add})
			w := httptest.NewRecorder()
			h.ServeHTTP(tt.wrap(w), httptest.NewRequest(tt.method, "/", strings.NewReader("x")))
			assert.Equal(t, tt.status, w.Code)
			if tt.status == 500 {
				require.Len(t, got.all(), 1)
				assert.ErrorIs(t, got.all()[0], http.ErrNotSupported)
			}
		})
	}
}

// proves H12, L31, M12
func TestInformationalAnswersReachTheClientOfAStream(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{true, false} {
		var inform func(int, http.Header)
		srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: stream, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			inform = req.Inform
			if inform != nil {
				inform(103, http.Header{"Link": {"</a.css>"}, "Connection": {"x"}})
				inform(100, nil)
				inform(101, nil)
				inform(200, nil)
				inform(102, nil)
			}
			return &proxy.Response{Document: documentOf(`{}`)}, nil
		})}))
		answer := rawExchange(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
		srv.Close()
		if !stream {
			assert.Nil(t, inform)
			assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n"), answer)
			continue
		}
		early := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"
		assert.True(t, strings.HasPrefix(answer, early), answer)
		assert.Equal(t, 1, strings.Count(answer, "Link"), "nothing of it is left")
	}
}

// counting counts the headers that are written.
type counting struct {
	*httptest.ResponseRecorder
	headers int
}

func (c *counting) WriteHeader(status int) {
	c.headers++
	c.ResponseRecorder.WriteHeader(status)
}

// proves H12
func TestInformationalAnswersEndWithTheirRequest(t *testing.T) {
	t.Parallel()
	var inform func(int, http.Header)
	h := newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		inform = req.Inform
		return &proxy.Response{Document: documentOf(`{}`)}, nil
	})})
	w := &counting{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	inform(103, http.Header{"Link": {"late"}})
	assert.Equal(t, 1, w.headers)
	assert.NotContains(t, w.Header(), "Link")
}

// proves T2
func TestTheContextEndsWithTheHandler(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, honoursContext bool) {
		for _, timeout := range []time.Duration{0, -1} {
			var kept context.Context
			record(newHandler(t, endpoint.Spec{Timeout: timeout, Proxy: streams(honoursContext, func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
				kept = ctx
				return &proxy.Response{Body: newBody("rows")}, nil
			})}), httptest.NewRequest(http.MethodGet, "/", nil))
			assert.ErrorIs(t, kept.Err(), context.Canceled)
		}
	})
}

// proves H12
func TestInformationalAnswersAreNotForHTTP10(t *testing.T) {
	t.Parallel()
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		assert.Nil(t, req.Inform)
		return &proxy.Response{}, nil
	})}))
	rawExchange(t, srv, "GET / HTTP/1.0\r\nHost: a\r\n\r\n", false)
}

// startProto starts a server that speaks HTTP/1.1, or HTTP/2 over TLS.
func startProto(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = http2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv
}

func TestAStreamAnswersWhileTheRequestIsStillSent(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		srv := startProto(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: req.Body, Trailer: req.Trailer}, nil // an echo
		})}), http2)
		r, w := io.Pipe()
		req, err := http.NewRequest(http.MethodPost, srv.URL, r)
		require.NoError(t, err)
		req.Trailer = http.Header{"X-Sum": nil}
		res, err := srv.Client().Do(req)
		require.NoError(t, err)
		assert.Equal(t, http2, res.ProtoMajor == 2)
		b := make([]byte, 4)
		for range 3 {
			_, err = io.WriteString(w, "ping")
			require.NoError(t, err)
			_, err = io.ReadFull(res.Body, b)
			require.NoError(t, err)
			assert.Equal(t, "ping", string(b))
		}
		req.Trailer.Set("X-Sum", "12")
		w.Close()
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, "12", res.Trailer.Get("X-Sum"))
	}
}

func TestALargeAnswerThatBeginsAsTheRequestEndsIsWhole(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), 256<<10)
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		_, err := req.Body.Read(make([]byte, 1))
		rest := make(chan struct{})
		go func() {
			defer close(rest)
			_, _ = io.Copy(io.Discard, req.Body)
		}()
		res := &proxy.Response{Body: io.NopCloser(bytes.NewReader(large)), Header: http.Header{"Content-Length": {fmt.Sprint(len(large))}}}
		res.OnClose(func() { <-rest })
		return res, err
	})}))
	for i := range 300 {
		res, err := srv.Client().Post(srv.URL, "text/plain", struct{ io.Reader }{strings.NewReader("a small body")})
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		require.NoError(t, err, i)
		require.EqualValues(t, len(large), n)
	}
}

// proves F3
func TestAStreamThatBreaksResetsItsStreamOfHTTP2(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{nil, {"Content-Length": {"9"}}} {
		srv := startProto(t, newHandler(t, endpoint.Spec{Proxy: streams(true, answers(func() *proxy.Response {
			return &proxy.Response{Header: header, Body: &breaking{Reader: strings.NewReader("rows"), err: io.ErrUnexpectedEOF}}
		}))}), true)
		res, err := srv.Client().Get(srv.URL)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		assert.ErrorContains(t, err, "stream error")
	}
}

// proves T2
func TestAClientThatGoesAwayEndsThePipeWithin100ms(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		entered, ended := make(chan struct{}), make(chan time.Time, 1)
		srv := startProto(t, newHandler(t, endpoint.Spec{Proxy: func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
			close(entered)
			<-ctx.Done()
			ended <- time.Now()
			return nil, ctx.Err()
		}}), http2)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res, err := srv.Client().Do(req); err == nil {
				res.Body.Close()
			}
		}()
		<-entered
		left := time.Now()
		cancel()
		assert.Less(t, (<-ended).Sub(left), 100*time.Millisecond)
		<-done
	}
}

// proves F9
func TestAReadThatWaitsEndsWithTheHandlerOfHTTP2(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	srv := startProto(t, newHandler(t, endpoint.Spec{Stream: true, IdleTimeout: -1, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		begun := make(chan struct{})
		go func() {
			_, err := io.ReadFull(req.Body, make([]byte, 4))
			close(begun)
			if err == nil {
				_, err = io.ReadAll(req.Body)
			}
			ended <- err
		}()
		<-begun
		return &proxy.Response{Document: documentOf(`{}`)}, nil
	})}), true)
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "ping") }()
	res, err := srv.Client().Post(srv.URL, "text/plain", r)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, "{}", string(b))
	assert.Error(t, <-ended)
}
