package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// The middlewares of the edge, in the recommended order. What every request needs stands on the router.
// What refuses stands on a group, and health beside it, where no guard is in its way.
func Example_edge() {
	hello := pipe.NamedPipe("hello", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	}))
	log := slog.New(slog.DiscardHandler)
	health := router.NewHealth()

	r := chi.NewRouter()
	router.Problems(r)
	r.Use(
		router.Client(netip.MustParsePrefix("10.0.0.0/8")), // who asks, for all that follows
		router.AccessLog(log, router.AccessLogSpec{}),      // sees what the others refuse
		router.Recover(nil),
		router.Secure(router.SecureSpec{}), // also on refusals
	)
	r.Method("GET", "/healthz", health.Live())
	r.Method("GET", "/readyz", health.Ready())
	var err error
	r.Group(func(r chi.Router) {
		r.Use(
			router.InFlight(1000),
			router.Hosts("api.example.com"),
			router.HTTPS(),
			router.Bots(router.BotsSpec{Patterns: []string{"^BadBot"}}),
		)
		err = router.Mount(r, router.Route{Method: "GET", Pattern: "/hello", Endpoint: endpoint.Spec{Proxy: hello}})
	})
	plan := router.PlanOf(r)
	if err := errors.Join(err, plan.Faults()); err != nil { // of the route and its group, and of the rest
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	// Output:
	// · router, one of
	//   · route GET /healthz
	//     → client (trusts 10.0.0.0/8)
	//       ↔ access-log
	//         ← recover
	//           ← secure (HSTS max-age=31536000)
	//             ↔ health live
	//   · route GET /hello
	//     → client (trusts 10.0.0.0/8)
	//       ↔ access-log
	//         ← recover
	//           ← secure (HSTS max-age=31536000)
	//             → inflight (1000 at once)
	//               → hosts (api.example.com)
	//                 → https
	//                   → bots (an empty agent passes, allow 0, deny 0, patterns 1)
	//                     → path
	//                       ↔ endpoint (10s, body of 1 MiB)
	//                         ↔ hello
	//   · route GET /readyz
	//     → client (trusts 10.0.0.0/8)
	//       ↔ access-log
	//         ← recover
	//           ← secure (HSTS max-age=31536000)
	//             ↔ health ready
}

func ExampleClient() {
	r := chi.NewRouter()
	r.Use(router.Client(netip.MustParsePrefix("10.0.0.0/8")))
	r.Get("/", func(_ http.ResponseWriter, r *http.Request) {
		client := endpoint.ClientOf(r)
		fmt.Println(client.Addr.Addr(), client.Scheme, client.Host)
	})
	for _, peer := range []string{"10.0.0.1:1234", "198.51.100.1:1234"} { // our proxy, and a stranger
		req := httptest.NewRequest("GET", "http://inside.example/", nil)
		req.RemoteAddr = peer
		req.Header.Set("X-Forwarded-For", "192.0.2.7")
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("X-Forwarded-Host", "api.example.com")
		r.ServeHTTP(httptest.NewRecorder(), req)
	}
	// Output:
	// 192.0.2.7 https api.example.com
	// 198.51.100.1 http inside.example
}

// A proxy on the same machine connects through a Unix socket, which has no address.
func ExampleClientWith() {
	r := chi.NewRouter()
	r.Use(router.ClientWith(router.ClientSpec{TrustLocal: true}))
	r.Method("GET", "/healthz", router.NewHealth().Live())
	fmt.Print(router.PlanOf(r))
	// Output:
	// · router
	//   · route GET /healthz
	//     → client (trusts local peers)
	//       ↔ health live
}

func ExampleAccessLog() {
	stable := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{} // they differ each time
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))
	r := chi.NewRouter()
	router.Problems(r)
	r.Use(router.AccessLog(log, router.AccessLogSpec{Headers: []string{"Host"}, Query: []string{"page"}}))
	r.Get("/users/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	for _, target := range []string{"/users/7?page=2&token=secret", "/nothing"} {
		req := httptest.NewRequest("GET", target, nil)
		req.Header.Set("X-Request-Id", "abc")
		r.ServeHTTP(httptest.NewRecorder(), req)
	}
	// Output:
	// level=INFO msg=request method=GET path=/users/7 route=/users/{id} status=200 bytes=5 id=abc client=192.0.2.1 header.Host=example.com query.page=2
	// level=INFO msg=request method=GET path=/nothing status=404 bytes=74 id=abc client=192.0.2.1 header.Host=example.com error="route: no route has this path"
}

// One hook writes all errors: those of endpoints, of middlewares, and of what has no route.
func ExampleRenderError() {
	r := chi.NewRouter()
	router.Problems(r)
	r.Use(router.RenderError(func(w http.ResponseWriter, r *http.Request, err error) {
		status := proxy.StatusOf(err)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s (request %s)", http.StatusText(status), endpoint.RequestID(r.Context()))
	}))
	r.With(router.Hosts("api.example.com")).Get("/", func(http.ResponseWriter, *http.Request) {})
	for _, target := range []string{"/", "/nothing"} {
		req := httptest.NewRequest("GET", target, nil)
		req.Header.Set("X-Request-Id", "abc")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 421 Misdirected Request (request abc)
	// 404 Not Found (request abc)
}

func ExampleRecover() {
	report := func(_ context.Context, err error) {
		p, _ := errors.AsType[*pipe.PanicError](err)
		fmt.Println("for the log:", err, len(p.Stack) > 0)
	}
	r := chi.NewRouter()
	r.Use(router.Recover(report))
	r.Get("/", func(http.ResponseWriter, *http.Request) { panic("bug") })
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println("for the client:", w.Code)
	// Output:
	// for the log: recover: panic: bug true
	// for the client: 500
}

func ExampleInFlight() {
	r := chi.NewRouter()
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w
	}
	first := true
	r.With(router.InFlight(1)).Get("/", func(http.ResponseWriter, *http.Request) {
		if first {
			first = false
			second := get() // while this one is in flight
			fmt.Println("second:", second.Code, "after", second.Header().Get("Retry-After"), "s")
		}
	})
	fmt.Println("first:", get().Code)
	fmt.Println("third:", get().Code)
	// Output:
	// second: 503 after 1 s
	// first: 200
	// third: 200
}

func ExampleHosts() {
	r := chi.NewRouter()
	r.Use(router.Hosts("api.example.com", "*.example.org", "localhost:8080"))
	r.Get("/", func(http.ResponseWriter, *http.Request) {})
	for _, host := range []string{"api.example.com", "API.example.com.:443", "a.b.example.org", "example.org", "localhost", "evil.example"} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Host = host
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(host, w.Code)
	}
	// Output:
	// api.example.com 200
	// API.example.com.:443 200
	// a.b.example.org 200
	// example.org 421
	// localhost 421
	// evil.example 421
}

func ExampleHTTPS() {
	r := chi.NewRouter()
	r.Use(router.Hosts("api.example.com"), router.HTTPS())
	r.HandleFunc("/orders", func(http.ResponseWriter, *http.Request) {})
	for _, method := range []string{"GET", "POST"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, "http://api.example.com/orders?page=2", nil))
		fmt.Println(method, w.Code, w.Header().Get("Location"))
	}
	// Output:
	// GET 308 https://api.example.com/orders?page=2
	// POST 403
}

func ExampleSecure() {
	r := chi.NewRouter()
	r.Use(router.Secure(router.SecureSpec{HSTSSubdomains: true}))
	r.Get("/", func(http.ResponseWriter, *http.Request) {})
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "https://api.example.com/", nil))
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		fmt.Println(name+":", w.Header().Get(name))
	}
	// Output:
	// Content-Security-Policy: default-src 'none'; frame-ancestors 'none'
	// Referrer-Policy: no-referrer
	// Strict-Transport-Security: max-age=31536000; includeSubDomains
	// X-Content-Type-Options: nosniff
	// X-Frame-Options: DENY
}

func ExampleNetworks() {
	office := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	guests := []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}
	r := chi.NewRouter()
	r.Use(router.Networks(office, guests))
	r.Get("/", func(http.ResponseWriter, *http.Request) {})
	for _, peer := range []string{"192.0.2.7:1234", "192.0.2.200:1234", "198.51.100.7:1234"} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RemoteAddr = peer
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(peer, w.Code)
	}
	// Output:
	// 192.0.2.7:1234 200
	// 192.0.2.200:1234 403
	// 198.51.100.7:1234 403
}

func ExampleBots() {
	r := chi.NewRouter()
	r.Use(router.Bots(router.BotsSpec{RefuseEmpty: true, Allow: []string{"GoodBot/1.0"}, Patterns: []string{"(?i)bot"}}))
	r.Get("/", func(http.ResponseWriter, *http.Request) {})
	for _, agent := range []string{"curl/8.5", "GoodBot/1.0", "BadBot/2.0", ""} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("User-Agent", agent)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Printf("%q %d\n", agent, w.Code)
	}
	// Output:
	// "curl/8.5" 200
	// "GoodBot/1.0" 200
	// "BadBot/2.0" 403
	// "" 403
}

func ExampleEcho() {
	r := chi.NewRouter()
	r.Method("POST", "/echo", router.Echo())
	req := httptest.NewRequest("POST", "/echo?a=1", strings.NewReader("hello"))
	req.Header.Set("Authorization", "Bearer secret")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	_, _ = io.Copy(os.Stdout, w.Body)
	// Output:
	// {"method":"POST","path":"/echo","query":{"a":["1"]},"host":"example.com","proto":"HTTP/1.1","client":"192.0.2.1","scheme":"http","headers":{"Authorization":["***"]},"body":"hello"}
}
