package router_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// statusOf serves one request and returns its status.
func statusOf(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestHostsServesTheHostsItNames(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		hosts  []string
		host   string
		proto  string // of a trusted proxy
		served bool
	}{
		{"the same", []string{"api.example.com"}, "api.example.com", "", true},
		{"one of several", []string{"a.example", "b.example"}, "b.example", "", true},
		{"another", []string{"api.example.com"}, "evil.example", "", false},
		{"a longer name", []string{"example.com"}, "example.com.evil.example", "", false},
		{"a longer label", []string{"example.com"}, "badexample.com", "", false},
		{"a subdomain", []string{"example.com"}, "www.example.com", "", false},
		{"in another case", []string{"API.example.com"}, "api.EXAMPLE.com", "", true},
		{"with a dot at the end", []string{"api.example.com"}, "api.example.com.", "", true},
		{"an entry with a dot at the end", []string{"api.example.com."}, "api.example.com", "", true},
		{"with two dots at the end", []string{"api.example.com"}, "api.example.com..", "", false},
		{"with a dot at the end and a port", []string{"api.example.com"}, "api.example.com.:8080", "", true},
		{"any port", []string{"api.example.com"}, "api.example.com:8080", "", true},
		{"the port of the entry", []string{"api.example.com:8080"}, "api.example.com:8080", "", true},
		{"another port", []string{"api.example.com:8080"}, "api.example.com:8081", "", false},
		{"one of two ports", []string{"api.example.com:8080", "api.example.com:8081"}, "api.example.com:8081", "", true},
		{"no port for one of the entry", []string{"api.example.com:8080"}, "api.example.com", "", false},
		{"no port is 80", []string{"api.example.com:80"}, "api.example.com", "", true},
		{"no port is 443 by https", []string{"api.example.com:443"}, "api.example.com", "https", true},
		{"no port is not 80 by https", []string{"api.example.com:80"}, "api.example.com", "https", false},
		{"an empty port", []string{"api.example.com"}, "api.example.com:", "", false},
		{"a port that is none", []string{"api.example.com"}, "api.example.com:http", "", false},
		{"a port with a sign", []string{"api.example.com"}, "api.example.com:+80", "", false},
		{"a port above all", []string{"api.example.com"}, "api.example.com:65536", "", false},
		{"port 0", []string{"api.example.com"}, "api.example.com:0", "", false},
		{"two ports", []string{"api.example.com"}, "api.example.com:80:80", "", false},
		{"a user", []string{"api.example.com"}, "user@api.example.com", "", false},
		{"a user as port", []string{"api.example.com"}, "api.example.com:80@evil.example", "", false},
		{"a path", []string{"api.example.com"}, "api.example.com/x", "", false},
		{"two hosts", []string{"api.example.com"}, "api.example.com,evil.example", "", false},
		{"a blank", []string{"api.example.com"}, " api.example.com", "", false},
		{"none", []string{"api.example.com"}, "", "", false},
		{"a dot", []string{"api.example.com"}, ".", "", false},
		{"an underscore", []string{"my_host"}, "my_host", "", true},
		{"any subdomain", []string{"*.example.com"}, "a.example.com", "", true},
		{"any subdomain of a subdomain", []string{"*.example.com"}, "a.b.example.com:1", "", true},
		{"any subdomain in another case", []string{"*.Example.com"}, "A.example.COM.", "", true},
		{"not the domain itself", []string{"*.example.com"}, "example.com", "", false},
		{"not an empty label", []string{"*.example.com"}, ".example.com", "", false},
		{"not the end of a label", []string{"*.example.com"}, "aexample.com", "", false},
		{"not a subdomain of another", []string{"*.example.com"}, "a.example.com.evil.example", "", false},
		{"not a star", []string{"*.example.com"}, "*.example.com", "", false},
		{"any subdomain at a port", []string{"*.example.com:81"}, "a.example.com:81", "", true},
		{"any subdomain at another port", []string{"*.example.com:81"}, "a.example.com:82", "", false},
		{"the name where a wildcard does not reach", []string{"*.example.com:81", "a.example.com:82"}, "a.example.com:82", "", true},
		{"an inner wildcard with a port", []string{"*.example.com:81", "*.b.example.com:82"}, "a.b.example.com:81", "", true},
		{"an address", []string{"127.0.0.1"}, "127.0.0.1:8080", "", true},
		{"another address", []string{"127.0.0.1"}, "127.0.0.2", "", false},
		{"an address of IPv6", []string{"[::1]"}, "[::1]", "", true},
		{"an address of IPv6 with a port", []string{"[::1]"}, "[::1]:8080", "", true},
		{"an address of IPv6 at a port", []string{"[::1]:80"}, "[::1]", "", true},
		{"an address of IPv6 at another port", []string{"[::1]:81"}, "[::1]", "", false},
		{"an address of IPv6 in another form", []string{"[2001:DB8:0::1]"}, "[2001:db8::1]", "", true},
		{"an address of IPv6 without brackets", []string{"[::1]"}, "::1", "", false},
		{"an address of IPv6 with a zone", []string{"[fe80::1]"}, "[fe80::1%25eth0]", "", false},
		{"an address of IPv4 in brackets", []string{"127.0.0.1"}, "[127.0.0.1]", "", false},
		{"a bracket that is left open", []string{"[::1]"}, "[::1", "", false},
		{"text behind the bracket", []string{"[::1]"}, "[::1]evil", "", false},
		{"an empty port behind the bracket", []string{"[::1]"}, "[::1]:", "", false},
		{"a name of 253 bytes", []string{strings.Repeat("a.", 126) + "b"}, strings.Repeat("a.", 126) + "b", "", true},
		{"a name of 255 bytes", []string{"*.a"}, strings.Repeat("a.", 127) + "a", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := around(http.HandlerFunc(said), router.Client(networks("192.0.2.0/24")...), router.Hosts(tt.hosts...))
			r := httptest.NewRequest("GET", "/", nil)
			r.Host, r.RemoteAddr = tt.host, "192.0.2.1:1234"
			if tt.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusMisdirectedRequest}[tt.served]
			assert.Equal(t, want, statusOf(h, r))
		})
	}
}

// A host that a client puts before the path is that of the request: it is routed by its path, and the
// hosts see it. A Host header beside it counts for nothing, nor does X-Forwarded-Host.
//
// proves U5
func TestHostsSeesTheHostBeforeThePath(t *testing.T) {
	t.Parallel()
	var called []string
	r := chi.NewRouter()
	r.Use(router.Hosts("api.example.com"))
	require.NoError(t, router.Mount(r, route("GET", "/admin"), route("GET", "/{s}/{id}")))
	r.Get("/seen", func(_ http.ResponseWriter, r *http.Request) { called = append(called, r.Host) })
	srv := httptest.NewServer(r)
	defer srv.Close()
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET http://evil.example/admin HTTP/1.1\r\nHost: api.example.com\r\n\r\n", http.StatusMisdirectedRequest},
		{"GET http://api.example.com/admin HTTP/1.1\r\nHost: evil.example\r\n\r\n", http.StatusOK},
		{"GET http://api.example.com/seen HTTP/1.1\r\nHost: evil.example\r\n\r\n", http.StatusOK},
		{"GET /admin HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: api.example.com\r\n\r\n", http.StatusMisdirectedRequest},
		{"GET /admin HTTP/1.0\r\n\r\n", http.StatusMisdirectedRequest},
		{"GET /admin HTTP/1.1\r\nHost: api.example.com\r\n\r\n", http.StatusOK},
		{"GET http://evil.example/nothing/at/all HTTP/1.1\r\nHost: evil.example\r\n\r\n", http.StatusMisdirectedRequest},
	} {
		assert.Equal(t, tt.status, wireStatus(t, srv.Listener.Addr(), tt.request), tt.request)
	}
	assert.Equal(t, []string{"api.example.com"}, called)
}

// wireStatus sends the bytes of a request and returns the status of the answer.
func wireStatus(t testing.TB, addr net.Addr, request string) int {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(request))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	return res.StatusCode
}

// Middlewares and guards of /admin/{id} are not got around by another spelling of its path, below a
// router that is mounted on another one neither.
//
// proves U4
func TestNoSpellingOfAPathGetsAroundTheGuardsOfItsRoute(t *testing.T) {
	t.Parallel()
	var s seen
	guarded, open := s.route("GET", "/admin/{id}"), s.route("GET", "/{s}/{id}")
	guarded.Middlewares = []wrapper{router.Networks(networks("10.0.0.0/8"), nil)}
	fill := func(r chi.Router) { require.NoError(t, router.Mount(r, guarded, open)) }
	routers := map[string]func() (chi.Router, string){
		"a router": func() (chi.Router, string) {
			r := chi.NewRouter()
			fill(r)
			return r, ""
		},
		"a router below a router": func() (chi.Router, string) {
			r := chi.NewRouter()
			r.Route("/v1", func(r chi.Router) { r.Route("/api", fill) })
			return r, "/v1/api"
		},
		"a router below a handler": func() (chi.Router, string) {
			r, inner := chi.NewRouter(), chi.NewRouter()
			fill(inner)
			r.Mount("/v1", around(inner, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
			}))
			return r, "/v1"
		},
	}
	for name, make := range routers {
		r, prefix := make()
		for target, want := range map[string]int{
			"/admin/1": http.StatusForbidden, "/%61dmin/1": http.StatusBadRequest, "/admi%6e/1": http.StatusBadRequest,
			"/%41dmin/1": http.StatusOK, "/other/1": http.StatusOK, "/other/../admin/1": http.StatusNotFound, "/other/%2e%2e": http.StatusBadRequest,
		} {
			s = seen{}
			status := serve(t, r, "GET", prefix+target).Code
			assert.Equal(t, want, status, "%s: %s", name, target)
			assert.NotEqual(t, "admin", s.params["s"], "%s: %s", name, target)
		}
	}
}

func TestHostsRefusesWithAProblem(t *testing.T) {
	t.Parallel()
	var got error
	h := around(http.HandlerFunc(said), router.RenderError(func(w http.ResponseWriter, r *http.Request, err error) {
		got = err
		endpoint.WriteProblem(w, r, err)
	}), router.Hosts("api.example.com"))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "abc")
	h.ServeHTTP(w, r)
	assert.Equal(t, `{"type":"about:blank","title":"Misdirected Request","status":421,"requestId":"abc"}`+"\n", w.Body.String())
	assert.ErrorIs(t, got, router.ErrHost)
	assert.Equal(t, http.StatusMisdirectedRequest, proxy.StatusOf(got))
}

func TestHostsAllocatesNothing(t *testing.T) {
	h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), router.Hosts("api.example.com", "*.example.org:8080"))
	r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
	for _, host := range []string{"api.example.com", "a.b.example.org:8080"} {
		r.Host = host
		assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), host)
	}
}

// Whatever the host is, one that is served differs from an entry at most in case, in a dot at its end,
// and in its port.
func FuzzHosts(f *testing.F) {
	for _, host := range []string{"api.example.com", "API.example.com.:80", "a.example.org", "[::1]:1", "[::ffff:1.2.3.4]", "a@b", "", "*.example.org", "a..example.org"} {
		f.Add(host)
	}
	h := around(http.HandlerFunc(said), router.Hosts("api.example.com", "*.example.org", "[::1]"))
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		if statusOf(h, r) != http.StatusOK {
			return
		}
		name := host
		if split, _, err := net.SplitHostPort(host); err == nil {
			name = split
		}
		name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
		isOurs := name == "api.example.com" || net.ParseIP(name).Equal(net.IPv6loopback) ||
			strings.HasSuffix(name, ".example.org") && len(name) > len(".example.org") && !strings.ContainsAny(name, "@/ ,*:%\\")
		if !isOurs {
			t.Errorf("%q is served", host)
		}
	})
}
