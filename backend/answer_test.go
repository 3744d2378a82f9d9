package backend_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves M15, M16, M13, M14, F5, L19, U8, D9
func TestTheStatusOfADecodedAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		upstream int
		want     int
		document string // of a success
	}{
		{99, 502, ""}, {100, 502, ""}, {101, 502, ""}, {103, 502, ""}, {150, 502, ""},
		{200, 200, `{"a":1}`}, {201, 201, `{"a":1}`}, {202, 202, `{"a":1}`}, {203, 203, `{"a":1}`}, {204, 204, ""}, {205, 205, ""},
		{206, 502, ""}, {207, 207, `{"a":1}`}, {299, 299, `{"a":1}`},
		{300, 502, ""}, {301, 502, ""}, {302, 502, ""}, {304, 502, ""}, {307, 502, ""}, {308, 502, ""},
		{400, 400, ""}, {401, 502, ""}, {403, 403, ""}, {404, 404, ""}, {407, 502, ""}, {418, 418, ""}, {429, 429, ""}, {499, 499, ""},
		{500, 502, ""}, {501, 502, ""}, {502, 502, ""}, {503, 503, ""}, {504, 504, ""}, {507, 502, ""}, {599, 502, ""},
		{600, 502, ""}, {999, 502, ""}, {1000, 502, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.upstream), func(t *testing.T) {
			t.Parallel()
			up := &answers{status: tt.upstream, body: `{"a":1}`, header: http.Header{"Location": {"http://evil.example/"}}}
			res, err := get(t, newBackend(t, up, backend.Spec{}))
			assert.Equal(t, 1, up.calls, "nothing is followed")
			assert.EqualValues(t, 1, up.body0.closes.Load())
			if tt.want >= 400 {
				require.Error(t, err)
				assert.Nil(t, res)
				assert.Equal(t, tt.want, proxy.StatusOf(err))
				e, ok := errors.AsType[*proxy.Error](err)
				require.True(t, ok)
				assert.Equal(t, "status", e.Op)
				assert.Equal(t, tt.upstream, e.Upstream.Status)
				assert.NotContains(t, err.Error(), "example")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Status)
			assert.Equal(t, tt.document, res.Document.String())
			assert.Equal(t, tt.document == "", res.Document.IsZero())
			assert.Nil(t, res.Body)
		})
	}
}

// proves M16
func TestAFailureKeepsWhatAClientNeeds(t *testing.T) {
	t.Parallel()
	h := http.Header{"Retry-After": {"7"}, "Www-Authenticate": {"Bearer", "Basic\x00"}, "Set-Cookie": {"a=1"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}}
	tests := []struct {
		name     string
		upstream int
		spec     backend.Spec
		set      func(*proxy.Request)
		want     int
		header   http.Header
	}{
		{"429", 429, backend.Spec{}, nil, 429, http.Header{"Retry-After": {"7"}}},
		{"503", 503, backend.Spec{}, nil, 503, http.Header{"Retry-After": {"7"}}},
		{"404", 404, backend.Spec{}, nil, 404, http.Header{"Retry-After": {"7"}}},
		{"500", 500, backend.Spec{}, nil, 502, nil},
		{"302", 302, backend.Spec{}, nil, 502, nil},
		{"401 of our credentials", 401, backend.Spec{}, func(r *proxy.Request) { r.Upstream.Set("Authorization", "ours") }, 502, nil},
		{"401 without credentials", 401, backend.Spec{Headers: []string{"*"}}, nil, 502, nil},
		{"401 of credentials that did not go", 401, backend.Spec{Headers: []string{"*", "-Authorization"}},
			func(r *proxy.Request) { r.Header.Set("Authorization", "theirs") }, 502, nil},
		{"401 of the client's credentials", 401, backend.Spec{Headers: []string{"Authorization"}},
			func(r *proxy.Request) { r.Header.Set("Authorization", "theirs") }, 401, http.Header{"Retry-After": {"7"}, "Www-Authenticate": {"Bearer"}}},
		{"401 of the client's cookie", 401, backend.Spec{Headers: []string{"*"}},
			func(r *proxy.Request) { r.Header.Set("Cookie", "theirs") }, 401, http.Header{"Retry-After": {"7"}, "Www-Authenticate": {"Bearer"}}},
		{"401 of credentials that ours replaced", 401, backend.Spec{Headers: []string{"*"}},
			func(r *proxy.Request) {
				r.Header.Set("Authorization", "theirs")
				r.Upstream.Set("Authorization", "ours")
			}, 502, nil},
		{"401 of credentials that ours replaced, in lower case", 401, backend.Spec{Headers: []string{"*"}},
			func(r *proxy.Request) {
				r.Header.Set("Authorization", "theirs")
				r.Upstream["authorization"] = []string{"ours"}
			}, 502, nil},
		{"401 of credentials that the URL's replaced", 401, backend.Spec{URL: "http://me:secret@h/", Headers: []string{"*"}},
			func(r *proxy.Request) { r.Header.Set("Authorization", "theirs") }, 502, nil},
		{"407", 407, backend.Spec{Headers: []string{"*"}}, func(r *proxy.Request) { r.Header.Set("Proxy-Authorization", "theirs") }, 502, nil},
		{"mapped", 404, backend.Spec{MapStatus: map[int]int{404: 410}}, nil, 410, http.Header{"Retry-After": {"7"}}},
		{"mapped 401", 401, backend.Spec{MapStatus: map[int]int{401: 401}}, nil, 401, http.Header{"Retry-After": {"7"}, "Www-Authenticate": {"Bearer"}}},
		{"mapped 5xx", 500, backend.Spec{MapStatus: map[int]int{500: 500}}, nil, 500, http.Header{"Retry-After": {"7"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{status: tt.upstream, header: h, body: "why it failed"}
			req := proxy.NewRequest("GET", "/")
			if tt.set != nil {
				tt.set(req)
			}
			_, err := newBackend(t, up, tt.spec)(t.Context(), req)
			assert.Equal(t, tt.want, proxy.StatusOf(err))
			e, ok := errors.AsType[*proxy.Error](err)
			require.True(t, ok)
			assert.Equal(t, tt.header, e.Header)
			assert.Equal(t, tt.upstream, e.Upstream.Status)
			assert.Equal(t, "why it failed", string(e.Upstream.Body))
			assert.Equal(t, "a=1", e.Upstream.Header.Get("Set-Cookie"))
			assert.NotContains(t, e.Upstream.Header, "X-Hop")
		})
	}
}

// proves M15, D9
func TestA304ThatCodeAskedForIsAnAnswer(t *testing.T) {
	t.Parallel()
	tag, since := http.Header{"If-None-Match": {`"1"`}}, http.Header{"If-Modified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT"}}
	tests := []struct {
		name           string
		method         string
		client, code   http.Header
		spec           backend.Spec
		status, wanted int
	}{
		{"If-None-Match", "GET", nil, tag, backend.Spec{}, 304, 304},
		{"If-Modified-Since", "GET", nil, since, backend.Spec{}, 304, 304},
		{"in lower case", "GET", nil, http.Header{"if-none-match": {`"1"`}}, backend.Spec{}, 304, 304},
		{"with Statuses", "GET", nil, tag, backend.Spec{Statuses: []int{200}}, 304, 304},
		{"with MapStatus", "GET", nil, tag, backend.Spec{MapStatus: map[int]int{304: 404}}, 304, 304},
		{"HEAD", "HEAD", nil, tag, backend.Spec{Method: "HEAD"}, 304, 304},
		{"nobody asked", "GET", nil, nil, backend.Spec{}, 304, 502},
		{"the client asked", "GET", tag, nil, backend.Spec{Headers: []string{"*"}}, 304, 502},
		{"the client asked by a twin", "GET", http.Header{"If_none_match": {`"1"`}}, nil, backend.Spec{Headers: []string{"*"}}, 304, 502},
		{"an empty condition", "GET", nil, http.Header{"If-None-Match": {""}}, backend.Spec{}, 304, 502},
		{"another condition", "GET", nil, http.Header{"If-Match": {`"1"`}}, backend.Spec{}, 304, 502},
		{"POST", "POST", nil, tag, backend.Spec{}, 304, 502},
		{"another status", "GET", nil, tag, backend.Spec{}, 302, 502},
		{"206", "GET", nil, tag, backend.Spec{}, 206, 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{status: tt.status, body: `{"a":1}`, header: http.Header{"Etag": {`"1"`}, "X-A": {"1"}}}
			req := proxy.NewRequest(tt.method, "/")
			maps.Copy(req.Header, tt.client)
			maps.Copy(req.Upstream, tt.code)
			tt.spec.Expose = []string{"X-A"}
			res, err := newBackend(t, up, tt.spec)(t.Context(), req)
			assert.EqualValues(t, 1, up.body0.closes.Load())
			if tt.wanted != 304 {
				assert.Equal(t, tt.wanted, proxy.StatusOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, 304, res.Status)
			assert.True(t, res.Document.IsZero())
			assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
			assert.Equal(t, `"1"`, res.Origin.Get("Etag"))
		})
	}
}

func TestTheSpecSaysWhatASuccessIs(t *testing.T) {
	t.Parallel()
	p := newBackend(t, &answers{status: 404, body: `{"error":"none"}`}, backend.Spec{Statuses: []int{200, 404}})
	res, err := get(t, p)
	require.NoError(t, err)
	assert.Equal(t, 404, res.Status)
	_, err = get(t, newBackend(t, &answers{status: 201, body: "{}"}, backend.Spec{Statuses: []int{200, 404}}))
	assert.Equal(t, 502, proxy.StatusOf(err))
	res, err = get(t, newBackend(t, &answers{status: 206, body: "[1]"}, backend.Spec{Statuses: []int{206}}))
	require.NoError(t, err)
	assert.Equal(t, "[1]", res.Document.String())
}

// proves M34
func TestOriginIsTheEndToEndHeaderOfADecodedAnswer(t *testing.T) {
	t.Parallel()
	shared := http.Header{"Etag": {`"1"`}, "Cache-Control": {"max-age=5", "public"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Set-Cookie": {"a=1"},
		"X-Odd": {"a\x00b"}}
	want := http.Header{"Etag": {`"1"`}, "Cache-Control": {"max-age=5", "public"}, "Set-Cookie": {"a=1"}}
	up := trip(func(r *http.Request) (*http.Response, error) { // gives each call the same header
		return &http.Response{StatusCode: 200, Header: shared, Body: io.NopCloser(strings.NewReader("{}"))}, nil
	})
	p := newBackend(t, up, backend.Spec{Expose: []string{"Cache-Control"}})
	for range 2 {
		res, err := get(t, p)
		require.NoError(t, err)
		assert.Equal(t, want, res.Origin)
		assert.Equal(t, http.Header{"Cache-Control": {"max-age=5", "public"}}, res.Header, "no other header goes on")
		res.Origin["Cache-Control"][0] = "no-store"
		res.Origin.Del("Etag")
		assert.Equal(t, "max-age=5", res.Header.Get("Cache-Control"), "the two share nothing")
	}
	assert.Len(t, shared, 6)

	for _, status := range []int{200, 204} {
		bare := trip(func(r *http.Request) (*http.Response, error) { return &http.Response{StatusCode: status}, nil })
		res, err := get(t, newBackend(t, bare, backend.Spec{}))
		require.NoError(t, err)
		assert.Equal(t, http.Header{}, res.Origin, "an answer without a header")
	}
	res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
	require.NoError(t, err)
	assert.Nil(t, res.Origin, "a stream has it all in Header")
	require.NoError(t, res.Close())
}

// proves M15, F5
func TestAnEmptyAnswerIsAnAbsentDocument(t *testing.T) {
	t.Parallel()
	for _, h := range []http.Header{nil, {"Content-Encoding": {"gzip"}}} {
		res, err := get(t, newBackend(t, &answers{header: h}, backend.Spec{}))
		require.NoError(t, err)
		assert.True(t, res.Document.IsZero())
		assert.Equal(t, 200, res.Status)
	}
}

// proves M8, M18
func TestDecoders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		decode backend.Decoder
		body   string
		want   string // "" fails
	}{
		{"json", nil, ` {"a": 1.000 } `, `{"a": 1.000 }`},
		{"json by name", backend.JSON, `null`, `null`},
		{"json, any root", nil, `[1]`, `[1]`},
		{"json, trailing data", nil, `{} {}`, ``},
		{"json, cut", nil, `{"a":`, ``},
		{"json, white space alone", nil, ` `, ``},
		{"json, invalid UTF-8", nil, "\"\xff\"", ``},
		{"json, lone surrogate", nil, `"\ud800"`, ``},
		{"json, too deep", nil, strings.Repeat("[", 513) + strings.Repeat("]", 513), ``},
		{"json, deep enough for limits", backend.JSONWith(document.Limits{Depth: 1}), `[[]]`, ``},
		{"json, members", backend.JSONWith(document.Limits{Members: 1}), `{"a":1,"b":2}`, ``},
		{"json, within limits", backend.JSONWith(document.Limits{Depth: 1, Members: 1}), `{"a":1}`, `{"a":1}`},
		{"text", backend.Text, "a\n\"b\" é", `"a\n\"b\" é"`},
		{"text, invalid UTF-8", backend.Text, "\xff", ``},
		{"a user's", odd{}, "x", `"odd"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: tt.body}
			res, err := get(t, newBackend(t, up, backend.Spec{Decode: tt.decode}))
			assert.EqualValues(t, 1, up.body0.closes.Load())
			if tt.want == "" {
				assert.Equal(t, 502, proxy.StatusOf(err))
				e, _ := errors.AsType[*proxy.Error](err)
				assert.Equal(t, "decode", e.Op)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Document.String())
		})
	}
	_, err := backend.Passthrough.Decode("", nil)
	assert.Error(t, err)
	assert.Equal(t, "json text passthrough", fmt.Sprint(backend.JSON, " ", backend.Text, " ", backend.Passthrough))
}

// proves M4, M5, L21, H14
func TestAFailureToReachTheUpstream(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	tests := []struct {
		name   string
		err    error
		op     string
		status int
	}{
		{"refused", dial, "dial", 502},
		{"no such host", &net.DNSError{Err: "no such host", Name: "h"}, "dial", 502},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("expired")}, "dial", 502},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", Conn: &net.TCPConn{}}, "dial", 502},
		{"dial timeout", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "dial", 504},
		{"reset", syscall.ECONNRESET, "send", 502},
		{"closed", io.EOF, "send", 502},
		{"their own cancel", context.Canceled, "send", 502},
		{"a status of its own", &proxy.Error{Status: 503, Err: errors.New("no host is well")}, "send", 503},
		{"of a client of theirs", &url.Error{Op: "Get", URL: "http://10.0.0.1:19/v1/secret?token=abc", Err: dial}, "dial", 502},
		{"with a URL inside", fmt.Errorf("call: %w", &url.Error{Op: "Get", URL: "http://u:secret@h/", Err: syscall.ECONNRESET}), "send", 502},
		{"with bytes of the upstream", errors.New("malformed HTTP status code \"x\r\n\x1b[31m\xff\u2028\""), "send", 502},
		{"with too many of them", errors.New(strings.Repeat("A", 100_000)), "send", 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			late := &countedBody{r: strings.NewReader("x")}
			rt := trip(func(*http.Request) (*http.Response, error) { return &http.Response{Body: late}, tt.err })
			res, err := get(t, newBackend(t, rt, backend.Spec{}))
			assert.Nil(t, res)
			require.ErrorIs(t, err, tt.err)
			e, _ := errors.AsType[*proxy.Error](err)
			assert.Equal(t, tt.op, e.Op)
			assert.Equal(t, "up", e.Backend)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			assert.EqualValues(t, 1, late.closes.Load(), "what came beside the error")
			for _, never := range []string{"secret", "abc", "10.0.0.1", "\r", "\n", "\x1b", "\xff", "\u2028"} {
				assert.NotContains(t, err.Error(), never)
			}
			assert.Less(t, len(err.Error()), 1000)
		})
	}
}

// proves M19
func TestATransportThatAnswersNothing(t *testing.T) {
	t.Parallel()
	rt := trip(func(*http.Request) (*http.Response, error) { return nil, nil })
	_, err := get(t, newBackend(t, rt, backend.Spec{}))
	assert.Equal(t, 502, proxy.StatusOf(err))
	rt = func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil }
	res, err := get(t, newBackend(t, rt, backend.Spec{}))
	require.NoError(t, err)
	assert.True(t, res.Document.IsZero())
	res, err = get(t, newBackend(t, rt, backend.Spec{Decode: backend.Passthrough}))
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	assert.Empty(t, b)
	assert.NoError(t, res.Close())
}

// proves M23
func TestNothingIsCalledOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	p := newBackend(t, up, backend.Spec{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p(ctx, proxy.NewRequest("GET", "/"))
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = p(ctx, proxy.NewRequest("GET", "/"))
	assert.Equal(t, 504, proxy.StatusOf(err))
	assert.Zero(t, up.calls)
}

// proves M5, M6, M37, D14
func TestABodyThatBreaksFailsTheCall(t *testing.T) {
	t.Parallel()
	const text = `{"a":[1,2,3]}`
	for n := range len(text) {
		for _, fault := range []error{syscall.ECONNRESET, io.ErrUnexpectedEOF, io.EOF} {
			for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
				b := &countedBody{r: reader(io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(fault)))}
				rt := trip(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b, ContentLength: int64(len(text))}, nil
				})
				res, err := get(t, newBackend(t, rt, backend.Spec{}))
				assert.Nil(t, res)
				assert.Equal(t, 502, proxy.StatusOf(err))
				want := fault
				if fault == io.EOF {
					want = io.ErrUnexpectedEOF
				}
				assert.ErrorIs(t, err, want)
				assert.EqualValues(t, 1, b.closes.Load())
			}
		}
	}
}

func TestABodyIsReadHoweverItComes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 511, 20 << 10, 127 << 10, 128<<10 - 1, 128 << 10, 128<<10 + 1, 300 << 10} {
		text := `"` + strings.Repeat("x", size) + `"`
		for _, length := range []int64{int64(len(text)), -1, 0} {
			for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader} {
				rt := trip(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(reader(strings.NewReader(text))), ContentLength: length}, nil
				})
				res, err := get(t, newBackend(t, rt, backend.Spec{}))
				require.NoError(t, err)
				assert.Equal(t, text, res.Document.String())
			}
		}
	}
}

func TestAReaderThatNeverMovesFails(t *testing.T) {
	t.Parallel()
	rt := trip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(idle{}), ContentLength: 5}, nil
	})
	_, err := get(t, newBackend(t, rt, backend.Spec{}))
	assert.ErrorIs(t, err, io.ErrNoProgress)
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// proves T3
func TestAContextThatEndsWhileTheBodyIsReadIs504(t *testing.T) {
	t.Parallel()
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			b := &countedBody{r: readerFunc(func([]byte) (int, error) {
				<-ctx.Done()
				return 0, errors.New("use of closed network connection")
			})}
			rt := trip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b, ContentLength: 5}, nil
			})
			start := time.Now()
			res, err := newBackend(t, rt, backend.Spec{Decode: decode})(ctx, proxy.NewRequest("GET", "/"))
			if err == nil {
				_, err = io.ReadAll(res.Body)
				require.NoError(t, res.Close())
			}
			assert.Equal(t, 504, proxy.StatusOf(err))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(start))
			assert.EqualValues(t, 1, b.closes.Load())
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// proves M2, T3
func TestAnUpstreamThatHangsEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"} {
		synctest.Test(t, func(t *testing.T) {
			tr := dialing(func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					defer server.Close()
					br := bufio.NewReader(server)
					if _, err := http.ReadRequest(br); err == nil {
						_, _ = io.WriteString(server, sent)
					}
					_, _ = br.ReadByte() // until the connection is closed
				}()
				return client, nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := newBackend(t, tr, backend.Spec{})(ctx, proxy.NewRequest("GET", "/"))
			assert.Equal(t, 504, proxy.StatusOf(err))
			assert.Equal(t, time.Second, time.Since(start))
			synctest.Wait()
		})
	}
}

// proves F6, M10, L8
func TestABodyAboveTheLimitIsNotReadOn(t *testing.T) {
	t.Parallel()
	const max = 1000
	endless := func() io.Reader { return readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }) }
	tests := []struct {
		name   string
		length int64
		body   io.Reader
		fails  bool
	}{
		{"announced above", max + 1, endless(), true},
		{"announced at the limit", max, strings.NewReader(`"` + strings.Repeat("x", max-2) + `"`), false},
		{"unknown, one above", -1, strings.NewReader(`"` + strings.Repeat("x", max-1) + `"`), true},
		{"unknown, at the limit", -1, strings.NewReader(`"` + strings.Repeat("x", max-2) + `"`), false},
		{"unknown, one below", -1, strings.NewReader(`"` + strings.Repeat("x", max-3) + `"`), false},
		{"endless", -1, endless(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &countedBody{r: tt.body}
			rt := trip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: b, ContentLength: tt.length}, nil
			})
			_, err := get(t, newBackend(t, rt, backend.Spec{MaxBytes: max}))
			assert.EqualValues(t, 1, b.closes.Load())
			assert.LessOrEqual(t, b.read.Load(), int64(max+1))
			if !tt.fails {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, backend.ErrTooLarge)
			assert.Equal(t, 502, proxy.StatusOf(err))
		})
	}
}

// proves F6, D8
func TestTheDefaultLimitOfABodyIs8MiB(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		max   int64
		size  int
		fails bool
	}{{0, 8 << 20, false}, {0, 8<<20 + 1, true}, {-1, 8<<20 + 1, false}} {
		up := &answers{body: `"` + strings.Repeat("x", tt.size-2) + `"`}
		_, err := get(t, newBackend(t, up, backend.Spec{MaxBytes: tt.max}))
		assert.Equal(t, tt.fails, errors.Is(err, backend.ErrTooLarge), tt.size)
	}
}

// proves F6
func TestAnAnnouncedLengthGetsLittleMemoryBeforeItsBytesCome(t *testing.T) {
	rt := trip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{")), ContentLength: 8 << 20}, nil
	})
	p := newBackend(t, rt, backend.Spec{})
	got := allocated(func() {
		_, err := get(t, p)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	assert.Less(t, got, uint64(1<<20))
}

// allocated returns how many bytes f allocated. Tests that use it do not run in parallel.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// proves M9, F6
func TestADecodedAnswerIsDecompressedOnce(t *testing.T) {
	t.Parallel()
	once := zipped(t, `{"a":1}`)
	tests := []struct {
		name   string
		coding []string
		body   string
		op     string // "" succeeds
	}{
		{"gzip", []string{"gzip"}, once, ""},
		{"x-gzip", []string{"X-GZip"}, once, ""},
		{"two members", []string{"gzip"}, zipped(t, `{"a"`) + zipped(t, `:1}`), ""},
		{"identity", []string{"identity"}, `{"a":1}`, ""},
		{"twice", []string{"gzip"}, zipped(t, once), "decode"},
		{"twice, told", []string{"gzip, gzip"}, zipped(t, once), "decode"},
		{"twice, told in two lines", []string{"gzip", "gzip"}, zipped(t, once), "decode"},
		{"another", []string{"br"}, "x", "decode"},
		{"told but not done", []string{"gzip"}, `{"a":1}`, "decode"},
		{"done but not told", nil, once, "decode"},
		{"cut", []string{"gzip"}, once[:len(once)-9], "decode"},
		{"cut in its header", []string{"gzip"}, once[:5], "decode"},
		{"wrong checksum", []string{"gzip"}, once[:len(once)-8] + "12345678", "decode"},
		{"trailing bytes", []string{"gzip"}, once + "xxxxxxxxxxxxxxxxxxxx", "decode"},
		{"a coding with a line break", []string{"a\nb"}, "x", "decode"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: tt.body, header: http.Header{"Content-Encoding": tt.coding}}
			p := newBackend(t, up, backend.Spec{Headers: []string{"Accept-Encoding"}})
			for range 2 { // the second time with a used decompressor
				res, err := get(t, p)
				assert.EqualValues(t, 1, up.body0.closes.Load())
				if tt.op == "" {
					require.NoError(t, err)
					assert.Equal(t, `{"a":1}`, res.Document.String())
					continue
				}
				e, ok := errors.AsType[*proxy.Error](err)
				require.True(t, ok)
				assert.Equal(t, tt.op, e.Op)
				assert.Equal(t, 502, proxy.StatusOf(err))
				assert.NotContains(t, err.Error(), "\n")
			}
		})
	}
}

// proves M9
func TestTheHeaderOfAFailureDescribesTheKeptBody(t *testing.T) {
	t.Parallel()
	text := zipped(t, "why it failed")
	for _, tt := range []struct {
		name       string
		coding     []string
		body, kept string
		decoded    bool
	}{
		{"gzip", []string{"gzip"}, text, "why it failed", true},
		{"x-gzip", []string{"X-GZip"}, text, "why it failed", true},
		{"told but not done", []string{"gzip"}, "why it failed", "", true},
		{"plain", nil, "why it failed", "why it failed", false},
		{"another", []string{"br"}, "why it failed", "why it failed", false},
		{"twice, told in two lines", []string{"gzip", "gzip"}, text, text, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Content-Length": {"100"}, "X-A": {"1"}}
			if tt.coding != nil {
				h["Content-Encoding"] = tt.coding
			}
			p := newBackend(t, &answers{status: 500, body: tt.body, header: h}, backend.Spec{})
			for range 2 { // the second time with a used decompressor
				_, err := get(t, p)
				e, ok := errors.AsType[*proxy.Error](err)
				require.True(t, ok)
				assert.Equal(t, tt.kept, string(e.Upstream.Body))
				want := h
				if tt.decoded {
					want = http.Header{"X-A": {"1"}}
				}
				assert.Equal(t, want, e.Upstream.Header)
			}
		})
	}
}

// proves M9
func TestADecompressorKeepsNoBody(t *testing.T) {
	for _, text := range []string{zipped(t, `{"a":1}`), zipped(t, `{"a":1}`)[:15], "no gzip at all", ""} {
		var body weak.Pointer[countedBody]
		rt := trip(func(*http.Request) (*http.Response, error) {
			b := &countedBody{r: strings.NewReader(text)}
			body = weak.Make(b)
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: b, ContentLength: -1}, nil
		})
		p := newBackend(t, rt, backend.Spec{})
		done := make(chan struct{})
		go func() { // with a stack of its own
			defer close(done)
			_, _ = get(t, p)
		}()
		<-done
		runtime.GC() // only once: a pool keeps its values over one collection
		assert.True(t, body.Value() == nil, "%q", text)
		runtime.KeepAlive(p)
	}
}

// proves M9, F6, L7
func TestABombFailsAtTheLimit(t *testing.T) {
	bomb := strings.Repeat(zipped(t, strings.Repeat("\x00", 1<<20)), 256) // members one after another: RFC 1952, section 2.2
	require.Less(t, len(bomb), 300<<10)
	up := &answers{body: bomb, header: http.Header{"Content-Encoding": {"gzip"}}}
	p := newBackend(t, up, backend.Spec{})
	got := allocated(func() {
		_, err := get(t, p)
		assert.ErrorIs(t, err, backend.ErrTooLarge)
		assert.Equal(t, 502, proxy.StatusOf(err))
	})
	assert.Less(t, got, uint64(8<<20+32<<20))
	assert.False(t, up.body0.eof.Load(), "reading stopped")
}

// proves F6, M10
func TestAnEndlessGzipThatHoldsNothingFails(t *testing.T) {
	t.Parallel()
	member := zipped(t, "")
	b := &countedBody{r: readerFunc(func(p []byte) (int, error) { return copy(p, member), nil })}
	rt := trip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: b, ContentLength: -1}, nil
	})
	_, err := get(t, newBackend(t, rt, backend.Spec{MaxBytes: 10_000}))
	assert.Error(t, err)
	assert.Less(t, b.read.Load(), int64(20_000))
}

// proves T10
func TestAGzipIsNotReadOnAfterItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	member := zipped(t, "")
	b := &countedBody{}
	b.r = readerFunc(func(p []byte) (int, error) {
		if b.read.Load() > 10_000 {
			cancel() // and a body that does not care
		}
		return copy(p, member), nil
	})
	rt := trip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: b, ContentLength: -1}, nil
	})
	_, err := newBackend(t, rt, backend.Spec{MaxBytes: 1 << 20})(ctx, proxy.NewRequest("GET", "/"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Less(t, b.read.Load(), int64(20_000))
}

// proves M9
func TestAStreamKeepsItsCoding(t *testing.T) {
	t.Parallel()
	text := zipped(t, "hello")
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header["Accept-Encoding"])
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(upstream.Close)
	res, err := get(t, newBackend(t, newTransport(t), backend.Spec{URL: upstream.URL, Decode: backend.Passthrough}))
	require.NoError(t, err)
	defer res.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, text, string(b))
	assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
}

// proves F6
func TestAFailuresBodyIsKeptAndDrainedWithinLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		max        int64
		size, kept int
		toTheEnd   bool
	}{
		{"short", 0, 100, 100, true},
		{"above what is kept", 0, 50 << 10, 4 << 10, true},
		{"above what is drained", 0, 200 << 10, 4 << 10, false},
		{"other limit", 10, 100, 10, true},
		{"as much as MaxBytes", -1, 200 << 10, 100 << 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{status: 500, body: strings.Repeat("x", tt.size)}
			_, err := get(t, newBackend(t, up, backend.Spec{MaxErrorBytes: tt.max, MaxBytes: 100 << 10}))
			e, ok := errors.AsType[*proxy.Error](err)
			require.True(t, ok)
			assert.Len(t, e.Upstream.Body, tt.kept)
			assert.EqualValues(t, 1, up.body0.closes.Load())
			assert.LessOrEqual(t, up.body0.read.Load(), int64(tt.kept+64<<10+1))
			if tt.toTheEnd {
				assert.EqualValues(t, tt.size, up.body0.read.Load())
			}
		})
	}
	up := &answers{status: 500, body: zipped(t, strings.Repeat("y", 1<<20)), header: http.Header{"Content-Encoding": {"gzip"}}}
	_, err := get(t, newBackend(t, up, backend.Spec{}))
	e, _ := errors.AsType[*proxy.Error](err)
	assert.Equal(t, strings.Repeat("y", 4<<10), string(e.Upstream.Body))
}

// unwanted is how long a call waits for a body that it does not need.
const unwanted = 50 * time.Millisecond

// proves M37, T3
func TestAnUnwantedBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	text := zipped(t, strings.Repeat("a", 10)+strings.Repeat("b", 10))
	tests := []struct {
		name, head string
		sent       []string // at intervals of 20 ms; the rest never comes
		want       int      // status of the failure
		kept       string
		after      time.Duration
	}{
		{"nothing of a failure", "404 X\r\nContent-Length: 100", nil, 404, "", unwanted},
		{"the beginning of a failure", "503 X\r\nContent-Length: 100", []string{"why"}, 503, "why", unwanted},
		{"a failure bit by bit", "404 X\r\nContent-Length: 100", []string{"a", "b", "c", "d", "e"}, 404, "abc", unwanted},
		{"a failure without a length", "500 X\r\nTransfer-Encoding: chunked", []string{"3\r\nwhy\r\n"}, 502, "why", unwanted},
		{"a compressed failure", "404 X\r\nContent-Encoding: gzip\r\nContent-Length: 100", []string{text}, 404, "aaaaaaaaaabbbbbbbbbb", unwanted},
		{"a compressed failure, cut", "404 X\r\nContent-Encoding: gzip\r\nContent-Length: 100", []string{text[:5]}, 404, "", unwanted},
		{"a failure that comes in time", "404 X\r\nContent-Length: 3", []string{"w", "h", "y"}, 404, "why", 40 * time.Millisecond},
		{"an answer without content", "205 X\r\nContent-Length: 100", nil, 0, "", unwanted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				tr, _ := newPiped(func(c net.Conn) bool {
					_, _ = io.WriteString(c, "HTTP/1.1 "+tt.head+"\r\n\r\n")
					for i, text := range tt.sent {
						if i > 0 {
							select {
							case <-time.After(20 * time.Millisecond):
							case <-ctx.Done():
							}
						}
						_, _ = io.WriteString(c, text)
					}
					return false
				})
				start := time.Now()
				res, err := newBackend(t, tr, backend.Spec{})(ctx, proxy.NewRequest("GET", "/"))
				assert.Equal(t, tt.after, time.Since(start))
				if tt.want == 0 {
					require.NoError(t, err)
					assert.True(t, res.Document.IsZero())
				} else {
					assert.Equal(t, tt.want, proxy.StatusOf(err))
					e, ok := errors.AsType[*proxy.Error](err)
					require.True(t, ok)
					require.NotNil(t, e.Upstream)
					assert.Equal(t, tt.kept, string(e.Upstream.Body))
				}
				tr.CloseIdleConnections()
				cancel()
				synctest.Wait()
			})
		})
	}
}

// proves M37, T4
func TestABodyThatCameTooLateIsClosedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		panics bool
		held   time.Duration // how long Read goes on after Close
	}{
		{"closing ends the read", false, 0},
		{"closing ends nothing", false, time.Second},
		{"closing panics", true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &silentBody{closed: make(chan struct{}), held: tt.held, panics: tt.panics}
				rt := trip(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 404, Header: http.Header{}, Body: b, ContentLength: 5}, nil
				})
				var reported []error
				scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
				start := time.Now()
				_, err := newBackend(t, rt, backend.Spec{})(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
				assert.Equal(t, 404, proxy.StatusOf(err))
				assert.Equal(t, unwanted+tt.held, time.Since(start))
				assert.EqualValues(t, 1, b.closes.Load())
				assert.Equal(t, tt.panics, len(reported) == 1)
			})
		})
	}
}

// A silentBody sends nothing, and its Read returns some time after it was closed.
type silentBody struct {
	closed chan struct{}
	held   time.Duration
	panics bool
	closes atomic.Int64
}

func (b *silentBody) Read([]byte) (int, error) {
	<-b.closed
	if b.held > 0 {
		<-time.After(b.held)
	}
	return 0, net.ErrClosed
}

func (b *silentBody) Close() error {
	if b.closes.Add(1) == 1 {
		close(b.closed)
	}
	if b.panics {
		panic("bug")
	}
	return nil
}

// proves T4
func TestThePanicOfADecoderClosesTheBody(t *testing.T) {
	t.Parallel()
	up := &answers{body: "x"}
	p := newBackend(t, up, backend.Spec{Decode: broken{}})
	assert.Panics(t, func() { _, _ = get(t, p) })
	assert.EqualValues(t, 1, up.body0.closes.Load())
}

type broken struct{}

func (broken) Decode(string, []byte) (document.Document, error) { panic("bug") }
func (broken) String() string                                   { return "broken" }
