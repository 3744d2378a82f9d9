package test_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A fault is what one upstream, or the code around it, does, and what a client of the gateway sees
// of it in each shape:
//
//	single     the upstream alone behind an endpoint: its answer is b
//	required   one of three required parts, of which the others answer {"a":1} and {"c":3} at once
//	optional   the same, but the gateway may answer without it
//	stream     a passthrough
//
// What a client sees is the status, the body of a success, what is special about it ("partial";
// "cut" where the connection ended too soon, "aborted" where that was before the header left), and
// when, unless it is at once.
type fault struct {
	id, name                           string
	faulty                             source
	single, required, optional, stream string
}

const (
	alone   = `200 {"b":2}`
	all     = `200 {"a":1,"b":2,"c":3}`
	without = `200 {"a":1,"c":3} partial`
)

func faults() []fault {
	object := `{"b":2}`
	ok := answer("200 OK", "", object)
	both := fault{"M7", "a length and chunks", raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"b\":2}\r\n0\r\n\r\n"), alone, all, all, alone}
	if _, strict := backend.NewDefaultTransport().(*h1.Transport); strict {
		both.single, both.required, both.optional, both.stream = "502", "502", without, "502"
	}
	return []fault{
		{"M1", "slow, below every timeout", after(3*time.Second, ok), alone + " @3s", all + " @3s", all + " @3s", alone + " @3s"},
		{"M1", "slow, as long as an optional part has time", after(9740*time.Millisecond, ok), alone + " @9.74s", all + " @9.74s", all + " @9.74s", alone + " @9.74s"},

		{"M2", "hangs", hangs(""), "504 @10s", "504 @10s", without + " @9.75s", "504 @10s"},
		{"M2", "hangs after its header", hangs("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), "504 @10s", "504 @10s", without + " @9.75s", "504 @10s"},
		{"M2", "hangs after its first bytes", hangs("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\""), "504 @10s", "504 @10s", without + " @9.75s", "aborted @1m0s"},

		{"M3", "ignores its context", deaf(), "504 @10s", "504 @10s", without + " @9.75s", "504 @10s"},

		{"M4", "refused", refused, "502", "502", without, "502"},
		{"M4", "no such host", at("http://nowhere/secret"), "502", "502", without, "502"},
		{"M4", "no TLS behind https", noTLS, "502", "502", without, "502"},

		{"M5", "reset before the header", resets(""), "502", "502", without, "502"},
		{"M5", "reset in the header", resets("HTTP/1.1 200 OK\r\nContent-Le"), "502", "502", without, "502"},
		{"M5", "reset in the body", resets("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\""), "502", "502", without, "aborted"},
		{"M5", "reset in a chunk", resets("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"b\""), "502", "502", without, "200 cut"},

		{"M6", "closed before the header", closes(""), "502", "502", without, "502"},
		{"M6", "closed within the length", closes("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2"), "502", "502", without, "aborted"},
		{"M6", "closed before the last chunk", closes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"b\":2}\r\n"), "502", "502", without, "200 cut"},
		{"M6", "broken chunk size", closes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"b\":2}\r\nx\r\n"), "502", "502", without, "200 cut"},

		{"M7", "surplus", raw("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}surplus"), alone, all, all, alone},
		{"M7", "two different lengths", raw("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		{"M7", "two equal lengths", raw("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), alone, all, all, alone},
		{"M7", "a negative length", raw("HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		{"M7", "a signed length", raw("HTTP/1.1 200 OK\r\nContent-Length: +7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		both,

		{"M8", "no JSON", answer("200 OK", "", "<p>boom"), "502", "502", without, "200 <p>boom"},
		{"M8", "trailing data", answer("200 OK", "", object+"x"), "502", "502", without, `200 {"b":2}x`},
		{"M8", "too deep", answer("200 OK", "", strings.Repeat("[", 513)+strings.Repeat("]", 513)), "502", "502", without, "200 1026 bytes"},
		{"M8", "no object", answer("200 OK", "", `[1]`), `200 [1]`, "502", without, `200 [1]`},
		{"M8", "null", answer("200 OK", "", `null`), `200 null`, "502", without, `200 null`},

		{"M9", "compressed once", answer("200 OK", "Content-Encoding: gzip\r\n", zip(object)), alone, all, all, fmt.Sprintf("200 %d bytes", len(zip(object)))},
		{"M9", "compressed twice", answer("200 OK", "Content-Encoding: gzip\r\n", zip(zip(object))), "502", "502", without, fmt.Sprintf("200 %d bytes", len(zip(zip(object))))},
		{"M9", "a bomb", answer("200 OK", "Content-Encoding: gzip\r\n", bomb), "502", "502", without, fmt.Sprintf("200 %d bytes", len(bomb))},
		{"M9", "not compressed at all", answer("200 OK", "Content-Encoding: gzip\r\n", object), "502", "502", without, alone},
		{"M9", "another coding", answer("200 OK", "Content-Encoding: br\r\n", object), "502", "502", without, alone},

		{"M10", "a body without end", endless("HTTP/1.1 200 OK\r\n\r\n", `{"b":2}`+strings.Repeat(" ", 32<<10)), "502", "502", without, "200 flows"},

		{"M11", "a header of a megabyte", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		{"M11", "a hundred thousand header lines", raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: boom\r\n", 100_000) + "Content-Length: 7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		{"M11", "a header with NUL in its name", raw("HTTP/1.1 200 OK\r\nX\x00: boom\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},
		{"M11", "a header that is none", raw("HTTP/1.1 200 OK\r\nboom\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), "502", "502", without, "502"},

		{"M12", "a thousand 100", raw(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), alone, all, all, alone},
		{"M12", "103", raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"b\":2}"), alone, all, all, "103 " + alone},
		{"M12", "1xx without end", endless("", "HTTP/1.1 102 Processing\r\nX: 1\r\n\r\n"), "502", "502", without, "102 502"},
		{"M12", "101 that nobody asked for", raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: secret\r\n\r\nboom"), "502", "502", without, "502"},

		{"M13", "status 099", answer("099 Odd", "", object), "502", "502", without, "502"},
		{"M13", "status 1000", answer("1000 Odd", "", object), "502", "502", without, "502"},
		{"M13", "status 600", answer("600 Odd", "", object), "502", "502", without, `600 {"b":2}`},

		{"M14", "redirect to another host", answer("302 Found", "Location: http://nowhere/secret\r\n", object), "502", "502", without, `302 {"b":2}`},
		{"M14", "redirect to itself", answer("307 Temporary Redirect", "Location: /secret\r\n", object), "502", "502", without, `307 {"b":2}`},

		{"M15", "201", answer("201 Created", "", object), `201 {"b":2}`, all, all, `201 {"b":2}`},
		{"M15", "202 without a body", answer("202 Accepted", "", ""), `202`, `200 {"a":1,"c":3}`, `200 {"a":1,"c":3}`, `202`},
		{"M15", "204", raw("HTTP/1.1 204 No Content\r\n\r\n"), `204`, `200 {"a":1,"c":3}`, `200 {"a":1,"c":3}`, `204`},
		{"M15", "205 with a body", answer("205 Reset Content", "", object), `205`, `200 {"a":1,"c":3}`, `200 {"a":1,"c":3}`, `205`},
		{"M15", "206", answer("206 Partial Content", "Content-Range: bytes 0-6/9\r\n", object), "502", "502", without, `206 {"b":2}`},
		{"M15", "304", raw("HTTP/1.1 304 Not Modified\r\n\r\n"), "502", "502", without, `304`},

		{"M16", "400", answer("400 Bad Request", "", `"boom"`), "400", "400", without, `400 "boom"`},
		{"M16", "401, though nobody forwarded credentials", answer("401 Unauthorized", "", `"boom"`), "502", "502", without, `401 "boom"`},
		{"M16", "404", answer("404 Not Found", "", `"boom"`), "404", "404", without, `404 "boom"`},
		{"M16", "429", answer("429 Too Many Requests", "Retry-After: 7\r\n", `"boom"`), "429 retry in 7", "429 retry in 7", without, `429 "boom" retry in 7`},
		{"M16", "500", answer("500 Internal Server Error", "", `"boom"`), "502", "502", without, `500 "boom"`},
		{"M16", "503", answer("503 Service Unavailable", "Retry-After: 7\r\n", `"boom"`), "503 retry in 7", "503 retry in 7", without, `503 "boom" retry in 7`},
		{"M16", "504", answer("504 Gateway Timeout", "", `"boom"`), "504", "504", without, `504 "boom"`},

		{"M18", "bytes that are no UTF-8", answer("200 OK", "", "{\"b\":\"\xff\"}"), "502", "502", without, "200 9 bytes"},
		{"M18", "half a surrogate pair", answer("200 OK", "", `{"b":"\ud800"}`), "502", "502", without, `200 {"b":"\ud800"}`},
		{"M18", "a name twice, once escaped", answer("200 OK", "", `{"b":1,"\u0062":2}`), `200 {"b":1,"\u0062":2}`, `200 {"a":1,"\u0062":2,"c":3}`, `200 {"a":1,"\u0062":2,"c":3}`, `200 {"b":1,"\u0062":2}`},

		{"M19", "neither a response nor an error", code(func() (*proxy.Response, error) { return nil, nil }), "500", "500", without, "500"},
		{"M19", "both", code(func() (*proxy.Response, error) { return decoded(object), errors.New("boom") }), "502", "502", without, "502"},
		{"M19", "status 7", code(func() (*proxy.Response, error) { r := decoded(object); r.Status = 7; return r, nil }), "500", all, all, "500"},
		{"M19", "status 1000", code(func() (*proxy.Response, error) { r := decoded(object); r.Status = 1000; return r, nil }), "500", all, all, "500"},
		{"M19", "no status and no header", code(func() (*proxy.Response, error) { return decoded(object), nil }), alone, all, all, alone},
		{"M19", "nothing in a response", code(func() (*proxy.Response, error) { return &proxy.Response{}, nil }), "200", `200 {"a":1,"c":3}`, `200 {"a":1,"c":3}`, "200"},
		{"M19", "an error without a status", code(func() (*proxy.Response, error) { return nil, errors.New("boom") }), "502", "502", without, "502"},

		{"M21", "a panic", code(func() (*proxy.Response, error) { panic("boom") }), "500", "500", without, "500"},
		{"M21", "Goexit", code(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }), "500", "500", without, "500"},
		{"M21", "a panic in a decorator, on the way in", decorated(ok, func(proxy.Proxy) (*proxy.Response, error) { panic("boom") }), "500", "500", without, "500"},
		{"M21", "a panic on the way out", observed(ok, func() { panic("boom") }), "500", "500", without, "500"},
		{"M21", "Goexit on the way out", observed(ok, runtime.Goexit), "500", "500", without, "500"},
	}
}

// proves M1, M2, M3, M4, M5, M6, M7, M8, M9, M10, M11, M12, M13, M14, M15, M16, M18, M19, M21, M37
// proves D9, D12, D14, D15, L1, L15, L16, L18, L19, L21, L22, L23, L24, L29, L30, L31
func TestWhatAClientSeesOfAFault(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		for _, s := range shapes() {
			t.Run(f.id+" "+f.name+", "+s.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := inMemory(t)
					c := s.serve(w, f.faulty)
					assert.Equal(t, s.want(f), look(t, c))
					require.NoError(t, w.stop(), "the gateway stops, nothing was abandoned")
					w.assertBodiesClosedOnce()
				})
			})
		}
	}
}

// The same faults over sockets, except for those that wait for a clock.
//
// proves M4, M5, M6, M7, M11, M12
func TestWhatAClientSeesOfAFaultOnTheWire(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		for _, s := range shapes() {
			if strings.Contains(s.want(f), "@") {
				continue
			}
			t.Run(f.id+" "+f.name+", "+s.name, func(t *testing.T) {
				t.Parallel()
				w := onLoopback(t)
				c := s.serve(w, f.faulty)
				got := look(t, c)
				at := strings.Index(got, " @")
				if at >= 0 {
					got = got[:at]
				}
				assert.Equal(t, s.want(f), got)
				assert.NoError(t, w.stop())
			})
		}
	}
}

// A gatewayShape is the gateway around the upstream at fault.
type gatewayShape struct {
	name   string
	want   func(fault) string
	stream bool
	around func(w *world, faulty proxy.Proxy) proxy.Proxy
}

func shapes() []gatewayShape {
	return []gatewayShape{
		{name: "single", want: func(f fault) string { return f.single }, around: func(_ *world, p proxy.Proxy) proxy.Proxy { return p }},
		{name: "required", want: func(f fault) string { return f.required }, around: func(w *world, p proxy.Proxy) proxy.Proxy {
			a, c := w.good()
			return proxy.Merge(a, proxy.Part{Name: "faulty", Proxy: p}, c)
		}},
		{name: "optional", want: func(f fault) string { return f.optional }, around: func(w *world, p proxy.Proxy) proxy.Proxy {
			a, c := w.good()
			return proxy.Merge(a, proxy.Part{Name: "faulty", Proxy: p, Optional: true}, c)
		}},
		{name: "stream", want: func(f fault) string { return f.stream }, stream: true, around: func(_ *world, p proxy.Proxy) proxy.Proxy { return p }},
	}
}

// serve starts a gateway of the shape.
func (s gatewayShape) serve(w *world, faulty source) *http.Client {
	return w.serve(endpoint.Spec{Proxy: s.around(w, faulty(w, s.stream)), Stream: s.stream})
}

// good returns the parts that are not at fault.
func (w *world) good() (a, c proxy.Part) {
	for name, text := range map[string]string{"a": `{"a":1}`, "c": `{"c":3}`} {
		w.upstream(name, says(text))
	}
	return proxy.Part{Proxy: w.backend(backend.Spec{Name: "a"})}, proxy.Part{Proxy: w.backend(backend.Spec{Name: "c"})}
}

// says is an upstream that answers with JSON.
func says(text string) script {
	return func(c *wire, _ *http.Request) bool {
		return c.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n" + text)
	}
}

// A source makes the upstream at fault and the proxy that calls it.
type source func(w *world, stream bool) proxy.Proxy

func scripted(s script) source {
	return func(w *world, stream bool) proxy.Proxy {
		w.upstream(w.name, s)
		return w.faulty("http", stream)
	}
}

func (w *world) faulty(scheme string, stream bool) proxy.Proxy {
	return w.faultyAt(w.url(scheme, w.name), stream)
}

func (w *world) faultyAt(url string, stream bool) proxy.Proxy {
	s := backend.Spec{Name: w.name, URL: url}
	if stream {
		s.Decode = backend.Passthrough
	}
	return w.backend(s)
}

func raw(text string) source {
	return scripted(func(c *wire, _ *http.Request) bool { return c.say(text) })
}

func answer(status, header, body string) source {
	return raw("HTTP/1.1 " + status + "\r\n" + header + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

func closes(text string) source {
	return scripted(func(c *wire, _ *http.Request) bool { c.say(text); return false })
}

func resets(text string) source {
	return scripted(func(c *wire, r *http.Request) bool {
		c.say(text)
		c.reset()
		return false
	})
}

func hangs(text string) source {
	return scripted(func(c *wire, _ *http.Request) bool {
		c.say(text)
		c.untilLeft()
		return false
	})
}

func endless(first, again string) source {
	return scripted(func(c *wire, _ *http.Request) bool {
		for ok := c.say(first); ok; {
			ok = c.say(again)
		}
		return false
	})
}

func refused(w *world, stream bool) proxy.Proxy {
	w.refused(w.name)
	return w.faulty("http", stream)
}

func noTLS(w *world, stream bool) proxy.Proxy {
	w.accept(w.name, func(c *wire) {
		_, _ = c.Read(make([]byte, 16<<10)) // the hello
		c.say("HTTP/1.1 200 OK\r\n\r\n{\"b\":2}")
	})
	return w.faulty("https", stream)
}

func at(url string) source {
	return func(w *world, stream bool) proxy.Proxy {
		if !w.memory { // no test asks a resolver
			return refused(w, stream)
		}
		return w.faultyAt(url, stream)
	}
}

func after(d time.Duration, s source) source {
	return func(w *world, stream bool) proxy.Proxy {
		return s(w, stream).With(func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) {
				<-time.After(d)
				return next(ctx, r)
			}
		})
	}
}

// deaf never looks at its context. It answers when the test ends, and its response must be closed
// then.
func deaf() source {
	return func(w *world, _ bool) proxy.Proxy {
		release := make(chan struct{})
		w.release = append(w.release, func() { close(release) })
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return decoded(`{"b":2}`), nil
		}
	}
}

func code(f func() (*proxy.Response, error)) source {
	return func(*world, bool) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { return f() }
	}
}

func decorated(s source, f func(next proxy.Proxy) (*proxy.Response, error)) source {
	return func(w *world, stream bool) proxy.Proxy {
		return s(w, stream).With(func(next proxy.Proxy) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) { return f(next) }
		})
	}
}

func observed(s source, f func()) source {
	return func(w *world, stream bool) proxy.Proxy {
		return s(w, stream).With(func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, req)
				returned := false
				defer func() {
					if !returned {
						_ = res.Close()
					}
				}()
				f()
				returned = true
				return res, err
			}
		})
	}
}

func decoded(text string) *proxy.Response {
	d, err := document.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return &proxy.Response{Document: d}
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

var bomb = zip(`{"b":2}` + strings.Repeat(" ", 64<<20))

// flows is how much of a stream is read before it counts as endless.
const flows = 16 << 20

// look sends one request and returns what a client sees. It asserts what holds for every answer.
func look(t *testing.T, c *http.Client) string {
	t.Helper()
	start, informed := time.Now(), ""
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code != http.StatusContinue {
				informed = strconv.Itoa(code) + " "
			}
			return nil
		},
	}))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://gateway/", nil)
	require.NoError(t, err)
	res, err := c.Do(r)
	took := func() string {
		if d := time.Since(start); d > 0 {
			return " @" + d.String()
		}
		return ""
	}
	if err != nil {
		return "aborted" + took()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, flows))

	seen := informed + strconv.Itoa(res.StatusCode)
	problem := res.Header.Get("Content-Type") == "application/problem+json"
	switch {
	case len(b) == flows:
		return seen + " flows"
	case problem:
		assertProblem(t, res, b)
	case err != nil:
		seen += " cut" // how many bytes come before that is random
	case len(b) > 100 || !utf8.Valid(b):
		seen += fmt.Sprintf(" %d bytes", len(b))
	case len(b) > 0:
		seen += " " + string(b)
	}
	switch completed := res.Header.Get("X-Completed"); completed {
	case "":
	case "false":
		assert.Equal(t, "no-store", res.Header.Get("Cache-Control"), "of a partial answer")
		seen += " partial"
	default:
		assert.Equal(t, "true", completed)
	}
	if again := res.Header.Get("Retry-After"); again != "" {
		seen += " retry in " + again
	}
	return seen + took()
}

// assertProblem asserts that a problem contains only its status and the id of the request.
func assertProblem(t *testing.T, res *http.Response, body []byte) {
	t.Helper()
	var said struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		RequestID string `json:"requestId"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&said))
	assert.Equal(t, "about:blank", said.Type)
	assert.Equal(t, http.StatusText(res.StatusCode), said.Title)
	assert.Equal(t, res.StatusCode, said.Status)
	assert.Len(t, said.RequestID, 32)
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	var header bytes.Buffer
	_ = res.Header.Write(&header)
	for _, inside := range []string{"secret", "token", "faulty", "boom", "goroutine", ".go:", "dial", "EOF", "127.0.0.1", "192.0.2", "nowhere", "context"} {
		assert.NotContains(t, string(body)+header.String(), inside)
	}
}
