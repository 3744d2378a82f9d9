package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// everything is a client's header with all that must not go on unasked.
func everything() http.Header {
	return http.Header{
		"Accept":            {"text/html", "*/*"},
		"X-Request-Id":      {"1"},
		"Authorization":     {"Bearer client"},
		"Cookie":            {"session=1"},
		"User-Agent":        {"curl"},
		"X-Forwarded-For":   {"192.0.2.1"},
		"Accept-Encoding":   {"br, zstd"},
		"If-None-Match":     {`"a"`},
		"If-Modified-Since": {"x"},
		"Range":             {"bytes=0-1"},
		"Expect":            {"100-continue"},
		"Content-Type":      {"text/plain"},
		"Content-Encoding":  {"gzip"},
		"Content-Length":    {"5"},
		"Host":              {"evil"},

		"Connection":          {"X-Secret, keep-alive"},
		"Proxy-Connection":    {"keep-alive"},
		"Keep-Alive":          {"timeout=5"},
		"Proxy-Authenticate":  {"Basic"},
		"Proxy-Authorization": {"Basic abc"},
		"Te":                  {"trailers, deflate;q=0.5"},
		"Trailer":             {"X-T"},
		"Transfer-Encoding":   {"chunked"},
		"Upgrade":             {"websocket"},
		"Http2-Settings":      {"AAMAAABkAAQAAP__"},
		"Alt-Svc":             {"h2=\":443\""},
	}
}

// nameable returns the names of everything that a Spec may name.
func nameable() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(everything())), func(name string) bool {
		_, err := backend.ParseHeaders([]string{name})
		return err != nil
	})
}

// proves H2
func TestAHeaderOfTheConnectionCannotBeNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Connection", "transfer-encoding", "Keep-Alive", "TE", "Upgrade", "Host", "Content-Length", "X_Host"} {
		_, err := backend.New(backend.Spec{Name: "up", URL: "http://h/", Headers: []string{"Accept", name}})
		if name == "X_Host" {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "backend up: headers: "+http.CanonicalHeaderKey(name)+" belongs to the connection and never goes on")
	}
}

// proves H2, H8, H9, H4, L11, D1
func TestTheUpstreamGetsTheNamedHeaders(t *testing.T) {
	t.Parallel()
	all := nameable()
	tests := []struct {
		name   string
		list   []string
		decode backend.Decoder
		want   string // names
	}{
		{"none by default", nil, nil, "Accept-Encoding"},
		{"the named, in any case", []string{"accept", "x-request-id", "X-Request-ID"}, nil, "Accept Accept-Encoding X-Request-Id"},
		{"credentials by name", []string{"Authorization", "Cookie"}, nil, "Accept-Encoding Authorization Cookie"},
		{"the client's agent by name", []string{"User-Agent"}, nil, "Accept-Encoding User-Agent"},
		{"all", []string{"*"}, nil, "Accept Accept-Encoding Authorization Cookie User-Agent X-Forwarded-For X-Request-Id"},
		{"all, each by name", all, nil, "Accept Accept-Encoding Authorization Cookie User-Agent X-Forwarded-For X-Request-Id"},
		{"all but some", []string{"*", "-cookie", "-X-Forwarded-For"}, nil, "Accept Accept-Encoding Authorization User-Agent X-Request-Id"},
		{"a stream", nil, backend.Passthrough, "Te"},
		{"a stream, all", []string{"*"}, backend.Passthrough,
			"Accept Accept-Encoding Authorization Content-Type Cookie If-Modified-Since If-None-Match Range Te User-Agent X-Forwarded-For X-Request-Id"},
		{"a stream, each by name", all, backend.Passthrough,
			"Accept Accept-Encoding Authorization Cookie If-Modified-Since If-None-Match Range Te User-Agent X-Forwarded-For X-Request-Id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, ctx := range []context.Context{t.Context(), described(t.Context())} { // taken over instead of copied
				up := &answers{body: "{}"}
				p := newBackend(t, up, backend.Spec{Headers: tt.list, Decode: tt.decode})
				req := proxy.NewRequest("GET", "/")
				req.Header = everything()
				if call.Described(ctx) { // an endpoint has done this before
					for _, name := range []string{"Alt-Svc", "Connection", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate",
						"Proxy-Authorization", "Proxy-Connection", "Trailer", "Transfer-Encoding", "Upgrade"} {
						delete(req.Header, name)
					}
				}
				_, err := p(ctx, req)
				require.NoError(t, err)
				sent := up.last.Header
				if sent["User-Agent"] == nil {
					delete(sent, "User-Agent")
				}
				assert.Equal(t, strings.Fields(tt.want), slices.Sorted(maps.Keys(sent)))
				leaf := pipe.Step{Takes: pipe.PlanOf(p).Takes} // without its transport, which is opaque
				taken := call.Takes(&leaf)
				for name := range everything() {
					if slices.Contains(tt.list, "-"+strings.ToLower(name)) {
						assert.False(t, taken.Has(name), name)
					}
				}
				for name, values := range sent {
					if ours := name == "Accept-Encoding" && tt.decode == nil; !ours {
						assert.True(t, taken.Has(name), "the plan says that the leaf takes %s", name)
					}
					switch {
					case name == "Te":
						assert.Equal(t, []string{"trailers"}, values)
					case name == "Accept-Encoding" && tt.decode == nil:
						assert.Equal(t, []string{"gzip"}, values, "a decoded upstream is asked for what we can decode")
					default:
						assert.Equal(t, everything()[name], values)
					}
				}
			}
		})
	}
}

// proves H8
func TestThePasswordOfTheURLGoesToItsUpstreamAlone(t *testing.T) {
	t.Parallel()
	req := proxy.NewRequest("GET", "/")
	first, second := &answers{body: "{}"}, &answers{body: "{}"}
	_, err := newBackend(t, first, backend.Spec{URL: "http://me:secret@a/", Headers: []string{"*"}})(described(t.Context()), req)
	require.NoError(t, err)
	_, err = newBackend(t, second, backend.Spec{URL: "http://b/", Headers: []string{"*"}})(described(t.Context()), req)
	require.NoError(t, err)
	assert.NotEmpty(t, first.last.Header["Authorization"])
	assert.Empty(t, second.last.Header["Authorization"])
}

// proves H9
func TestNoUserAgentIsMadeUp(t *testing.T) {
	t.Parallel()
	up := newText(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Headers: []string{"*"}})
	_, err := get(t, p)
	require.NoError(t, err)
	assert.NotContains(t, up.requests()[0], "User-Agent")
}

// proves H3
func TestWhatCodeSendsAlwaysGoesAndWins(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	p := newBackend(t, up, backend.Spec{Headers: []string{"*"}})
	req := proxy.NewRequest("GET", "/")
	req.Header = http.Header{"Connection": {"X-User"}, "X-User": {"forged"}, "X-Gone": {"1"}, "User-Agent": {"curl"}}
	req.Upstream = http.Header{"X-User": {"ada"}, "x-lower": {"1"}, "X-Gone": nil, "Connection": {"X-User"}, "Transfer-Encoding": {"chunked"},
		"Content-Length": {"7"}, "Te": {"gzip"}, "User-Agent": {"gateway"}, "Host": {"tenant.example"}, "Accept-Encoding": {"identity"}}
	_, err := p(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-User": {"ada"}, "X-Lower": {"1"}, "User-Agent": {"gateway"}, "Accept-Encoding": {"identity"}}, up.last.Header)
	assert.Equal(t, "tenant.example", up.last.Host)
	assert.Equal(t, "upstream.example", up.last.URL.Host, "a header picks no upstream")
}

// proves H6
func TestAHeaderOfCodeReplacesEverySpellingOfTheClient(t *testing.T) {
	t.Parallel()
	all := []string{"*"}
	tests := []struct {
		name   string
		list   []string
		code   http.Header
		client http.Header
		want   http.Header
	}{
		{"underscore", all, http.Header{"X-Tenant": {"acme"}}, http.Header{"X_tenant": {"evil"}, "X-Tenant": {"evil"}},
			http.Header{"X-Tenant": {"acme"}}},
		{"underscores among hyphens", all, http.Header{"X-User-Id": {"1"}},
			http.Header{"X_user-Id": {"2"}, "X-User_id": {"3"}, "X_user_id": {"4"}, "X-Userid": {"5"}},
			http.Header{"X-User-Id": {"1"}, "X-Userid": {"5"}}},
		{"named", []string{"X_Tenant", "X-Tenant", "Accept"}, http.Header{"X-Tenant": {"acme"}},
			http.Header{"X_tenant": {"evil"}, "X-Tenant": {"evil"}, "Accept": {"*/*"}},
			http.Header{"X-Tenant": {"acme"}, "Accept": {"*/*"}}},
		{"code has the underscore", all, http.Header{"X_Tenant": {"acme"}}, http.Header{"X_tenant": {"evil"}, "X-Tenant": {"evil"}},
			http.Header{"X_tenant": {"acme"}}},
		{"code has both", all, http.Header{"X_tenant": {"a"}, "X-Tenant": {"b"}}, http.Header{"X_tenant": {"evil"}, "X-Tenant": {"evil"}},
			http.Header{"X_tenant": {"a"}, "X-Tenant": {"b"}}},
		{"code takes it away", all, http.Header{"X-Tenant": nil}, http.Header{"X_tenant": {"evil"}, "X-Tenant": {"evil"}}, http.Header{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, ctx := range []context.Context{t.Context(), described(t.Context())} { // taken over instead of copied
				for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
					up := &answers{body: "{}"}
					p := newBackend(t, up, backend.Spec{Headers: tt.list, Decode: decode})
					decorated := p.With(func(next proxy.Proxy) proxy.Proxy {
						return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
							maps.Copy(req.Upstream, tt.code)
							return next(ctx, req)
						}
					})
					req := proxy.NewRequest("GET", "/")
					req.Header = tt.client.Clone()
					res, err := decorated(ctx, req)
					require.NoError(t, err)
					require.NoError(t, res.Close())
					sent := up.last.Header
					delete(sent, "User-Agent")
					if decode == nil {
						delete(sent, "Accept-Encoding")
					}
					assert.Equal(t, tt.want, sent)
				}
			}
		})
	}
}

func TestSpellingsOfOneHeaderOfCodeAreJoinedInOrder(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	p := newBackend(t, up, backend.Spec{Headers: []string{"*"}})
	for range 50 { // the order of a map is random
		req := proxy.NewRequest("GET", "/")
		req.Header.Set("X-A", "evil")
		req.Upstream = http.Header{"x-a": {"3"}, "X-A": {"1", "2"}, "x-A": nil}
		_, err := p(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, []string{"1", "2", "3"}, up.last.Header["X-A"])
	}
}

// proves U5
func TestTheClientsHostPicksNoUpstream(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	req := proxy.NewRequest("GET", "/")
	req.Host, req.Header["Host"] = "evil.example", []string{"evil.example"}
	_, err := newBackend(t, up, backend.Spec{Headers: []string{"*"}})(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "", up.last.Host, "that of the URL")
	assert.Equal(t, "upstream.example", up.last.URL.Host)
	assert.NotContains(t, up.last.Header, "Host")
	_, err = newBackend(t, up, backend.Spec{Host: "users.internal"})(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "users.internal", up.last.Host)
}

// proves H7
func TestNoControlByteGoesOut(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a\x00", "a\r\nX-Evil: 1", "a\nb", "\x7f"} {
		up := &answers{body: "{}"}
		p := newBackend(t, up, backend.Spec{Headers: []string{"*"}})
		req := proxy.NewRequest("GET", "/")
		req.Header = http.Header{"X-A": {bad, "good"}, "X-B": {bad}, "X C": {"1"}, "X-D\r\n": {"1"}}
		_, err := p(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-A": {"good"}, "Accept-Encoding": {"gzip"}, "User-Agent": nil}, up.last.Header)

		for _, upstream := range []http.Header{{"X-Token": {bad}}, {"X" + bad: {"1"}}, {"Host": {bad}}} {
			req := proxy.NewRequest("GET", "/")
			req.Upstream = upstream
			_, err = p(t.Context(), req)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%q", upstream)
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "\x00")
		}
		assert.Equal(t, 1, up.calls)
	}
}

// proves H10
func TestTheOutgoingHeaderSharesNothingWithTheRequest(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	req := proxy.NewRequest("GET", "/")
	req.Header.Set("X-A", "1")
	req.Upstream.Set("X-B", "1")
	_, err := newBackend(t, up, backend.Spec{Headers: []string{"*"}})(t.Context(), req)
	require.NoError(t, err)
	for _, values := range up.last.Header {
		for i := range values {
			values[i] = "changed"
		}
		_ = append(values, "more")
	}
	assert.Equal(t, "1", req.Header.Get("X-A"))
	assert.Equal(t, "1", req.Upstream.Get("X-B"))
}

// proves H1, H2, H7, M17, L11, D2
func TestAStreamCarriesTheEndToEndHeaders(t *testing.T) {
	t.Parallel()
	hop := everything()
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Te", "Trailer", "Upgrade", "Alt-Svc"} {
		require.NotEmpty(t, hop[name])
	}
	h := http.Header{"Connection": {"", "x-secret , X-Other", "close"}, "X-Secret": {"1"}, "X-Other": {"1"}, "Set-Cookie": {"a=1", "b=2", "a=3"},
		"Etag": {`"x"`}, "Content-Type": {"text/plain"}, "X-Bad": {"a\x00", "good", "b\nc"}, "X-Worse": {"\r"}, "X Name": {"1"},
		"connection": {"lower"}, "keep-alive": {"1"}, "Alt-Svc": {"h2"}, "Proxy-Authenticate": {"Basic"}, "Trailer": {"X"}, "Te": {"a"}, "Upgrade": {"h2c"}}
	up := &answers{header: h, body: "text"}
	res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
	require.NoError(t, err)
	defer res.Close()
	assert.Equal(t, http.Header{"Set-Cookie": {"a=1", "b=2", "a=3"}, "Etag": {`"x"`}, "Content-Type": {"text/plain"}, "X-Bad": {"good"}}, res.Header)
}

// proves M17
func TestADecodedAnswerCarriesTheExposedHeaders(t *testing.T) {
	t.Parallel()
	h := http.Header{"Set-Cookie": {"a=1", "b=2"}, "X-A": {"1", "b\nad"}, "X-Hop": {"1"}, "Connection": {"X-Hop"}, "Etag": {"x"}, "Content-Type": {"application/json"}}
	up := &answers{header: h, body: "{}"}
	res, err := get(t, newBackend(t, up, backend.Spec{Expose: []string{"set-cookie", "x-a", "X-Hop", "X-None"}}))
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Set-Cookie": {"a=1", "b=2"}, "X-A": {"1"}}, res.Header)
	res, err = get(t, newBackend(t, up, backend.Spec{}))
	require.NoError(t, err)
	assert.Empty(t, res.Header)
}

func TestAResponseHasAHeaderToSet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec backend.Spec
	}{
		{"nothing exposed", backend.Spec{}},
		{"what is exposed did not come", backend.Spec{Expose: []string{"X-None"}}},
		{"a stream", backend.Spec{Decode: backend.Passthrough}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, h := range []http.Header{nil, {}, {"Connection": {"close"}}} {
				for _, status := range []int{200, 204} {
					rt := trip(func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: status, Header: h.Clone(), Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2}, nil
					})
					res, err := get(t, newBackend(t, rt, tt.spec))
					require.NoError(t, err)
					res.Header.Set("X-A", "1")
					assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
					require.NoError(t, res.Close())
				}
			}
		})
	}
}

// proves F1
func TestAnUpstreamRequestHasOneFramingHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, want string
		spec               backend.Spec
		body               string
		length             int64
	}{
		{"no body", "POST", "Content-Length: 0", backend.Spec{}, "", 0},
		{"known length", "POST", "Content-Length: 5", backend.Spec{}, "hello", 5},
		{"unknown length", "PUT", "Transfer-Encoding: chunked", backend.Spec{}, "hello", -1},
		{"length not told", "PATCH", "Transfer-Encoding: chunked", backend.Spec{}, "hello", 0},
		{"a stream", "POST", "Content-Length: 5", backend.Spec{Decode: backend.Passthrough}, "hello", 5},
		{"a stream of unknown length", "GET", "Transfer-Encoding: chunked", backend.Spec{Decode: backend.Passthrough}, "hello", -1},
		{"a method that takes none", "GET", "", backend.Spec{}, "hello", 5},
		{"the Spec's method takes none", "POST", "", backend.Spec{Method: "GET"}, "hello", 5},
		{"the Spec's method takes one", "GET", "Content-Length: 5", backend.Spec{Method: "POST"}, "hello", 5},
		{"a stream asked with another method", "POST", "", backend.Spec{Method: "GET", Decode: backend.Passthrough}, "hello", 5},
		{"TRACE", "TRACE", "", backend.Spec{Decode: backend.Passthrough}, "hello", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := newText(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			tt.spec.URL, tt.spec.Headers = up.URL, []string{"*"}
			p := newBackend(t, newTransport(t), tt.spec)
			req := proxy.NewRequest(tt.method, "/")
			req.Header = http.Header{"Content-Length": {"99"}, "Transfer-Encoding": {"gzip, chunked"}, "Content-Type": {"text/x"}, "Content-Encoding": {"gzip"}}
			req.Upstream = http.Header{"Content-Length": {"7"}, "Transfer-Encoding": {"identity"}}
			if tt.body != "" {
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(tt.body)), tt.length
			}
			res, err := p(t.Context(), req)
			require.NoError(t, err)
			require.NoError(t, res.Close())
			head, _, _ := strings.Cut(up.requests()[0], "\r\n\r\n")
			var framing []string
			for line := range strings.SplitSeq(head, "\r\n") {
				if strings.HasPrefix(line, "Content-Length") || strings.HasPrefix(line, "Transfer-Encoding") {
					framing = append(framing, line)
				}
			}
			assert.Equal(t, tt.want, strings.Join(framing, "|"))
			sendsBody := tt.body != "" && tt.want != ""
			assert.Equal(t, sendsBody, strings.Contains(head, "Content-Type: text/x"), "it goes with the body")
			assert.Equal(t, sendsBody, strings.Contains(head, "Content-Encoding: gzip"), "it goes with the body")
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(up.requests()[0])))
			require.NoError(t, err)
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			if sendsBody {
				assert.Equal(t, tt.body, string(b))
			} else {
				assert.Empty(t, b)
			}
		})
	}
}

func TestTheMethodIsTheSpecsOrTheRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, request string
		decode              backend.Decoder
		want                string
	}{
		{"the request's", "", "DELETE", nil, "DELETE"},
		{"the Spec's", "POST", "GET", nil, "POST"},
		{"none", "", "", nil, "GET"},
		{"HEAD of a document", "", "HEAD", nil, "GET"},
		{"HEAD of a stream", "", "HEAD", backend.Passthrough, "HEAD"},
		{"one of a house", "", "REPORT", nil, "REPORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: "{}"}
			_, err := newBackend(t, up, backend.Spec{Method: tt.spec, Decode: tt.decode})(t.Context(), proxy.NewRequest(tt.request, "/"))
			require.NoError(t, err)
			assert.Equal(t, tt.want, up.last.Method)
		})
	}
}

// proves H13
func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	up := &answers{}
	_, err := newBackend(t, up, backend.Spec{Decode: backend.Passthrough})(t.Context(), proxy.NewRequest("CONNECT", "/"))
	assert.Equal(t, http.StatusNotImplemented, proxy.StatusOf(err))
	assert.Zero(t, up.calls)
}

// FuzzHeaderFilter checks that no hop-by-hop header and no header that was not named is forwarded
// (HARDENING H1, H2, H7, H8).
func FuzzHeaderFilter(f *testing.F) {
	f.Add("Connection", "x-secret", "X-Secret", "1")
	f.Add("connection", " , X-Secret;q=1", "Te", "trailers")
	f.Add("HTTP2-Settings", "a", "transfer-encoding", "chunked\r\n")
	f.Add("x-named", "a\x00", "X-Named", "good")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		h := http.Header{}
		h[name1] = append(h[name1], value1)
		h[name2] = append(h[name2], value2)
		h["X-Named"] = append(h["X-Named"], "named")
		named := http.Header{}
		for name, values := range h.Clone() {
			named[http.CanonicalHeaderKey(name)] = append(named[http.CanonicalHeaderKey(name)], values...)
		}
		for _, list := range [][]string{{"x-named"}, {"*"}} {
			up := &answers{header: h.Clone()}
			req := proxy.NewRequest("GET", "/")
			req.Header = h.Clone()
			res, err := newBackend(t, up, backend.Spec{Headers: list, Decode: backend.Passthrough})(t.Context(), req)
			require.NoError(t, err)
			require.NoError(t, res.Close())
			checkFiltered(t, up.last.Header, true)
			checkFiltered(t, res.Header, false)
			if list[0] != "*" {
				for name := range up.last.Header {
					require.Contains(t, []string{"X-Named", "User-Agent", "Te"}, name)
				}
			}
		}
	})
}

// checkFiltered writes a header and reads it back as a plain server would.
func checkFiltered(t *testing.T, h http.Header, request bool) {
	t.Helper()
	h = h.Clone()
	if h["User-Agent"] == nil {
		delete(h, "User-Agent")
	}
	if te := h["Te"]; request && te != nil {
		require.Equal(t, []string{"trailers"}, te)
		delete(h, "Te")
	}
	var b bytes.Buffer
	b.WriteString("GET / HTTP/1.1\r\nHost: h\r\n")
	for name, values := range h {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(&b))
	require.NoError(t, err)
	n := 0
	for _, values := range h {
		n += len(values)
	}
	got := 0
	for name, values := range r.Header {
		got += len(values)
		for _, hop := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
			"Transfer-Encoding", "Upgrade", "Http2-Settings"} {
			require.NotEqual(t, hop, name)
		}
	}
	require.LessOrEqual(t, n-got, len(h["Host"])+len(h["Content-Length"])+len(h["Pragma"])+1)
}

// proves H16
func TestOnlyATimeToWaitIsARetryAfter(t *testing.T) {
	t.Parallel()
	const date, asctime = "Wed, 21 Oct 2065 07:28:00 GMT", "Wed Oct 21 07:28:00 2065"
	for _, tt := range []struct {
		name       string
		sent, want []string
	}{
		{"seconds", []string{"120"}, []string{"120"}},
		{"a date", []string{date}, []string{date}},
		{"an old date", []string{asctime}, []string{asctime}},
		{"a word", []string{"soon"}, nil},
		{"markup", []string{"<script>"}, nil},
		{"a negative number", []string{"-1"}, nil},
		{"a fraction", []string{"1.5"}, nil},
		{"nothing", []string{""}, nil},
		{"two", []string{"soon", "7", "8"}, []string{"7"}},
		{"a list", []string{"1, 2"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := func() *answers {
				return &answers{status: 503, body: "{}", header: http.Header{"Retry-After": slices.Clone(tt.sent)}}
			}
			_, err := get(t, newBackend(t, up(), backend.Spec{}))
			var e *proxy.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.want, e.Header["Retry-After"], "of a failure")
			assert.Equal(t, tt.want, e.Upstream.Header["Retry-After"])
			res, err := get(t, newBackend(t, up(), backend.Spec{Decode: backend.Passthrough}))
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Header["Retry-After"], "of a stream")
			require.NoError(t, res.Close())
			res, err = get(t, newBackend(t, up(), backend.Spec{Statuses: []int{503}, Expose: []string{"Retry-After"}}))
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Header["Retry-After"], "of a success")

			h, err := endpoint.New(endpoint.Spec{Stream: true, Proxy: newBackend(t, up(), backend.Spec{Decode: backend.Passthrough})})
			require.NoError(t, err)
			srv := httptest.NewServer(h)
			defer srv.Close()
			answer, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			assert.Equal(t, tt.want, answer.Header["Retry-After"], "behind an endpoint")
			require.NoError(t, answer.Body.Close())
		})
	}
}

func TestAPassthroughKeepsTheContentTypeOfAnEmptyBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method string
		spec         backend.Spec
		body         io.ReadCloser
		kept         bool
	}{
		{"POST, empty", "POST", backend.Spec{Decode: backend.Passthrough, Headers: []string{"*"}}, http.NoBody, true},
		{"POST, none", "POST", backend.Spec{Decode: backend.Passthrough, Headers: []string{"*"}}, nil, true},
		{"GET", "GET", backend.Spec{Decode: backend.Passthrough, Headers: []string{"*"}}, nil, true},
		{"taken back", "GET", backend.Spec{Decode: backend.Passthrough, Headers: []string{"*", "-content-type"}}, nil, false},
		{"not named", "GET", backend.Spec{Decode: backend.Passthrough}, nil, false},
		{"a body that is not sent", "POST", backend.Spec{Decode: backend.Passthrough, Headers: []string{"*"}, Method: "GET"},
			io.NopCloser(strings.NewReader("x")), false},
		{"decoded, no body", "POST", backend.Spec{Headers: []string{"*"}}, nil, false},
		{"decoded, a body", "POST", backend.Spec{Headers: []string{"*"}}, io.NopCloser(strings.NewReader("x")), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			up := &answers{body: `{}`}
			req := proxy.NewRequest(tt.method, "/")
			req.Header.Set("Content-Type", "text/x")
			req.Body = tt.body
			res, err := newBackend(t, up, tt.spec)(t.Context(), req)
			require.NoError(t, err)
			require.NoError(t, res.Close())
			assert.Equal(t, tt.kept, up.last.Header.Get("Content-Type") == "text/x")
		})
	}
}
