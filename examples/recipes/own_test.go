package recipes_test

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/router"
)

// transport is what the upstreams of these recipes answer with.
var transport = honest{proxytest.NewUpstream(proxytest.Answer(200, `{"id":7}`))}

// ask sends a request to a router and prints the status and the body.
func ask(h http.Handler, method, target string, header ...string) {
	req := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code >= 400 {
		fmt.Println(w.Code, http.StatusText(w.Code))
		return
	}
	fmt.Println(w.Code, w.Body.String())
}

func Example_metrics() {
	measure := pipe.Observe(func(_ context.Context, o proxy.Observation) {
		status := proxy.Status(o.Response, o.Err) // a counter and a histogram of your library
		fmt.Println("observed:", o.Name, status, o.Duration < time.Second)
	})
	upstreams := backend.Decorate(backend.HTTP{Transport: transport},
		func(backend.Spec) proxy.Decorator { return measure })

	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))
	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Optional(proxy.Grouped("recs", down("recs").With(measure))),
	)
	get(page, "/users/7")
	// Unordered output:
	// observed: user 200 true
	// observed: recs 502 true
	// 200 Cache-Control: no-store X-Completed: false {"id":7}
	// reported: backend recs: send: connection refused
}

func Example_traces() {
	tracing := func(s backend.Spec) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				span := spanIn(ctx, s.Name) // of your library, with the parent from ctx
				req.Upstream.Set("Traceparent", span.header())
				res, err := next(ctx, req)
				if err != nil || res == nil {
					span.end(proxy.Status(res, err))
					return res, err
				}
				res.OnClose(func() { span.end(res.StatusCode()) }) // a stream ends when it is closed
				return res, nil
			}
		}
	}
	upstreams := backend.Decorate(backend.HTTP{Transport: teller{transport, "users"}}, tracing)
	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))
	get(user, "/users/7")
	// Output:
	// users got GET /7 Traceparent: 00-user-01
	// span user ended with 200
	// 200 {"id":7}
}

// A span stands for that of a tracing library.
type span struct{ name string }

func spanIn(_ context.Context, name string) span { return span{name} }
func (s span) header() string                    { return "00-" + s.name + "-01" }
func (s span) end(status int)                    { fmt.Println("span", s.name, "ended with", status) }

// recipe: stepSpan
// A stepSpan is the span of one step. Enter could put it into the context of the step.
type stepSpan struct{ name string }

func (stepSpan) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, stepSpan{strings.TrimSpace(s.Kind + " " + s.Name)}
}

func (s stepSpan) Leave(res any, err error) {
	answer, _ := res.(*proxy.Response)
	fmt.Println("span", s.name, "ended:", proxy.Status(answer, err))
}

func (s stepSpan) Note(what, _ string) { fmt.Println("span", s.name, "noted", what) }

// end

func Example_spans() {
	user := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))
	page := proxy.Merge(proxy.Part{Proxy: user}, proxy.Optional(proxy.Grouped("recs", down("recs"))))
	watch := pipe.Watch{
		Pick:  func(s *pipe.Step) bool { return s.Acts == pipe.Both },   // no more than you want to pay for
		Start: func(context.Context) pipe.Watcher { return stepSpan{} }, // nil leaves a call unwatched: sample here
	}
	send(endpoint.Spec{Name: "page", Proxy: page, Watch: watch}, "GET", "/users/7")
	// Unordered output:
	// span backend user ended: 200
	// span backend recs ended: 502
	// span merge noted partial
	// span merge ended: 200
	// span endpoint page ended: 200
	// 200 Cache-Control: no-store X-Completed: false {"id":7}
	// reported: backend recs: send: connection refused
}

func Example_explained() {
	prices := proxy.Fallback(down("prices"), replies("replica", proxytest.Answer(200, `{"price":9}`)))
	trace := explain.New(pipe.PlanOf(prices)) // in a test: trace := pipetest.Explain(t, prices, req)
	_, err := pipe.Watched(prices, trace.Watch())(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(err)
	fmt.Print(trace)
	// Output:
	// <nil>
	// ↔ fallback (on failure), in order      # 200, fallback: replica
	//   ↔ backend prices (http://prices/)    # error: backend prices: send: connection refused
	//   ↔ backend replica (http://replica/)  # 200
}

// recipe: authenticated
// authenticated lets a call pass if its bearer token is that of a user, and says who that is.
func authenticated(userOf func(token string) (user string, ok bool)) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		call := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			user, ok := userOf(req.Header.Get("Authorization"))
			if !ok {
				return nil, &proxy.Error{Status: http.StatusUnauthorized, Op: "auth", Err: errors.New("no such token"),
					Header: http.Header{"Www-Authenticate": {"Bearer"}}}
			}
			req.Upstream.Set("X-User", user) // only code sets Upstream: a client cannot forge it
			return next(ctx, req)
		}
		step := pipe.Step{Kind: "auth", Acts: pipe.In, Effects: pipe.CallsOnce | pipe.Authenticates | pipe.Opaque}
		return pipe.Describe(call, step, next)
	}
}

// end

func Example_authentication() {
	token := func(t string) (string, bool) {
		return "ann", subtle.ConstantTimeCompare([]byte(t), []byte("Bearer secret")) == 1
	}
	user := upstream(backend.Spec{Name: "user", URL: "http://users/{id}"}, proxytest.Answer(200, `{"id":7}`))
	page := user.With(authenticated(token))

	get(page, "/users/7", "Authorization: Bearer secret", "X-User: root")
	get(page, "/users/7", "X-User: root")
	fmt.Println("unguarded:", pipe.PlanOf(page).Guards("auth", "backend")) // nil, for a test of your gateway
	// Output:
	// user got GET /7 X-User: ann
	// 200 {"id":7}
	// 401 Unauthorized
	// reported: auth: no such token
	// unguarded: <nil>
}

func TestAuthenticatedKeepsTheLaws(t *testing.T) {
	anybody := func(string) (string, bool) { return "ann", true }
	proxytest.Conform(t, authenticated(anybody))
	nobody := func(string) (string, bool) { return "", false }
	proxytest.Conform(t, authenticated(nobody), proxytest.Options{Answers: true})
}

// recipe: cached
// cached keeps complete documents for a while, at most n of them, by path and by who asks.
func cached(d time.Duration, n int) proxy.Decorator {
	type key struct{ host, path, query, user string } // all that the answer depends on
	type entry struct {
		status   int
		header   http.Header
		document document.Document // never changes: it may be shared
		until    time.Time
	}
	var mu sync.Mutex // guards kept
	kept := map[key]entry{}
	return func(next proxy.Proxy) proxy.Proxy {
		call := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if req.Method != http.MethodGet || req.Body != nil {
				return next(ctx, req)
			}
			k := key{req.Host, req.Path, req.Query.Encode(), req.Upstream.Get("X-User")}
			mu.Lock()
			e, ok := kept[k]
			mu.Unlock()
			if ok && time.Now().Before(e.until) {
				return &proxy.Response{Status: e.status, Header: e.header.Clone(), Document: e.document}, nil
			}
			res, err := next(ctx, req)
			if err != nil || res == nil || res.Body != nil || res.Err != nil || res.StatusCode() != http.StatusOK || res.Header == nil {
				return res, err // neither failures nor streams nor partial answers are kept
			}
			mu.Lock()
			defer mu.Unlock()
			if len(kept) >= n {
				clear(kept) // simple, and bounded
			}
			kept[k] = entry{res.Status, res.Header.Clone(), res.Document, time.Now().Add(d)}
			return res, nil
		}
		step := pipe.Step{Kind: "cache", Effects: pipe.CallsOnce | pipe.Caches | pipe.Stateful}
		return pipe.Describe(call, step, next)
	}
}

func TestCachedKeepsTheLaws(t *testing.T) {
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: func() proxy.Decorator { return cached(time.Minute, 100) }})
}

// end

func Example_cache() {
	user := upstream(backend.Spec{Name: "user", URL: "http://users/{id}"}, proxytest.Answer(200, `{"id":7}`))
	page := user.With(cached(time.Minute, 1000))

	get(page, "/users/7")
	get(page, "/users/7")
	get(page, "/users/8")
	// Output:
	// user got GET /7
	// 200 {"id":7}
	// 200 {"id":7}
	// user got GET /8
	// 200 {"id":7}
}

type userKey struct{}

// login stands for a middleware that you have.
func login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, "ann")))
	})
}

func Example_identity() {
	asUser := pipe.Named("as-user", func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			user, ok := ctx.Value(userKey{}).(string) // as the middleware left it
			if !ok {
				return nil, &proxy.Error{Status: http.StatusUnauthorized, Op: "as-user", Err: errors.New("nobody is logged in")}
			}
			req.Upstream.Set("X-User", user)
			return next(ctx, req)
		}
	})
	user := upstream(backend.Spec{Name: "user", URL: "http://users/{id}"}, proxytest.Answer(200, `{"id":7}`))

	r := chi.NewRouter()
	r.Use(login)
	err := router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}",
		Endpoint: endpoint.Spec{Proxy: user.With(asUser)}})
	fmt.Println(err)
	ask(r, "GET", "/users/7", "X-User", "root")
	// Output:
	// <nil>
	// user got GET /7 X-User: ann
	// 200 {"id":7}
}

func Example_defaults() {
	ours := endpoint.FactoryFunc(func(s endpoint.Spec) (http.Handler, error) {
		if s.Timeout == 0 {
			s.Timeout = 3 * time.Second
		}
		if s.Report == nil {
			s.Report = func(_ context.Context, err error) { fmt.Println("logged:", err) }
		}
		return endpoint.New(s)
	})
	r, err := router.New(router.Spec{Endpoint: ours, Routes: []router.Route{
		{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: answers("user", `{"id":7}`)}},
		{Method: "GET", Pattern: "/prices", Endpoint: endpoint.Spec{Proxy: down("prices")}},
	}})
	fmt.Println(err)
	ask(r, "GET", "/users/7")
	ask(r, "GET", "/prices")
	// Output:
	// <nil>
	// 200 {"id":7}
	// logged: backend prices: send: connection refused
	// 502 Bad Gateway
}

func Example_connections() {
	authority := x509.NewCertPool() // of your certificates
	shared := &h1.Transport{MaxConns: 50, MaxLife: time.Minute, TLS: &tls.Config{RootCAs: authority}}
	defer shared.CloseIdleConnections() // or name it in adapter.Server.Transports
	outside := backend.NewTransport()   // net/http's
	outside.Proxy = http.ProxyFromEnvironment
	defer outside.CloseIdleConnections()

	user := pipe.Check(backend.HTTP{Transport: shared}.New(backend.Spec{Name: "user", URL: "https://users/{id}"}))
	rates := pipe.Check(backend.HTTP{Transport: outside}.New(backend.Spec{Name: "rates", URL: "http://rates.example.com/"}))
	fmt.Printf("%s%s", pipe.PlanOf(user), pipe.PlanOf(rates))
	// Output:
	// ↔ backend user (https://users/{id})
	// ↔ backend rates (http://rates.example.com/, by net/http)
}

func Example_policies() {
	upstreams := backend.Decorate(backend.HTTP{Transport: transport}, func(s backend.Spec) proxy.Decorator {
		return pipe.Chain( // the first is the outermost
			policy.Timeout(2*time.Second),
			policy.Retry(policy.Attempts{}),
			policy.Timeout(300*time.Millisecond),
		)
	})
	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))
	orders := pipe.Check(upstreams.New(backend.Spec{Name: "orders", Method: "POST", URL: "http://orders/{id}"}))
	fmt.Printf("%s%s", pipe.PlanOf(user), pipe.PlanOf(orders))
	// Output:
	// ↔ timeout (2s)
	//   ↔ retry (3 tries of idempotent methods)
	//     ↔ timeout (300ms)
	//       ↔ backend user (http://users/{id})
	// ↔ timeout (2s)
	//   ↔ retry (never: orders is not idempotent)
	//     ↔ timeout (300ms)
	//       ↔ backend orders (POST http://orders/{id})
}
