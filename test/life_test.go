package test_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

// upstreams are the upstreams of the page: the answer of each, by host, and the requests it got.
type upstreams struct {
	answers map[string]string

	mu    sync.Mutex
	asked map[string]string
}

func (u *upstreams) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	u.asked[r.URL.Hostname()] = fmt.Sprintf("%s %s\n%s", r.Method, r.URL.RequestURI(), fields(r.Header))
	u.mu.Unlock()
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(u.answers[r.URL.Hostname()])), r)
	return res, err
}

func (*upstreams) HonoursContext() bool { return true }

// fields returns a header as text, in the order of its names.
func fields(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}

// page returns the gateway of the README. Its audit passes the requests it gets to look.
func (u *upstreams) page(t *testing.T, look func(*proxy.Request)) chi.Router {
	factory := backend.Decorate(backend.HTTP{Transport: u}, func(backend.Spec) proxy.Decorator { return policy.Timeout(300 * time.Millisecond) })
	user := pipe.Check(factory.New(backend.Spec{Name: "user", URL: "http://users:8080/users/{id}"}))
	orders := pipe.Check(factory.New(backend.Spec{Name: "orders", URL: "http://orders:8080/orders?user={id}"}))
	recs := pipe.Check(factory.New(backend.Spec{Name: "recs", URL: "http://recs:8080/for/{id}", Headers: []string{"Accept-Language"}}))
	audit := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			look(req)
			return next(ctx, req)
		}
	}
	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Grouped("orders", orders),
		proxy.Part{Proxy: recs.With(shape.Response(shape.Keep("items.*.id"), shape.Group("recs")), policy.Retry(policy.Attempts{Max: 2})), Optional: true},
	).With(pipe.Named("audit", audit), policy.Limit(rate.NewLimiter(100, 20)))
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}/page", Endpoint: endpoint.Spec{Proxy: page}}))
	return r
}

// blocks returns the blocks of code of a page by the comment above each, as in "<!-- plan -->".
func blocks(t *testing.T, file string) map[string]string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	found := map[string]string{}
	for part := range strings.SplitSeq(string(text), "<!-- ") {
		name, rest, _ := strings.Cut(part, " -->\n```\n")
		if block, _, ok := strings.Cut(rest, "```"); ok {
			found[name] = block
		}
	}
	return found
}

// The blocks in docs/life-of-a-request.md show what happens.
func TestTheLifeOfARequest(t *testing.T) {
	t.Parallel()
	const good, bad = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nEtag: \"1\"\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\n\r\n"
	want := blocks(t, "../docs/life-of-a-request.md")
	answers := map[string]string{
		"users":  good + `{"id":"42","name":"Ada Lovelace"}`,
		"orders": good + `[{"id":"o-1","total":12.50}]`,
		"recs":   good + `{"model":"stable","items":[{"id":"p-3","score":0.93}]}`,
	}
	// exchange sends the request of the page to the gateway, with one upstream that fails.
	exchange := func(failing string) (u *upstreams, seen, answer string) {
		u = &upstreams{answers: maps.Clone(answers), asked: map[string]string{}}
		u.answers[failing] = bad
		r := u.page(t, func(req *proxy.Request) { seen = fmt.Sprintf("%s %s\n%s", req.Method, req.Path, fields(req.Header)) })
		assert.Equal(t, want["plan"], router.PlanOf(r).String())
		sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(want["sent"] + "\n")))
		require.NoError(t, err)
		sent.RemoteAddr = "192.0.2.1:4711"
		w := httptest.NewRecorder()
		r.ServeHTTP(w, sent)
		body, err := io.ReadAll(w.Result().Body)
		require.NoError(t, err)
		return u, seen, fmt.Sprintf("%d\n%s\n%s\n", w.Code, fields(w.Result().Header), strings.TrimSpace(string(body)))
	}
	synctest.Test(t, func(t *testing.T) {
		u, seen, answer := exchange("nobody")
		assert.Equal(t, want["seen"], seen)
		assert.Equal(t, want["users"], u.asked["users"])
		assert.Equal(t, want["orders"], u.asked["orders"])
		assert.Equal(t, want["recs"], u.asked["recs"])
		assert.Equal(t, want["whole"], answer)
		_, _, answer = exchange("recs")
		assert.Equal(t, want["partial"], answer)
		_, _, answer = exchange("users")
		assert.Equal(t, want["problem"], answer)
	})
}
