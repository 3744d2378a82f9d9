package test_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// believing believes a client whatever it says: what stands in X-Me is who it is, and all it claims.
type believing struct{}

func (believing) Authenticate(_ context.Context, req *proxy.Request) (*proxy.Caller, error) {
	me := req.Header.Get("X-Me")
	if me == "" {
		return nil, nil
	}
	if strings.HasPrefix(me, "bad") {
		return nil, &proxy.Error{Status: 401, Err: fmt.Errorf("%w: %s", auth.ErrInvalidCredentials, me)}
	}
	claims, err := document.Of(map[string]any{"sub": me, "list": []string{"a", me}})
	return &proxy.Caller{Issuer: me, ID: me, Scheme: me, Roles: []string{me}, Scopes: []string{me}, Claims: claims}, err
}

func (believing) Challenge(err error) string {
	if err != nil {
		return "Believing error=" + err.Error() // what no authenticator should do
	}
	return "Believing"
}

// An edge is a gateway with all that stands between a socket and a pipe, and what it has logged.
type edge struct {
	http.Handler
	texts, objects bytes.Buffer
	sent           []http.Header   // to upstreams
	problems       map[string]bool // without their ids
	asked          int
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{problems: map[string]bool{}}
	upstream := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		e.sent = append(e.sent, req.Upstream.Clone())
		if q := req.Query.Get("fail"); q != "" {
			return nil, &proxy.Error{Status: 409, Backend: "orders", Op: "read", Err: fmt.Errorf("upstream said %s of %s to %s", q, req.Path, req.Caller.ID),
				Header: http.Header{"Retry-After": {q}, "X-Why": {q}}, Members: document.MustParse(`{"detail":"chosen by code"}`)}
		}
		return &proxy.Response{Document: document.MustParse(`{}`), Header: http.Header{"X-Echo": {req.Query.Get("q"), req.Params.Get("sub")}}}, nil
	}
	guards := []proxy.Decorator{
		check.Query(check.Param{Name: "n", Value: check.Int(1, 3)}),
		auth.Require(believing{}),
		policy.LimitBy(policy.ByCaller, policy.PerSecond(1_000_000)),
		auth.Claims(auth.Claim{Path: "sub", Header: "X-User", Param: "sub"}, auth.Claim{Path: "list", Header: "X-List", List: true}),
		auth.Allow(func(_ context.Context, req *proxy.Request) error {
			if strings.HasPrefix(req.Caller.ID, "denied") {
				return errors.New("no way, " + req.Caller.ID)
			}
			return nil
		}),
	}
	routes := []router.Route{
		{Method: "GET", Pattern: "/items/{id}", Endpoint: endpoint.Spec{Guards: guards, Proxy: upstream, ETag: true, Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}}},
		{Method: "POST", Pattern: "/items/{id}", Endpoint: endpoint.Spec{Guards: guards, Proxy: proxy.Proxy(upstream).With(
			check.ContentType("application/json"), idempotency.Require(idempotency.NewMemory(0)))}},
	}
	mux, err := router.New(router.Spec{Routes: routes})
	require.NoError(t, err)
	cors, err := adapter.CORS(adapter.CORSSpec{Origins: []string{"https://*.example.com", "https://app.test"}, Headers: []string{"X-Me"}, Credentials: true})
	require.NoError(t, err)
	named := router.AccessLogSpec{Headers: []string{"Host", "X-Me", "Origin", "User-Agent"}, Query: []string{"q"}}
	e.Handler = mux
	for _, middleware := range []func(http.Handler) http.Handler{
		router.HTTPS(), router.Hosts("api.test"), router.Bots(router.BotsSpec{Patterns: []string{"^BadBot"}}), router.Secure(router.SecureSpec{}),
		router.Recover(nil), cors,
		router.AccessLog(slog.New(slog.NewTextHandler(&e.texts, nil)), named), router.AccessLog(slog.New(slog.NewJSONHandler(&e.objects, nil)), named),
		router.Client(), adapter.RequestID,
	} {
		e.Handler = middleware(e.Handler)
	}
	return e
}

// ask sends one request, and checks what the client, the log and the upstream got. It returns the
// status.
func (e *edge) ask(t *testing.T, r *http.Request) int {
	t.Helper()
	e.texts.Reset()
	e.objects.Reset()
	e.sent = nil
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	for _, header := range append(e.sent, w.Header()) {
		for name, values := range header {
			for _, value := range values {
				require.NotContains(t, name+value, "\n")
				require.False(t, strings.ContainsFunc(name+value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }), "%s: %q", name, value)
			}
		}
	}
	for name, text := range map[string]string{"text": e.texts.String(), "json": e.objects.String()} {
		require.Equal(t, 1, strings.Count(text, "\n"), "%s: %q", name, text)
		require.False(t, strings.ContainsFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }), "%s: %q", name, text)
	}
	require.True(t, json.Valid(e.objects.Bytes()))
	if w.Header().Get("Content-Type") != "application/problem+json" {
		return w.Code
	}
	var problem map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem), w.Body.String())
	assert.Equal(t, float64(w.Code), problem["status"])
	assert.Equal(t, http.StatusText(w.Code), problem["title"])
	assert.Equal(t, w.Header().Get("X-Request-Id"), problem["requestId"])
	delete(problem, "requestId")
	text, err := json.Marshal(problem)
	require.NoError(t, err)
	e.problems[string(text)] = true
	return w.Code
}

// Bytes of a client reach no problem. In a header they are field values, and in a log they are one
// line that prints. The values here are worse than what net/http lets through.
//
// proves H7, H14
func TestForeignBytesAtTheEdge(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	statuses := map[int]int{}
	for i, s := range append(naughtyStrings(t), "*", "*", "bad\x00", "bad\r\nX: 1", "denied \x1b[2J\u2028", "a\x7f\x00\r\nSet-Cookie: a=b", "W/\"\x00\"", `"`+strings.Repeat("x", 300)+`"`, "\xff\xfe") {
		places := map[string]func(r *http.Request){
			"host":  func(r *http.Request) { r.Host = s },
			"query": func(r *http.Request) { r.URL.RawQuery = url.Values{"q": {s}, s: {s}}.Encode() },
			"fail":  func(r *http.Request) { r.URL.RawQuery = url.Values{"fail": {s}}.Encode() },
			"n":     func(r *http.Request) { r.URL.RawQuery = url.Values{"n": {s}}.Encode() },
			"raw":   func(r *http.Request) { r.URL.RawQuery = s },
			"path":  func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/items/"+s, "/items/"+url.PathEscape(s) },
			"other": func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/"+s, "/"+url.PathEscape(s) },
			"plain": func(r *http.Request) { r.TLS, r.URL.RawQuery = nil, url.Values{"q": {s}}.Encode() },
			"method": func(r *http.Request) {
				r.Method = s
				if s == "" {
					r.Method = "X"
				}
			},
			"preflight": func(r *http.Request) {
				r.Method, r.Header = "OPTIONS", http.Header{"Origin": {"https://app.test"}, "Access-Control-Request-Method": {s}, "Access-Control-Request-Headers": {s}}
			},
		}
		for _, name := range []string{"X-Me", "Origin", "User-Agent", "X-Request-Id", "Authorization", "Cookie", "Accept", "If-None-Match", "Referer",
			"X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Content-Type", "Idempotency-Key", "Traceparent", "Range"} {
			places[name] = func(r *http.Request) { r.Header[name] = []string{s} }
		}
		for name, place := range places {
			method := []string{"GET", "POST"}[(i+len(name))%2]
			r := httptest.NewRequest(method, "https://api.test/items/7", strings.NewReader("{}"))
			r.Header.Set("X-Me", "ada")
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", fmt.Sprintf("%q", fmt.Sprint(e.asked)))
			e.asked++
			place(r)
			statuses[e.ask(t, r)]++
		}
	}
	for _, status := range []int{200, 204, 304, 308, 400, 401, 403, 404, 405, 406, 409, 415, 421} {
		assert.Positive(t, statuses[status], "%d is among %v", status, statuses)
	}
	assert.Zero(t, statuses[500], "%v", statuses)
	assert.Less(t, len(e.problems), 20, "one with bytes of a client would come in many forms: %v", e.problems)
}

// A plan has nothing of a client, and what code has written into it stays on its line.
//
// proves H14
func TestAPlanOfTheEdgeIsTheSameAfterRequests(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(believed).With(auth.Require(believing{}), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}), policy.LimitBy(policy.ByCaller, policy.PerSecond(5)))
	before := pipe.PlanOf(p).String()
	for _, s := range naughtyStrings(t) {
		req := proxy.NewRequest("GET", "/")
		req.Header["X-Me"] = []string{s}
		_, _ = p(t.Context(), req)
	}
	assert.Equal(t, before, pipe.PlanOf(p).String())
}

func believed(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Document: document.MustParse(`{}`)}, nil
}
