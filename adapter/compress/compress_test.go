package compress_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter/compress"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

var noTime time.Time

func TestTheClientChoosesTheCoding(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "x-gzip": "gzip", "GZIP": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd",
		"gzip;q=1, zstd;q=0.9": "gzip", "gzip;q=0.001": "gzip", "gzip ; q=1.000": "gzip", "gzip;Q=1": "gzip",
		"gzip;q=0": "", "gzip;q=0.000": "", "br, deflate": "", "identity": "", "identity, gzip;q=0.5": "", "identity;q=0.5, gzip": "gzip",
		"*": "gzip", "*;q=0": "", "gzip;q=0, *": "", "identity;q=0": "", "identity;q=0, gzip": "gzip", "*;q=0, gzip": "gzip",
		"gzip;q=2": "", "gzip;q=1.001": "", "gzip;q=0.1234": "", "gzip;q=.5": "", "gzip;q=-1": "", "gzip;q": "", "gzip;level=9": "",
		"gzip;q=0, gzip": "", "gzipped": "", ",,gzip,": "gzip", "zstd;q=0, gzip": "gzip", "gzip\x00": "",
	} {
		res := record(wrap(t, compress.Spec{}, text(long)), "GET", "Accept-Encoding", accept)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, want, res.Header.Get("Content-Encoding"), "%q", accept)
		assert.Equal(t, []string{"Accept-Encoding"}, res.Header["Vary"], "%q", accept)
		assert.Equal(t, long, decode(t, want, string(body)), "%q", accept)
		if want != "" {
			assert.Less(t, len(body), len(long)/5)
			assert.Empty(t, res.Header["Content-Length"])
			assert.Empty(t, res.Header["Accept-Ranges"])
		}
	}
}

func TestSeveralLinesOfAcceptEncodingAreOneList(t *testing.T) {
	t.Parallel()
	res := record(wrap(t, compress.Spec{}, text(long)), "GET", "Accept-Encoding", "zstd;q=0", "Accept-Encoding", "gzip")
	assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
}

// ways are how a handler can write a body. Each is compressed if it is long enough.
var ways = map[string]func(w http.ResponseWriter, body string){
	"with a length": func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	},
	"at once":       func(w http.ResponseWriter, body string) { _, _ = io.WriteString(w, body) },
	"with a status": func(w http.ResponseWriter, body string) { w.WriteHeader(200); _, _ = io.WriteString(w, body) },
	"byte by byte": func(w http.ResponseWriter, body string) {
		for i := range len(body) {
			_, _ = w.Write([]byte(body[i : i+1]))
		}
	},
	"copied": func(w http.ResponseWriter, body string) { _, _ = io.Copy(w, strings.NewReader(body)) },
	"flushed later": func(w http.ResponseWriter, body string) {
		half := (len(body) + 1) / 2
		_, _ = io.WriteString(w, body[:half])
		if half >= 1<<10 {
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, body[half:])
	},
}

func TestASmallAnswerIsNotCompressed(t *testing.T) {
	t.Parallel()
	for name, write := range ways {
		for size, want := range map[int]string{0: "", 1: "", 1023: "", 1024: "gzip", 1025: "gzip", 100_000: "gzip"} {
			for _, typed := range []bool{true, false} {
				body := strings.Repeat("a", size)
				h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if typed {
						w.Header().Set("Content-Type", "text/plain; charset=utf-8")
					}
					write(w, body)
				}))
				res := record(h, "GET", "Accept-Encoding", "gzip")
				got, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				coding := res.Header.Get("Content-Encoding")
				assert.Equal(t, want, coding, "%s: %d bytes", name, size)
				if size > 0 {
					assert.Equal(t, body, decode(t, coding, string(got)), "%s: %d bytes", name, size)
					assert.Equal(t, "text/plain; charset=utf-8", res.Header.Get("Content-Type"), "%s: %d bytes", name, size)
				}
			}
		}
	}
}

func TestTheSizeCanBeSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		min, size int
		accept    string
		want      string
	}{
		{-1, 1, "gzip", "gzip"}, {-1, 0, "gzip", ""}, {10_000, 9_999, "gzip", ""}, {10_000, 10_000, "gzip", "gzip"},
		{0, 1, "gzip, identity;q=0", "gzip"}, {0, 0, "gzip, identity;q=0", ""},
	} {
		for name, write := range ways {
			if name == "flushed later" {
				continue
			}
			h := wrap(t, compress.Spec{MinSize: tt.min}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				write(w, strings.Repeat("a", tt.size))
			}))
			assert.Equal(t, tt.want, record(h, "GET", "Accept-Encoding", tt.accept).Header.Get("Content-Encoding"), "%+v, %s", tt, name)
		}
	}
}

func TestSomeAnswersAreNeverCompressed(t *testing.T) {
	t.Parallel()
	status := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			if status != 204 && status != 304 {
				_, _ = io.WriteString(w, long)
			}
		}
	}
	events := text(long, "Content-Type", "Text/Event-Stream; charset=utf-8")
	flushed := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, long)
	}
	tests := []struct {
		name   string
		h      http.HandlerFunc
		method string
		header []string
	}{
		{"HEAD", text(long), "HEAD", nil},
		{"a part", text(long), "GET", []string{"Range", "bytes=0-2000"}},
		{"parts", text(long), "GET", []string{"Range", "bytes=0-1500,1600-3000"}},
		{"a part by its header", text(long, "Content-Range", "bytes 0-1/2"), "GET", nil},
		{"coded", text(long, "Content-Encoding", "br"), "GET", nil},
		{"coded as identity", text(long, "Content-Encoding", "identity"), "GET", nil},
		{"no-transform", text(long, "Cache-Control", "max-age=1, No-Transform"), "GET", nil},
		{"no-transform of the client", text(long), "GET", []string{"Cache-Control", "no-transform"}},
		{"a digest", text(long, "Content-Digest", "sha-256=:AAAA:"), "GET", nil},
		{"a digest of the representation", text(long, "Repr-Digest", "sha-256=:AAAA:"), "GET", nil},
		{"another type", text(long, "Content-Type", "image/png"), "GET", nil},
		{"no type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, long)
		}, "GET", nil},
		{"a type that is guessed", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x89PNG\x0d\x0a\x1a\x0a"+long) }, "GET", nil},
		{"events", events, "GET", nil},
		{"events for who refuses the plain bytes", events, "GET", []string{"Accept-Encoding", "identity;q=0"}},
		{"flushed early", flushed, "GET", nil},
		{"flushed early for who refuses the plain bytes", flushed, "GET", []string{"Accept-Encoding", "identity;q=0"}},
		{"flushed at once", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, long) }, "GET", nil},
		{"204", status(204), "GET", nil}, {"205", status(205), "GET", nil}, {"206", status(206), "GET", nil}, {"304", status(304), "GET", nil},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "GET", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := append([]string{"Accept-Encoding", "gzip, zstd"}, tt.header...)
			got := record(wrap(t, compress.Spec{}, tt.h), tt.method, header...)
			want := record(tt.h, tt.method, header...)
			want.Header.Add("Vary", "Accept-Encoding")
			assert.Equal(t, want.StatusCode, got.StatusCode)
			if tt.name != "parts" { // whose boundary is random
				assert.Equal(t, want.Header, got.Header)
				theirs, _ := io.ReadAll(want.Body)
				ours, _ := io.ReadAll(got.Body)
				assert.Equal(t, string(theirs), string(ours))
			}
			if tt.name != "coded" && tt.name != "coded as identity" {
				assert.Empty(t, got.Header["Content-Encoding"])
			}
		})
	}
}

func TestErrorsAreCompressedToo(t *testing.T) {
	t.Parallel()
	res := record(wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, long, 404) })), "GET",
		"Accept-Encoding", "gzip")
	assert.Equal(t, 404, res.StatusCode)
	assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
}

func TestTypes(t *testing.T) {
	t.Parallel()
	spec := compress.Spec{Types: []string{"application/json", "Text/*", "*+json"}}
	for media, want := range map[string]string{"application/json": "gzip", "Application/JSON; charset=utf-8": "gzip", "text/x": "gzip",
		"application/problem+json": "gzip", "application/jsonx": "", "application/xml": "", "text/event-stream": "", "texty/x": "", "": ""} {
		res := record(wrap(t, spec, text(long, "Content-Type", media)), "GET", "Accept-Encoding", "gzip")
		assert.Equal(t, want, res.Header.Get("Content-Encoding"), media)
	}
	_, err := compress.New(compress.Spec{Types: []string{"text", "*/*", "a/b/c", "text/html; charset=x", ""}, MinSize: 1<<20 + 1})
	for _, want := range []string{`"text"`, `"*/*"`, `"a/b/c"`, `"text/html; charset=x"`, `""`, "MinSize"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestVaryIsThereOnce(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][]string{"accept-encoding": {"accept-encoding"}, "Origin, Accept-Encoding": {"Origin, Accept-Encoding"},
		"*": {"*"}, "Origin": {"Origin", "Accept-Encoding"}} {
		assert.Equal(t, want, record(wrap(t, compress.Spec{}, text(long, "Vary", given)), "GET", "Accept-Encoding", "gzip").Header["Vary"])
	}
}

func TestAStrongTagHasAFormForEachCoding(t *testing.T) {
	t.Parallel()
	h := wrap(t, compress.Spec{}, text(long, "Etag", `"abc"`))
	weak := wrap(t, compress.Spec{}, text(long, "Etag", `W/"abc"`))
	tests := []struct {
		name   string
		h      http.Handler
		header []string
		status int
		tag    string
	}{
		{"plain", h, nil, 200, `"abc"`},
		{"gzip", h, []string{"Accept-Encoding", "gzip"}, 200, `"abc-gzip"`},
		{"zstd", h, []string{"Accept-Encoding", "zstd"}, 200, `"abc-zstd"`},
		{"weak", weak, []string{"Accept-Encoding", "gzip"}, 200, `W/"abc"`},

		{"known plain", h, []string{"If-None-Match", `"abc"`}, 304, `"abc"`},
		{"known compressed", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `"abc-gzip"`}, 304, `"abc-gzip"`},
		{"known compressed, weakened by a proxy", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `W/"abc-gzip"`}, 304, `"abc-gzip"`},
		{"known both ways", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `"x", "abc","abc-gzip"`}, 304, `"abc-gzip"`},
		{"known in another coding", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `"abc-zstd"`}, 200, `"abc-gzip"`},
		{"known compressed, not accepted", h, []string{"If-None-Match", `"abc-gzip"`}, 200, `"abc"`},
		{"known plain, compressed accepted", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `"abc"`}, 304, `"abc"`},
		{"known any", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `*`}, 304, `"abc"`},
		{"known by a weak tag", weak, []string{"Accept-Encoding", "gzip", "If-None-Match", `W/"abc"`}, 304, `W/"abc"`},
		{"another", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `"abd-gzip"`}, 200, `"abc-gzip"`},
		{"no tags", h, []string{"Accept-Encoding", "gzip", "If-None-Match", `abc-gzip", "abc`}, 200, `"abc-gzip"`},

		{"match plain", h, []string{"If-Match", `"abc"`}, 200, `"abc"`},
		{"match compressed", h, []string{"Accept-Encoding", "gzip", "If-Match", `"abc-gzip"`}, 200, `"abc-gzip"`},
		{"match compressed, whatever is accepted now", h, []string{"If-Match", `"abc-zstd"`}, 200, `"abc"`},
		{"match weak", h, []string{"If-Match", `W/"abc-gzip"`}, 412, `"abc"`},
		{"match another", h, []string{"If-Match", `"abd-gzip"`}, 412, `"abc"`},

		{"a part of what is known plain", h, []string{"Range", "bytes=0-1", "If-Range", `"abc"`}, 206, `"abc"`},
		{"a part of what is known compressed", h, []string{"Accept-Encoding", "gzip", "Range", "bytes=0-1", "If-Range", `"abc-gzip"`}, 200, `"abc-gzip"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := record(tt.h, "GET", tt.header...)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Equal(t, tt.tag, res.Header.Get("Etag"))
		})
	}
}

func TestATagThatEndsLikeACodingIsStillKnown(t *testing.T) {
	t.Parallel()
	h := wrap(t, compress.Spec{}, text("short", "Etag", `"abc-gzip"`))
	assert.Equal(t, 304, record(h, "GET", "Accept-Encoding", "gzip", "If-None-Match", `"abc-gzip"`).StatusCode)
}

// A log around the middleware reads what the client sent.
func TestTheRequestOfTheCallerStaysAsItWas(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Accept-Encoding": {"gzip"}, "If-None-Match": {`"a-gzip"`}, "If-Match": {`"a-gzip"`}}
	want := r.Header.Clone()
	wrap(t, compress.Spec{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, []string{`"a-gzip", "a"`}, r.Header["If-None-Match"])
		assert.Equal(t, []string{`"a-gzip", "a"`}, r.Header["If-Match"])
	})).ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, want, r.Header)
}

func TestHalfAnAnswerDoesNotLookComplete(t *testing.T) {
	t.Parallel()
	noise := string(bytes.Repeat([]byte("0123456789abcdef"), 10_000))
	breaks := map[string]func(w http.ResponseWriter){
		"abort":                  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"Goexit":                 func(http.ResponseWriter) { runtime.Goexit() },
		"less than its length":   func(http.ResponseWriter) {},
		"flushed and then abort": func(w http.ResponseWriter) { w.(http.Flusher).Flush(); panic(http.ErrAbortHandler) },
	}
	for name, end := range breaks {
		for _, accept := range []string{"gzip", "zstd", ""} {
			for _, body := range []string{long, noise} {
				url, clients := serve(t, wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/plain")
					w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
					_, _ = io.WriteString(w, body)
					end(w)
				})))
				for version, c := range clients {
					_, _, err := do(t, c, "GET", url, "Accept-Encoding", accept)
					assert.Error(t, err, "%s, %s, %s", name, accept, version)
				}
			}
		}
	}
}

// Where something outside recovers and goes on, the bytes themselves must tell.
func TestHalfAnAnswerDoesNotLookCompleteToADecoder(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "zstd"} {
		for _, n := range []int{1, 10, 10_000} {
			h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				for range n {
					_, _ = io.WriteString(w, long)
				}
				panic("bug")
			}))
			swallow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { _ = recover() }()
				h.ServeHTTP(w, r)
			})
			res := record(swallow, "GET", "Accept-Encoding", coding)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NotEmpty(t, b)
			_, err = tryDecode(coding, b)
			assert.Error(t, err, "%s of %d", coding, n)
		}
	}
}

// What panics before anything is sent leaves the answer to what recovers outside.
func TestAPanicBeforeTheHeaderLeavesNothing(t *testing.T) {
	t.Parallel()
	h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "held back")
		panic("bug")
	}))
	res := record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			_ = recover()
			http.Error(w, "sorry", 500)
		}()
		h.ServeHTTP(w, r)
	}), "GET", "Accept-Encoding", "gzip")
	b, _ := io.ReadAll(res.Body)
	assert.Equal(t, 500, res.StatusCode)
	assert.Equal(t, "sorry\n", string(b))
	assert.Empty(t, res.Header["Content-Encoding"])
}

func TestMoreThanTheLengthIsRefused(t *testing.T) {
	t.Parallel()
	h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(long)))
		_, err := io.WriteString(w, long)
		assert.NoError(t, err)
		_, err = io.WriteString(w, "x")
		assert.ErrorIs(t, err, http.ErrContentLength)
	}))
	b, _ := io.ReadAll(record(h, "GET", "Accept-Encoding", "gzip").Body)
	assert.Equal(t, long, decode(t, "gzip", string(b)))
}

func TestNothingOfTheWriterIsHidden(t *testing.T) {
	t.Parallel()
	url, clients := serve(t, wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		assert.NoError(t, control.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.SetWriteDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.EnableFullDuplex())
		if r.ProtoMajor == 1 {
			conn, _, err := control.Hijack()
			if assert.NoError(t, err) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbyte")
				_ = conn.Close()
			}
			return
		}
		_, _ = io.WriteString(w, "byte")
		assert.NoError(t, control.Flush())
	})))
	for version, c := range clients {
		res, body, err := do(t, c, "GET", url, "Accept-Encoding", "gzip")
		require.NoError(t, err)
		assert.Equal(t, version, res.Proto)
		assert.Equal(t, "byte", body)
	}
}

func TestAFlushedAnswerArrivesInPieces(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "zstd"} {
		read := make(chan struct{})
		url, clients := serve(t, wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, long)
			assert.NoError(t, http.NewResponseController(w).Flush())
			<-read
			_, _ = io.WriteString(w, long)
		})))
		for _, c := range clients {
			r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", coding)
			res, err := c.Do(r)
			require.NoError(t, err)
			assert.Equal(t, coding, res.Header.Get("Content-Encoding"))
			body, err := reader(coding, res.Body)
			require.NoError(t, err)
			first := make([]byte, len(long))
			_, err = io.ReadFull(body, first)
			require.NoError(t, err)
			read <- struct{}{}
			rest, err := io.ReadAll(body)
			require.NoError(t, err)
			assert.Equal(t, long+long, string(first)+string(rest))
			require.NoError(t, body.Close())
			require.NoError(t, res.Body.Close())
		}
	}
}

func TestAnEndpointIsCompressed(t *testing.T) {
	t.Parallel()
	doc := document.MustParse(`{"text":"` + long + `"}`)
	var p proxy.Proxy = func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc, Header: http.Header{"Etag": {`"v1"`}}}, nil
	}
	h, err := endpoint.New(endpoint.Spec{Proxy: p})
	require.NoError(t, err)
	url, clients := serve(t, wrap(t, compress.Spec{}, h))
	for version, c := range clients {
		for _, coding := range []string{"gzip", "zstd", ""} {
			res, body, err := do(t, c, "GET", url, "Accept-Encoding", coding)
			require.NoError(t, err)
			assert.Equal(t, version, res.Proto)
			assert.Equal(t, coding, res.Header.Get("Content-Encoding"))
			assert.Contains(t, res.Header.Values("Vary"), "Accept-Encoding")
			assert.JSONEq(t, doc.String(), decode(t, coding, body))
		}
	}
}

func TestFilesAreServed(t *testing.T) {
	t.Parallel()
	url, clients := serve(t, wrap(t, compress.Spec{}, text(long, "Etag", `"v1"`)))
	for version, c := range clients {
		res, body, err := do(t, c, "GET", url, "Accept-Encoding", "gzip", "Range", "bytes=4-7")
		require.NoError(t, err)
		assert.Equal(t, 206, res.StatusCode, version)
		assert.Equal(t, long[4:8], body)
		res, body, err = do(t, c, "GET", url, "Accept-Encoding", "gzip")
		require.NoError(t, err)
		assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
		assert.Equal(t, long, decode(t, "gzip", body))
		res, _, err = do(t, c, "HEAD", url, "Accept-Encoding", "gzip")
		require.NoError(t, err)
		assert.EqualValues(t, len(long), res.ContentLength)
	}
}

func TestEarlyHintsGoBeforeACompressedAnswer(t *testing.T) {
	t.Parallel()
	url, clients := serve(t, wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(103)
		_, _ = io.WriteString(w, long)
	})))
	for _, c := range clients {
		res, body, err := do(t, c, "GET", url, "Accept-Encoding", "gzip")
		require.NoError(t, err)
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, long, decode(t, "gzip", body))
	}
}

func TestEncodersAreUsedAgain(t *testing.T) {
	t.Parallel()
	h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, r.URL.Path+long)
		if r.Method == "POST" {
			panic(http.ErrAbortHandler) // leaves an encoder that has not finished
		}
	}))
	for i := range 50 {
		for _, coding := range []string{"gzip", "zstd"} {
			func() {
				defer func() { _ = recover() }()
				record(h, "POST", "Accept-Encoding", coding)
			}()
			res := record(h, "GET", "Accept-Encoding", coding)
			b, _ := io.ReadAll(res.Body)
			require.Equal(t, "/"+long, decode(t, coding, string(b)), "%d", i)
		}
	}
}

// A handler that breaks the contract of net/http writes to an answer that has ended. The encoder of that
// belongs to another client then.
func TestAWriteAfterTheEndReachesNobody(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "zstd"} {
		var late http.ResponseWriter
		h := wrap(t, compress.Spec{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, long)
			if late == nil {
				late = w
				if r.Method == "POST" {
					panic(http.ErrAbortHandler)
				}
				return
			}
			_, err := io.WriteString(late, "a secret")
			assert.Error(t, err)
			assert.Error(t, http.NewResponseController(late).Flush())
		}))
		for _, method := range []string{"GET", "POST"} {
			late = nil
			func() {
				defer func() { _ = recover() }()
				record(h, method, "Accept-Encoding", coding)
			}()
			b, _ := io.ReadAll(record(h, "GET", "Accept-Encoding", coding).Body)
			assert.Equal(t, long, decode(t, coding, string(b)), "after a %s, %s", method, coding)
		}
	}
}
