package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// A source is the body of a request. It counts how often it is closed.
type source struct {
	read   func(p []byte) (int, error)
	closed chan struct{} // closed by the first Close
	closes atomic.Int64
}

func newSource(read func(p []byte) (int, error)) *source {
	return &source{read: read, closed: make(chan struct{})}
}

func (s *source) Read(p []byte) (int, error) { return s.read(p) }

func (s *source) Close() error {
	if s.closes.Add(1) == 1 {
		close(s.closed)
	}
	return nil
}

// post sends a body to http://host/.
func post(ctx context.Context, transport *h1.Transport, body io.Reader, length int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://host/", body)
	if err != nil {
		return nil, err
	}
	if length != 0 {
		req.ContentLength = length
	}
	return transport.RoundTrip(req)
}

// proves F1
func TestABodyHasTheLengthThatWasAnnounced(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100_000)
	tests := []struct {
		name   string
		body   io.Reader
		length int64
		want   string
	}{
		{"shorter", strings.NewReader("hello"), 6, "http: ContentLength=6 with Body length 5"},
		{"longer", strings.NewReader("hello"), 4, "http: ContentLength=4 with Body length 5"},
		{"shorter stream", stream{strings.NewReader("hello")}, 6, "http: ContentLength=6 with Body length 5"},
		{"as long as can be", strings.NewReader("hello"), math.MaxInt64, "http: ContentLength=9223372036854775807 with Body length 5"},
		{"longer stream", stream{strings.NewReader("hello")}, 4, "http: ContentLength=4 with Body length 5"},
		{"large and shorter", strings.NewReader(large), 100_001, "http: ContentLength=100001 with Body length 100000"},
		{"large and longer", strings.NewReader(large), 99_999, "http: ContentLength=99999 with Body length 100000"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			whole := false
			peer := &peer{serve: func(c net.Conn, r *bufio.Reader, n int) {
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if _, err = io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					whole = whole || n == 1
					_, _ = io.WriteString(c, hello)
				}
			}}
			transport := peer.transport()
			_, err := post(t.Context(), transport, tt.body, tt.length)
			assert.EqualError(t, err, tt.want, tt.name)
			synctest.Wait()
			assert.False(t, whole, "the request arrived")
			res, err := post(t.Context(), transport, strings.NewReader("hello"), 0)
			body(t, res, err)
			assert.EqualValues(t, 2, peer.dials.Load())
			transport.CloseIdleConnections()
		})
	}
}

// proves T4
func TestABodyThatFailsIsTheError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tests := []struct {
		name string
		read func(p []byte) (int, error)
		want string
	}{
		{"error", func([]byte) (int, error) { return 0, broken }, "broken"},
		{"error with bytes", func(p []byte) (int, error) { return copy(p, "x"), broken }, "broken"},
		{"panic", func([]byte) (int, error) { panic("bug") }, "bug"},
		{"Goexit", func([]byte) (int, error) { runtime.Goexit(); return 0, nil }, "Goexit"},
		{"a lie", func(p []byte) (int, error) { return len(p) + 1, nil }, "impossible count"},
		{"a negative lie", func([]byte) (int, error) { return -1, nil }, "impossible count"},
		{"no progress", func([]byte) (int, error) { return 0, nil }, io.ErrNoProgress.Error()},
	}
	for _, tt := range tests {
		for _, method := range []string{"POST", "GET"} { // that of GET is probed
			for _, length := range []int64{-1, 5} {
				synctest.Test(t, func(t *testing.T) {
					peer := answers(hello)
					s := newSource(tt.read)
					req, err := http.NewRequestWithContext(t.Context(), method, "http://host/", s)
					require.NoError(t, err)
					req.ContentLength = length
					start := time.Now()
					_, err = peer.transport().RoundTrip(req)
					assert.ErrorContains(t, err, tt.want, tt.name)
					assert.Less(t, time.Since(start), 10*time.Millisecond)
					<-s.closed
					assert.EqualValues(t, 1, s.closes.Load())
				})
			}
		}
	}
}

func TestABodyOfUnknownLengthIsProbedWhereItIsLikelyToBeEmpty(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method string
		body         func() io.Reader
		want         string
	}{
		{"empty", "GET", func() io.Reader { return stream{strings.NewReader("")} }, "0 []"},
		{"not empty", "GET", func() io.Reader { return stream{strings.NewReader("hello")} }, "5 [chunked]"},
		{"in memory", "DELETE", func() io.Reader { return io.NopCloser(bytes.NewBufferString("hello")) }, "5 [chunked]"},
		{"empty in memory", "DELETE", func() io.Reader { return io.NopCloser(bytes.NewBufferString("")) }, "0 []"},
		{"empty POST", "POST", func() io.Reader { return stream{strings.NewReader("")} }, "0 [chunked]"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var got string
			transport := echo(&got).transport()
			for range 2 {
				req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://host/", tt.body())
				require.NoError(t, err)
				req.ContentLength = 0
				res, err := transport.RoundTrip(req)
				body(t, res, err)
				assert.Equal(t, tt.want, got, tt.name)
			}
			transport.CloseIdleConnections()
		})
	}
}

func TestASlowBodyIsNotProbedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got string
		r, w := io.Pipe()
		time.AfterFunc(time.Second, func() {
			_, _ = io.WriteString(w, "hello")
			_ = w.Close()
		})
		transport := echo(&got).transport()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/", r)
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		body(t, res, err)
		assert.Equal(t, "5 [chunked]", got)
		transport.CloseIdleConnections()
	})
}

// echo returns a peer that says which body it has got.
func echo(got *string) *peer {
	return &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			b, _ := io.ReadAll(req.Body)
			*got = strings.TrimSpace(strings.Join([]string{strconv.Itoa(len(b)), "[" + strings.Join(req.TransferEncoding, " ") + "]"}, " "))
			_, _ = io.WriteString(c, hello)
		}
	}}
}

func TestTrailersGoOutWithWhatTheBodyFillsIn(t *testing.T) {
	t.Parallel()
	for _, memory := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var names, trailer http.Header
			peer := &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
				req, err := http.ReadRequest(r)
				if !assert.NoError(t, err) {
					return
				}
				names = req.Trailer.Clone()
				_, _ = io.Copy(io.Discard, req.Body)
				trailer = req.Trailer
				_, _ = io.WriteString(c, hello)
			}}
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://host/", strings.NewReader("x"))
			require.NoError(t, err)
			req.Trailer = http.Header{"A": nil, "B": {"early"}}
			req.ContentLength = -1
			if !memory {
				text := strings.NewReader("hello")
				req.Body = newSource(func(p []byte) (int, error) {
					n, err := text.Read(p)
					if err == io.EOF {
						req.Trailer["A"] = []string{"late", "twice"}
					}
					return n, err
				})
			}
			res, err := peer.transport().RoundTrip(req)
			body(t, res, err)
			assert.Equal(t, http.Header{"A": nil, "B": nil}, names)
			assert.Equal(t, []string{"early"}, trailer["B"])
			if !memory {
				assert.Equal(t, []string{"late", "twice"}, trailer["A"])
			}
		})
	}
}

func TestATrailerThatCannotBeSentIsAnError(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"A": "b\r\nc: d", "Content-Length": "5", "a b": "c"} {
		synctest.Test(t, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://host/", nil)
			require.NoError(t, err)
			req.Trailer = http.Header{"Z": nil}
			req.ContentLength = -1
			req.Body = newSource(func([]byte) (int, error) {
				req.Trailer[name] = []string{value}
				return 0, io.EOF
			})
			_, err = answers(hello).transport().RoundTrip(req)
			assert.ErrorContains(t, err, "invalid trailer")
		})
	}
}

// An answer that is there before the body was sent is returned, and ends the upload.
func TestAnEarlyAnswerEndsTheUpload(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body func(s **source) io.Reader
	}{
		{"a body that waits", func(s **source) io.Reader {
			closed := make(chan struct{})
			*s = newSource(func([]byte) (int, error) { <-closed; return 0, io.EOF })
			(*s).closed = closed
			return *s
		}},
		{"an endless body", func(s **source) io.Reader {
			*s = newSource(func(p []byte) (int, error) { return len(p), nil })
			return *s
		}},
		{"a large body in memory", func(**source) io.Reader { return strings.NewReader(strings.Repeat("x", 1<<20)) }},
		{"a small body in memory", func(**source) io.Reader { return strings.NewReader(strings.Repeat("x", 8<<10)) }},
	}
	for _, tt := range tests {
		for _, answer := range []string{hello, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n"} {
			synctest.Test(t, func(t *testing.T) {
				peer := &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
					_, err := http.ReadRequest(r)
					assert.NoError(t, err)
					_, _ = io.WriteString(c, answer)
					if strings.Contains(answer, "close") {
						return
					}
					<-time.After(time.Minute) // it does not read on
				}}
				var s *source
				transport := peer.transport()
				start := time.Now()
				res, err := post(t.Context(), transport, tt.body(&s), 0)
				require.NoError(t, err, tt.name)
				_, err = io.ReadAll(res.Body)
				assert.NoError(t, err)
				assert.NoError(t, res.Body.Close())
				assert.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
				if s != nil {
					<-s.closed
				}
				res, err = get(t.Context(), transport, "GET")
				require.NoError(t, err)
				assert.NoError(t, res.Body.Close())
				assert.EqualValues(t, 2, peer.dials.Load(), "the connection is not used again")
				<-time.After(time.Minute) // the peer has ended
			})
		}
	}
}

// The answer may stream while the request does.
func TestBothDirectionsStreamAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		peer := &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, chunkedHead)
				lines := bufio.NewScanner(req.Body)
				for lines.Scan() {
					_, _ = io.WriteString(c, "3\r\n"+lines.Text()+"\n\r\n")
				}
				_, _ = io.WriteString(c, "0\r\n\r\n")
			}
		}}
		transport := peer.transport()
		for range 2 {
			r, w := io.Pipe()
			res, err := post(t.Context(), transport, r, -1)
			require.NoError(t, err)
			answer := bufio.NewReader(res.Body)
			for _, line := range []string{"ab\n", "cd\n", "ef\n"} {
				_, _ = io.WriteString(w, line)
				got, err := answer.ReadString('\n')
				assert.NoError(t, err)
				assert.Equal(t, line, got)
			}
			_ = w.Close()
			_, err = answer.ReadByte()
			assert.Equal(t, io.EOF, err)
			assert.NoError(t, res.Body.Close())
		}
		assert.EqualValues(t, 1, peer.dials.Load())
		transport.CloseIdleConnections()
	})
}

// A body in memory that the server sends back while it reads must not block both sides.
func TestALargeBodyIsEchoed(t *testing.T) {
	t.Parallel()
	url := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		_, _ = io.Copy(w, r.Body)
	})
	transport := newTransport(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(large))
	require.NoError(t, err)
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	assert.True(t, bytes.Equal(large, got))
	assert.NoError(t, res.Body.Close())
}

// proves T6
func TestAnUploadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	block := func(ctx context.Context) io.Reader {
		return newSource(func([]byte) (int, error) { <-ctx.Done(); <-time.After(time.Second); return 0, io.EOF })
	}
	endless := func(context.Context) io.Reader { return newSource(func(p []byte) (int, error) { return len(p), nil }) }
	large := func(context.Context) io.Reader { return strings.NewReader(strings.Repeat("x", 1<<20)) }
	small := func(context.Context) io.Reader { return strings.NewReader(strings.Repeat("x", 8<<10)) }
	for _, source := range []func(context.Context) io.Reader{block, endless, large, small} {
		for _, method := range []string{"POST", "GET"} {
			for _, reads := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					peer := &peer{serve: func(_ net.Conn, r *bufio.Reader, _ int) {
						if reads {
							_, _ = http.ReadRequest(r)
						}
						<-time.After(time.Minute)
					}}
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, method, "http://host/", source(ctx))
					require.NoError(t, err)
					start := time.Now()
					_, err = peer.transport().RoundTrip(req)
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, 50*time.Millisecond, time.Since(start))
					<-time.After(time.Minute) // the peer has ended
				})
			}
		}
	}
}

// The answer of a peer that has closed its side for reading is not lost.
func TestAnAnswerIsReadThoughTheRequestCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, source := range []io.Reader{nil, strings.NewReader("x"), stream{strings.NewReader("x")}} {
			transport := &h1.Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					_, _ = io.WriteString(server, "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhe")
					<-time.After(time.Second)
					_, _ = io.WriteString(server, "llo")
					_ = server.Close()
				}()
				return brokenWriter{client}, nil
			}}
			res, err := post(t.Context(), transport, source, 0)
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			assert.NoError(t, err)
			assert.Equal(t, "hello", string(b))
			assert.NoError(t, res.Body.Close())
		}
	})
}

func TestARequestThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, source := range []io.Reader{nil, strings.NewReader("x"), stream{strings.NewReader("x")}} {
			transport := &h1.Transport{Dial: func(context.Context, string, string) (net.Conn, error) {
				client, _ := net.Pipe()
				return brokenWriter{client}, nil
			}}
			start := time.Now()
			_, err := post(t.Context(), transport, source, 0)
			assert.ErrorIs(t, err, errBrokenWriter)
			assert.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
		}
	})
}

type brokenWriter struct{ net.Conn }

var errBrokenWriter = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBrokenWriter }

func TestContinueIsWaitedFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		before  string        // what the peer says first
		wait    time.Duration // and for how long it then waits for the body
		status  int
		pulled  bool
		elapsed time.Duration
	}{
		{"continue", "HTTP/1.1 100 Continue\r\n\r\n", 0, 200, true, 0},
		{"behind early hints", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", 0, 200, true, 0},
		{"nothing", "", 0, 200, true, time.Second},
		{"refused", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", -1, 413, false, 0},
		{"refused at length", "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge", -1, 413, false, 0},
	}
	for _, tt := range tests {
		for _, memory := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				peer := &peer{serve: func(c net.Conn, r *bufio.Reader, _ int) {
					req, err := http.ReadRequest(r)
					assert.NoError(t, err)
					assert.Zero(t, r.Buffered(), "the body has not come with the head")
					_, _ = io.WriteString(c, tt.before)
					if tt.wait < 0 {
						_, _ = io.Copy(io.Discard, r)
						return
					}
					b, err := io.ReadAll(req.Body)
					assert.NoError(t, err)
					assert.Equal(t, "hello", string(b))
					_, _ = io.WriteString(c, hello)
				}}
				text := strings.NewReader("hello")
				pulled := false
				s := newSource(func(p []byte) (int, error) { pulled = true; return text.Read(p) })
				var reader io.Reader = s
				if memory {
					reader = text
				}
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://host/", reader)
				require.NoError(t, err)
				req.ContentLength = 5
				req.Header.Set("Expect", "100-continue")
				start := time.Now()
				transport := peer.transport()
				res, err := transport.RoundTrip(req)
				body(t, res, err)
				assert.Equal(t, tt.status, res.StatusCode)
				assert.Equal(t, tt.elapsed, time.Since(start))
				if !memory {
					<-s.closed
					assert.Equal(t, tt.pulled, pulled)
					assert.EqualValues(t, 1, s.closes.Load())
				} else {
					assert.Equal(t, tt.pulled, text.Len() == 0)
				}
				transport.CloseIdleConnections()
			})
		}
	}
}

func TestTheBodyIsClosedHoweverACallEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(req *http.Request, transport *h1.Transport)
	}{
		{"sent", func(*http.Request, *h1.Transport) {}},
		{"no URL", func(req *http.Request, _ *h1.Transport) { req.URL = nil }},
		{"no header", func(req *http.Request, _ *h1.Transport) { req.Header = nil }},
		{"scheme", func(req *http.Request, _ *h1.Transport) { req.URL.Scheme = "ftp" }},
		{"host", func(req *http.Request, _ *h1.Transport) { req.URL.Host = "" }},
		{"method", func(req *http.Request, _ *h1.Transport) { req.Method = "a b" }},
		{"value", func(req *http.Request, _ *h1.Transport) { req.Header["A"] = []string{"\n"} }},
		{"target", func(req *http.Request, _ *h1.Transport) { req.URL.RawQuery = " " }},
		{"dial", func(_ *http.Request, transport *h1.Transport) {
			transport.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}},
	}
	for _, tt := range tests {
		for _, memory := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				text := strings.NewReader("hello")
				s := newSource(text.Read)
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://host/", s)
				require.NoError(t, err)
				if memory {
					req.ContentLength = 5
				}
				transport := answers(hello).transport()
				tt.change(req, transport)
				res, err := transport.RoundTrip(req)
				if tt.name == "sent" {
					body(t, res, err)
				} else {
					assert.Error(t, err, tt.name)
				}
				<-s.closed
				assert.EqualValues(t, 1, s.closes.Load(), tt.name)
				transport.CloseIdleConnections()
			})
		}
	}
}
