package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gateway is the program resilience, which runs until the test ends.
type gateway struct {
	public, admin string
	out           *output
}

func resilience(t *testing.T, args ...string) gateway {
	t.Helper()
	public, admin := freeAddr(t), freeAddr(t)
	out := start(t, "resilience", append([]string{"-addr", public, "-admin", admin, "-view", "off"}, args...)...)
	listening(t, public, out)
	listening(t, admin, out)
	g := gateway{"http://" + public, "http://" + admin, out}
	require.Eventually(t, func() bool { return do(t, "GET", g.public+"/readyz", "").status == 200 }, 10*time.Second, 5*time.Millisecond)
	return g
}

func (g gateway) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	return do(t, "GET", g.public+path, "", header...)
}

// fail replaces the faults of an upstream.
func (g gateway) fail(t *testing.T, upstream, faults string) {
	t.Helper()
	require.Equal(t, 204, do(t, "PUT", g.admin+"/fault/"+upstream+"?"+faults, "").status)
}

func (g gateway) heal(t *testing.T, upstream string) {
	t.Helper()
	require.Equal(t, 204, do(t, "DELETE", g.admin+"/fault/"+upstream, "").status)
}

// stats are the figures of the program, all of them.
type stats struct {
	Answers map[string]int `json:"answers"`
	Tries   map[string]int `json:"tries"`
	Hedges  struct {
		Sent *int `json:"sent"`
		Won  *int `json:"won"`
	} `json:"hedges"`
	Breakers map[string]string `json:"breakers"`
	Hosts    map[string]struct {
		State string  `json:"state"`
		Why   *string `json:"why"`
		Load  *int    `json:"load"`
	} `json:"hosts"`
	Cache struct {
		Hits   int `json:"hits"`
		Misses int `json:"misses"`
		Stale  int `json:"stale"`
		Bytes  int `json:"bytes"`
	} `json:"cache"`
}

func (g gateway) stats(t *testing.T) (s stats) {
	t.Helper()
	a := do(t, "GET", g.admin+"/stats", "")
	require.Equal(t, 200, a.status)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&s), a.body)
	return s
}

// until polls until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 30*time.Second, 20*time.Millisecond, what)
}

func TestProgramResilience(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	assert.Contains(t, g.out.String(), "curl -i "+g.public+"/item/42")

	item := g.get(t, "/item/42")
	assert.Equal(t, 200, item.status)
	assert.Contains(t, item.body, `"id":"42"`)
	miss, hit := g.get(t, "/article/7"), g.get(t, "/article/7")
	assert.Equal(t, 200, miss.status)
	assert.Equal(t, miss.body, hit.body)
	assert.Contains(t, miss.header.Get("Cache-Status"), "fwd=uri-miss")
	assert.Contains(t, hit.header.Get("Cache-Status"), "; hit")
	assert.Equal(t, 200, do(t, "POST", g.public+"/order", `{"item":"42"}`, "Content-Type", "application/json").status)
	assert.Equal(t, 200, g.get(t, "/limited/ada").status)
	assert.Equal(t, 404, g.get(t, "/stats").status, "only for operators")

	s := g.stats(t)
	assert.Equal(t, map[string]int{"200": 5}, s.Answers)
	assert.Equal(t, 1, s.Tries["a"]+s.Tries["b"]+s.Tries["c"])
	assert.Equal(t, 1, s.Tries["articles"])
	assert.Equal(t, 1, s.Tries["orders"])
	assert.Len(t, s.Tries, 5)
	assert.Equal(t, map[string]string{"items": "closed", "articles": "closed", "orders": "closed"}, s.Breakers)
	require.Len(t, s.Hosts, 3)
	for _, name := range []string{"a", "b", "c"} {
		h := s.Hosts[name]
		assert.Equal(t, "up", h.State)
		require.NotNil(t, h.Why)
		assert.Empty(t, *h.Why)
		require.NotNil(t, h.Load)
	}
	require.NotNil(t, s.Hedges.Sent)
	require.NotNil(t, s.Hedges.Won)
	assert.Equal(t, 1, s.Cache.Hits)
	assert.Equal(t, 1, s.Cache.Misses)
	assert.Positive(t, s.Cache.Bytes)

	for _, base := range []string{g.public, g.admin} {
		assert.Equal(t, 200, do(t, "GET", base+"/healthz", "").status)
		assert.Equal(t, 200, do(t, "GET", base+"/readyz", "").status)
	}
	plan := do(t, "GET", g.admin+"/debug/plan", "").body
	for _, step := range []string{"hedge (2 calls", "break items (", "pool items (", "cache articles", "limit limited (5/s, burst 5", "retry (never: orders is not idempotent)"} {
		assert.Contains(t, plan, step)
	}
	var bounds map[string]struct {
		Calls  *int           `json:"calls"`
		Leaves map[string]int `json:"leaves"`
		Within string         `json:"within"`
	}
	require.NoError(t, json.Unmarshal([]byte(do(t, "GET", g.admin+"/debug/bounds", "").body), &bounds))
	for route, calls := range map[string]int{"GET /item/{id}": 6, "GET /article/{id}": 6, "POST /order": 1, "GET /limited/{client}": 1} {
		if b := bounds[route]; assert.NotNil(t, b.Calls, route) {
			assert.Equal(t, calls, *b.Calls, route)
			assert.Len(t, b.Leaves, 1, route)
			assert.NotEmpty(t, b.Within, route)
		}
	}
}

func TestProgramResilienceTakesFaults(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/fault/a?latency=1ms&errors=0.5&hang=0&crash=0&cut=0", 204},
		{"PUT", "/fault/orders", 204},
		{"DELETE", "/fault/articles", 204},
		{"PUT", "/fault/a?latency=soon", 400},
		{"PUT", "/fault/a?errors=2", 400},
		{"PUT", "/fault/a?crash=maybe", 400},
		{"PUT", "/fault/a?slow=1", 400},
		{"PUT", "/fault/d?errors=1", 404},
		{"DELETE", "/fault/items", 404},
		{"POST", "/fault/a?errors=1", 405},
	} {
		assert.Equal(t, tt.status, do(t, tt.method, g.admin+tt.path, "").status, "%s %s", tt.method, tt.path)
	}

	// A PUT replaces all faults, and one that is refused replaces none.
	g.fail(t, "orders", "errors=1&latency=1h")
	g.fail(t, "orders", "errors=1")
	require.Equal(t, 400, do(t, "PUT", g.admin+"/fault/orders?errors=0&cut=2", "").status)
	assert.Equal(t, 503, do(t, "POST", g.public+"/order", "").status)
	g.heal(t, "orders")
	assert.Equal(t, 200, do(t, "POST", g.public+"/order", "").status)
	assert.Equal(t, 204, do(t, "POST", g.admin+"/upstreams/orders/stop", "").status)
	assert.Equal(t, 502, do(t, "POST", g.public+"/order", "").status)
}

// faults are all the faults there are, and what a client gets of a call that nothing helps.
var faults = []struct {
	name, query string
	status      int
}{
	{"errors", "errors=1", 503},
	{"crash", "crash=1", 502},
	{"cut", "cut=1", 502},
	{"hang", "hang=1", 504},
	{"latency", "latency=500ms", 504},
}

func TestProgramResilienceHoldsWhenAHostFails(t *testing.T) {
	t.Parallel()
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g, host := resilience(t), string("abc"[i%3])
			for range 30 { // so that Hedge knows how long calls take
				g.get(t, "/item/1")
			}
			g.fail(t, host, f.query)
			good := 0
			for range 30 {
				begun := time.Now()
				if g.get(t, "/item/1").status == 200 {
					good++
				}
				assert.Less(t, time.Since(begun), 5*time.Second, "the timeout is 2s")
			}
			assert.GreaterOrEqual(t, good, 27, "of 30, with two healthy hosts")
			before := g.stats(t).Tries[host]
			g.heal(t, host)
			until(t, "it is asked again", func() bool {
				g.get(t, "/item/1")
				return g.stats(t).Tries[host] > before
			})
		})
	}
}

func TestProgramResilienceTriesAnotherHost(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	g.fail(t, "a", "errors=1")
	g.fail(t, "b", "errors=1")
	for range 3 {
		assert.Equal(t, 200, g.get(t, "/item/1").status, "of three tries, one is of c")
	}
}

func TestProgramResilienceHedges(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	for range 30 { // so that Hedge knows how long calls take
		g.get(t, "/item/1")
	}
	g.fail(t, "a", "hang=1")
	g.fail(t, "b", "hang=1")
	until(t, "a further call answers first", func() bool {
		g.get(t, "/item/1")
		return *g.stats(t).Hedges.Won > 0
	})
	s := g.stats(t)
	assert.GreaterOrEqual(t, *s.Hedges.Sent, *s.Hedges.Won)
}

func TestProgramResilienceEjectsAHost(t *testing.T) {
	t.Parallel()
	g := resilience(t, "-load", "200")
	g.fail(t, "b", "crash=1")
	before := g.stats(t).Tries["b"]
	until(t, "b is ejected", func() bool { return g.stats(t).Hosts["b"].State == "ejected" })
	s := g.stats(t)
	assert.Contains(t, *s.Hosts["b"].Why, "5 failures in a row")
	assert.Contains(t, *s.Hosts["b"].Why, "10s")
	assert.Greater(t, s.Tries["b"], before, "refused connections are tries")
}

func TestProgramResilienceOpensABreaker(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	for _, host := range []string{"a", "b", "c"} {
		g.fail(t, host, "errors=1")
	}
	until(t, "the breaker is open", func() bool {
		assert.Equal(t, 503, g.get(t, "/item/1").status)
		return g.stats(t).Breakers["items"] == "open"
	})
	tries := g.stats(t).Tries
	refused := g.get(t, "/item/1")
	assert.Equal(t, 503, refused.status)
	assert.NotEmpty(t, refused.header.Get("Retry-After"))
	assert.Equal(t, tries, g.stats(t).Tries, "no host was asked")
	assert.Equal(t, "closed", g.stats(t).Breakers["articles"])
	for _, host := range []string{"a", "b", "c"} {
		g.heal(t, host)
	}
	until(t, "the breaker is closed", func() bool {
		g.get(t, "/item/1")
		return g.stats(t).Breakers["items"] == "closed"
	})
	assert.Equal(t, 200, g.get(t, "/item/1").status)
}

func TestProgramResilienceServesStaleArticles(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := resilience(t)
			fresh := g.get(t, "/article/1")
			require.Equal(t, 200, fresh.status)
			g.fail(t, "articles", f.query)
			assert.Equal(t, f.status, g.get(t, "/article/2").status, "of which there is none")
			until(t, "it is stale", func() bool {
				a := g.get(t, "/article/1")
				assert.Equal(t, 200, a.status)
				assert.Equal(t, fresh.body, a.body)
				return g.stats(t).Cache.Stale > 0
			})
			g.heal(t, "articles")
			until(t, "it is new", func() bool { return g.get(t, "/article/1").body != fresh.body })
		})
	}
}

func TestProgramResilienceNeverRetriesAnOrder(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	for i, f := range faults {
		g.fail(t, "orders", f.query)
		assert.Equal(t, f.status, do(t, "POST", g.public+"/order", "{}").status, f.name)
		assert.Equal(t, i+1, g.stats(t).Tries["orders"], f.name)
	}
}

func TestProgramResilienceLimitsEachClient(t *testing.T) {
	t.Parallel()
	g := resilience(t)
	start := time.Now()
	statuses := limited(t, 30, g)
	most := 6 + int(time.Since(start)/(200*time.Millisecond))
	assert.GreaterOrEqual(t, statuses[200], 5)
	assert.LessOrEqual(t, statuses[200], most)
	assert.Equal(t, 30, statuses[200]+statuses[429])
	assert.Equal(t, 200, g.get(t, "/limited/grace").status, "another client")
}

// limited asks n times at once for what is limited, in turn of each gateway, and counts the statuses.
func limited(t *testing.T, n int, gateways ...gateway) map[int]int {
	t.Helper()
	client := fmt.Sprintf("c%d", clients.Add(1))
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range n {
		all.Go(func() {
			res, err := http.Get(gateways[i%len(gateways)].public + "/limited/" + client)
			if !assert.NoError(t, err) {
				return
			}
			assert.NoError(t, res.Body.Close())
			mu.Lock()
			defer mu.Unlock()
			statuses[res.StatusCode]++
		})
	}
	all.Wait()
	return statuses
}

var clients atomic.Int64

func TestProgramResiliencePlain(t *testing.T) {
	t.Parallel()
	g := resilience(t, "-plain")
	g.fail(t, "b", "errors=1")
	statuses := map[int]int{}
	for range 30 {
		statuses[g.get(t, "/item/1").status]++
	}
	assert.Equal(t, map[int]int{200: 20, 503: 10}, statuses, "hosts in turn, and no second try")
	assert.NotEqual(t, g.get(t, "/article/1").body, g.get(t, "/article/1").body, "no cache")
	assert.Equal(t, map[int]int{200: 30}, limited(t, 30, g), "no limit")
	g.fail(t, "orders", "latency=700ms")
	assert.Equal(t, 200, do(t, "POST", g.public+"/order", "").status, "no timeout")

	s := g.stats(t)
	assert.Equal(t, map[string]int{"a": 10, "b": 10, "c": 10, "articles": 2, "orders": 1}, s.Tries)
	assert.Empty(t, s.Breakers)
	assert.Equal(t, "up", s.Hosts["b"].State, "no ejection")
	assert.Zero(t, s.Cache)
	assert.Zero(t, *s.Hedges.Sent)
	plan := do(t, "GET", g.admin+"/debug/plan", "").body
	for _, step := range []string{"timeout", "retry", "hedge", "break", "inflight", "cache", "limit (", "limit limited"} {
		assert.NotContains(t, plan, step)
	}
}

func TestProgramResilienceLoad(t *testing.T) {
	t.Parallel()
	g := resilience(t, "-load", "50", "-view", "lines")
	until(t, "the load is answered", func() bool { return g.stats(t).Answers["200"] >= 50 })
	until(t, "a line a second", func() bool { return strings.Count(g.out.String(), "\nanswers ") >= 2 })
	s := g.stats(t)
	assert.Positive(t, s.Cache.Hits)
	assert.Positive(t, s.Tries["a"]+s.Tries["b"]+s.Tries["c"])
}

// The tests have no terminal.
func TestProgramResilienceViewWithoutATerminal(t *testing.T) {
	t.Parallel()
	g := resilience(t, "-view", "tty")
	assert.Contains(t, g.out.String(), "there is no terminal: the view is lines")
	assert.Equal(t, 200, g.get(t, "/item/1").status)
	out, err := exec.Command(filepath.Join(bin, "resilience"), "-view", "html").CombinedOutput()
	assert.Error(t, err)
	assert.Contains(t, string(out), `-view is "html", want tty, lines or off`)
}

func TestProgramResilienceWithoutItsRedis(t *testing.T) {
	t.Parallel()
	absent := freeAddr(t)
	g := resilience(t, "-redis", absent)
	assert.Contains(t, g.out.String(), "redis "+absent+" is absent")
	assert.Equal(t, 503, g.get(t, "/limited/ada").status)
	assert.Equal(t, 200, g.get(t, "/article/1").status)
	assert.Equal(t, 200, g.get(t, "/item/1").status)
}

// theRedis returns the address of the Redis of the machine.
func theRedis(t *testing.T) string {
	t.Helper()
	const addr = "127.0.0.1:6379"
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("there is no Redis at %s: %v", addr, err)
	}
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return addr
}

func TestProgramResilienceSharesARedis(t *testing.T) {
	t.Parallel()
	addr := theRedis(t)
	one, other := resilience(t, "-redis", addr), resilience(t, "-redis", addr)

	start := time.Now()
	statuses := limited(t, 40, one, other)
	assert.LessOrEqual(t, statuses[200], 6+int(time.Since(start)/(200*time.Millisecond)))
	assert.Positive(t, statuses[200])
	assert.Positive(t, statuses[429])
	assert.Equal(t, 40, statuses[200]+statuses[429]+statuses[503], "503 where Redis took more than 50ms on a busy machine")

	until(t, "one has what the other has kept", func() bool { // neither keeps what takes Redis more than 50ms
		path := fmt.Sprintf("/article/%d", time.Now().UnixNano())
		first := one.get(t, path)
		assert.Equal(t, 200, first.status)
		req, err := http.NewRequest("GET", other.public+path, nil)
		require.NoError(t, err)
		req.Host = strings.TrimPrefix(one.public, "http://") // as that of a service with several gateways
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		if !strings.Contains(res.Header.Get("Cache-Status"), "; hit") {
			return false
		}
		assert.Equal(t, first.body, string(body))
		return true
	})
}
