package adapter_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

const page = "https://app.example.com"

// withCORS puts CORS around a handler.
func withCORS(t testing.TB, spec adapter.CORSSpec, h http.HandlerFunc) http.Handler {
	t.Helper()
	mw, err := adapter.CORS(spec)
	require.NoError(t, err)
	return mw(h)
}

// ask sends a request with a header and returns the answer.
func ask(h http.Handler, method string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "/any/path", nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// ofCORS returns what a header says about CORS, with all spellings of a name.
func ofCORS(h http.Header) map[string][]string {
	got := map[string][]string{}
	for name, values := range h {
		if strings.HasPrefix(strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name)), "access-control-") {
			got[name] = values
		}
	}
	return got
}

func admits(t testing.TB, spec adapter.CORSSpec, origins ...string) bool {
	h := withCORS(t, spec, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	res := ask(h, "GET", http.Header{"Origin": origins})
	assert.Equal(t, http.StatusOK, res.StatusCode, "the request goes on")
	return len(res.Header["Access-Control-Allow-Origin"]) > 0
}

func TestTheZeroCORSSpecAdmitsNoOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{page, "null", "*", "", "http://localhost"} {
		assert.False(t, admits(t, adapter.CORSSpec{}, origin), origin)
		h := withCORS(t, adapter.CORSSpec{}, func(http.ResponseWriter, *http.Request) { assert.Fail(t, "a preflight goes nowhere") })
		res := ask(h, "OPTIONS", http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"GET"}})
		assert.Equal(t, http.StatusNoContent, res.StatusCode)
		assert.Empty(t, ofCORS(res.Header))
	}
}

func TestCORSRefusesAtWiring(t *testing.T) {
	t.Parallel()
	origins := func(o ...string) adapter.CORSSpec { return adapter.CORSSpec{Origins: o} }
	tests := []struct {
		name string
		spec adapter.CORSSpec
		want []string
	}{
		{"* with credentials", adapter.CORSSpec{Origins: []string{"*"}, Credentials: true}, []string{`origin "*": with Credentials`}},
		{"null with credentials", adapter.CORSSpec{Origins: []string{"null"}, Credentials: true}, []string{`origin "null": with Credentials`}},
		{"all headers with credentials", adapter.CORSSpec{Headers: []string{"*"}, Expose: []string{"*"}, Credentials: true},
			[]string{`header "*": with Credentials`, `exposed header "*": with Credentials`}},
		{"* not before a dot", origins("https://*example.com"), []string{`origin "https://*example.com": a "*"`}},
		{"* for a port", origins("http://localhost:*"), []string{"want scheme://"}},
		{"* for a scheme", origins("*://example.com"), []string{"want scheme://"}},
		{"* for a host", origins("https://*"), []string{`a "*"`}},
		{"* for all of com", origins("https://*.com"), []string{`a "*"`}},
		{"* in a later label", origins("https://api.*.com", "https://api.*.example.com"), []string{"https://api.*.com", "https://api.*.example.com"}},
		{"two *", origins("https://*.*.example.com", "https://**.example.com"), []string{"https://*.*.example.com", "https://**.example.com"}},
		{"no scheme", origins("example.com", "//example.com", "://example.com", "1http://example.com"), []string{
			`"example.com"`, `"//example.com"`, `"://example.com"`, `"1http://example.com"`}},
		{"no host", origins("https://", "https://:443", "https://."), []string{`"https://"`, `"https://:443"`, `"https://."`}},
		{"path, query, fragment", origins("https://a.b/", "https://a.b/c", "https://a.b?c", "https://a.b#c"), []string{
			`"https://a.b/"`, `"https://a.b/c"`, `"https://a.b?c"`, `"https://a.b#c"`}},
		{"userinfo", origins("https://me@example.com"), []string{"want scheme://"}},
		{"port", origins("https://a.b:", "https://a.b:0", "https://a.b:65536", "https://a.b:080", "https://a.b:-1"), []string{
			`"https://a.b:"`, `"https://a.b:0"`, `"https://a.b:65536"`, `"https://a.b:080"`, `"https://a.b:-1"`}},
		{"address", origins("http://[::1", "http://[a]", "http://[fe80::1%25eth0]"), []string{`"http://[::1"`, `"http://[a]"`, `"http://[fe80`}},
		{"beyond ASCII", origins("https://bücher.example"), []string{"want scheme://"}},
		{"empty", origins(""), []string{`origin ""`}},
		{"methods", adapter.CORSSpec{Methods: []string{"", "GET POST", "*"}}, []string{`method ""`, `method "GET POST"`, `method "*"`}},
		{"names", adapter.CORSSpec{Headers: []string{"X Y", ""}, Expose: []string{"a:b"}}, []string{
			`header "X Y"`, `header ""`, `exposed header "a:b"`}},
		{"negative age", adapter.CORSSpec{MaxAge: -time.Second}, []string{"MaxAge is -1s"}},
		{"part of a second", adapter.CORSSpec{MaxAge: time.Millisecond}, []string{"MaxAge is 1ms"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mw, err := adapter.CORS(tt.spec)
			require.Error(t, err)
			assert.Nil(t, mw)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), len(tt.want), "each mistake once: %v", err)
		})
	}
}

func TestCORSAdmitsExactlyTheOriginsOfItsSpec(t *testing.T) {
	t.Parallel()
	spec := adapter.CORSSpec{Credentials: true, Origins: []string{page, "https://*.Tenant.example", "https://pr-*.test.example:8443",
		"http://*.localhost", "https://default.example:443", "http://[::1]:8080", "capacitor://localhost"}}
	tests := map[bool][]string{
		true: {page, "https://a.tenant.example", "https://a.b.tenant.example", "https://xn--bcher-kva.tenant.example",
			"https://pr-7.test.example:8443", "http://x.localhost", "https://default.example", "http://[::1]:8080", "capacitor://localhost"},
		false: {"", "null", "*", "http://app.example.com", "https://app.example.com:443", "https://app.example.com:8443",
			"https://app.example.com.", "https://APP.example.com", "HTTPS://APP.EXAMPLE.COM", "https://app.example.com/", " https://app.example.com",
			"https://app.example.com ", "https://app.example.com, https://app.example.com", "https://app.example.com https://evil.example",
			"https://app.example.com.evil.example", "https://evilapp.example.com", "app.example.com",
			"https://tenant.example", "https://.tenant.example", "https://a..tenant.example", "https://eviltenant.example",
			"https://evil.example/.tenant.example", "https://evil.example?.tenant.example", "https://evil.example#.tenant.example",
			"https://evil.example:443.tenant.example", "https://me@a.tenant.example", "https://a.tenant.example.", "https://a.tenant.example:443",
			"https://A.tenant.example", "https://a\x00.tenant.example", "https://*.tenant.example", "https://ä.tenant.example",
			"https://" + strings.Repeat("a", 254) + ".tenant.example", "https://" + strings.Repeat("a.", 30_000) + "tenant.example",
			"https://pr-.test.example:8443", "https://pr-7.test.example", "https://pr-7.test.example:8444", "https://7.test.example:8443"},
	}
	for want, origins := range tests {
		for _, origin := range origins {
			assert.Equal(t, want, admits(t, spec, origin), "%.80q", origin)
		}
	}
	assert.False(t, admits(t, spec, page, page), "two lines")
	assert.False(t, admits(t, spec, page, "https://evil.example"), "two lines")
	assert.False(t, admits(t, spec))
}

func TestANaughtyOriginIsRefused(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	var naughty []string
	require.NoError(t, json.Unmarshal(b, &naughty))
	require.Len(t, naughty, 515)
	spec := adapter.CORSSpec{Origins: []string{page, "https://*.tenant.example", "https://pr-*.tenant.example"}, Credentials: true}
	for _, s := range naughty {
		for _, origin := range []string{s, page + s, "https://" + s + ".evil", s + page} {
			if origin != page { // for the empty one
				assert.False(t, admits(t, spec, origin), "%q", origin)
			}
		}
		if !allOf(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") {
			assert.False(t, admits(t, spec, "https://"+s+".tenant.example"), "%q", s)
		}
	}
}

func allOf(s, set string) bool { return strings.Trim(s, set) == "" }

func TestAPreflightIsAnsweredBeforeRouting(t *testing.T) {
	t.Parallel()
	spec := adapter.CORSSpec{Origins: []string{page}, Methods: []string{"GET", "PUT"}, Headers: []string{"Authorization", "X-Api-Key"},
		Expose: []string{"X-Request-Id"}, Credentials: true, MaxAge: time.Hour}
	h := withCORS(t, spec, func(http.ResponseWriter, *http.Request) { assert.Fail(t, "reached the router") })
	tests := []struct {
		name   string
		header http.Header
		want   map[string][]string
	}{
		{"admitted", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"PUT"},
			"Access-Control-Request-Headers": {"authorization,x-api-key"}}, map[string][]string{
			"Access-Control-Allow-Origin": {page}, "Access-Control-Allow-Methods": {"PUT"}, "Access-Control-Max-Age": {"3600"},
			"Access-Control-Allow-Headers": {"authorization,x-api-key"}, "Access-Control-Allow-Credentials": {"true"}}},
		{"as a client writes it that is no browser", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"PUT"},
			"Access-Control-Request-Headers": {"X-Api-Key, Authorization", "authorization"}}, map[string][]string{
			"Access-Control-Allow-Origin": {page}, "Access-Control-Allow-Methods": {"PUT"}, "Access-Control-Max-Age": {"3600"},
			"Access-Control-Allow-Headers": {"authorization,x-api-key"}, "Access-Control-Allow-Credentials": {"true"}}},
		{"other origin", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"PUT"}}, map[string][]string{}},
		{"other method", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"DELETE"}}, map[string][]string{}},
		{"other header", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"PUT"},
			"Access-Control-Request-Headers": {"authorization,x-other"}}, map[string][]string{}},
		{"private network, not asked for", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"GET"},
			"Access-Control-Request-Private-Network": {"true"}}, map[string][]string{"Access-Control-Allow-Origin": {page},
			"Access-Control-Allow-Methods": {"GET"}, "Access-Control-Max-Age": {"3600"}, "Access-Control-Allow-Credentials": {"true"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := ask(h, "OPTIONS", tt.header)
			assert.Equal(t, http.StatusNoContent, res.StatusCode)
			assert.Equal(t, tt.want, ofCORS(res.Header))
			for _, name := range []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} {
				assert.Contains(t, res.Header.Get("Vary"), name)
			}
		})
	}
}

func TestAnOrdinaryOptionsRequestIsTheHandlers(t *testing.T) {
	t.Parallel()
	h := withCORS(t, adapter.CORSSpec{Origins: []string{page}}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) })
	assert.Equal(t, 418, ask(h, "OPTIONS", http.Header{"Origin": {page}}).StatusCode)
}

// krakend-ce#961
func TestAPageCanReadWhyItsMethodIsRefused(t *testing.T) {
	t.Parallel()
	h := withCORS(t, adapter.CORSSpec{Origins: []string{page}, Credentials: true}, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Method, http.StatusMethodNotAllowed)
	})
	for _, method := range []string{"GET", "POST", "DELETE", "PROPFIND", "OPTIONS"} {
		res := ask(h, method, http.Header{"Origin": {page}})
		assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, method)
		assert.Equal(t, []string{page}, res.Header["Access-Control-Allow-Origin"], method)
		assert.Equal(t, []string{"true"}, res.Header["Access-Control-Allow-Credentials"], method)
		assert.Empty(t, ask(h, method, http.Header{"Origin": {"https://evil.example"}}).Header["Access-Control-Allow-Origin"], method)
	}
}

func TestCORSAdmitsAPrivateNetworkIfToldTo(t *testing.T) {
	t.Parallel()
	h := withCORS(t, adapter.CORSSpec{Origins: []string{page}, PrivateNetwork: true}, func(http.ResponseWriter, *http.Request) {})
	res := ask(h, "OPTIONS", http.Header{"Origin": {page}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Private-Network": {"true"}})
	assert.Equal(t, []string{"true"}, res.Header["Access-Control-Allow-Private-Network"])
	assert.Contains(t, res.Header.Get("Vary"), "Access-Control-Request-Private-Network")
}

// upstreams puts into a header what an upstream with a mind of its own about CORS sends.
func upstreams(h http.Header) {
	for _, name := range []string{"Access-Control-Allow-Origin", "access-control-allow-origin", "ACCESS-CONTROL-ALLOW-ORIGIN",
		"Access_Control_Allow_Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Allow-Methods",
		"access-control-max-age", "Access-Control-Allow-Headers", "Access-Control-Allow-Private-Network"} {
		h[name] = []string{"*"}
	}
	h["Vary"] = []string{"Accept"} // without the origin
}

// proves H15
func TestTheHouseSpeaksAloneAboutCORS(t *testing.T) {
	t.Parallel()
	handlers := map[string]http.HandlerFunc{
		"200 by Write":  func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()); _, _ = io.WriteString(w, "ok") },
		"200 by return": func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()) },
		"200 by Flush":  func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()); w.(http.Flusher).Flush() },
		"200 by copy": func(w http.ResponseWriter, _ *http.Request) {
			upstreams(w.Header())
			_, _ = io.Copy(w, strings.NewReader("ok"))
		},
		"304": func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()); w.WriteHeader(304) },
		"404": func(w http.ResponseWriter, r *http.Request) { upstreams(w.Header()); http.NotFound(w, r) },
		"500": func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()); http.Error(w, "", 500) },
		"after early hints": func(w http.ResponseWriter, _ *http.Request) {
			upstreams(w.Header())
			w.WriteHeader(103)
			upstreams(w.Header())
		},
		"a panic": func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()); panic("bug") },
	}
	recovers := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != nil {
					w.WriteHeader(500)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := recovers(withCORS(t, adapter.CORSSpec{Origins: []string{page}, Credentials: true, Expose: []string{"x-request-id"}}, handler))
			srv := httptest.NewServer(h)
			defer srv.Close()
			for _, origin := range []string{page, "https://evil.example", ""} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
				require.NoError(t, err)
				if origin != "" {
					r.Header.Set("Origin", origin)
				}
				res, err := srv.Client().Do(r)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				want := map[string][]string{}
				if origin == page {
					want = map[string][]string{"Access-Control-Allow-Origin": {page}, "Access-Control-Allow-Credentials": {"true"},
						"Access-Control-Expose-Headers": {"X-Request-Id"}}
				}
				assert.Equal(t, want, ofCORS(res.Header), "for %q", origin)
				assert.Contains(t, res.Header["Vary"], "Origin")
			}
		})
	}
}

func TestEveryOriginGetsTheSameAnswerFromStar(t *testing.T) {
	t.Parallel()
	h := withCORS(t, adapter.CORSSpec{Origins: []string{"*"}}, func(w http.ResponseWriter, _ *http.Request) { upstreams(w.Header()) })
	for _, origin := range []string{page, "null", "https://other.example"} {
		res := ask(h, "GET", http.Header{"Origin": {origin}})
		assert.Equal(t, map[string][]string{"Access-Control-Allow-Origin": {"*"}}, ofCORS(res.Header))
	}
	assert.True(t, admits(t, adapter.CORSSpec{Origins: []string{"null"}}, "null"))
}

func TestCORSHidesNothingOfTheWriter(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(withCORS(t, adapter.CORSSpec{Origins: []string{page}}, func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		assert.NoError(t, control.EnableFullDuplex())
		assert.NoError(t, control.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.SetWriteDeadline(time.Now().Add(time.Minute)))
		assert.NoError(t, control.Flush())
		conn, _, err := control.Hijack()
		if assert.NoError(t, err) {
			_ = conn.Close()
		}
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nOrigin: "+page+"\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{page}, res.Header["Access-Control-Allow-Origin"])
}

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{page, "https://a.tenant.example", "https://a.tenant.example:80", "null", "https://x/.tenant.example"} {
		f.Add(s)
	}
	h := withCORS(f, adapter.CORSSpec{Origins: []string{page, "https://*.tenant.example"}, Credentials: true}, func(http.ResponseWriter, *http.Request) {})
	f.Fuzz(func(t *testing.T, origin string) {
		res := ask(h, "GET", http.Header{"Origin": {origin}})
		if len(res.Header["Access-Control-Allow-Origin"]) == 0 || origin == page {
			return
		}
		host, begins := strings.CutPrefix(origin, "https://")
		host, ends := strings.CutSuffix(host, ".tenant.example")
		if !begins || !ends || host == "" || !allOf(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") {
			t.Errorf("%q is admitted", origin)
		}
	})
}
