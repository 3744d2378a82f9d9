package router_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

func TestBotsRefusesByTheUserAgent(t *testing.T) {
	t.Parallel()
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	long := strings.Repeat("a", 1025)
	tests := []struct {
		name   string
		spec   router.BotsSpec
		agents []string
		served bool
	}{
		{"a browser", router.BotsSpec{Patterns: []string{"^BadBot"}}, []string{firefox}, true},
		{"a pattern", router.BotsSpec{Patterns: []string{"^BadBot"}}, []string{"BadBot/1.0"}, false},
		{"a pattern that is anchored", router.BotsSpec{Patterns: []string{"^BadBot"}}, []string{"no BadBot/1.0"}, true},
		{"the second pattern", router.BotsSpec{Patterns: []string{"^BadBot", "(?i)crawl"}}, []string{"WebCRAWLER"}, false},
		{"no agent", router.BotsSpec{Patterns: []string{"^BadBot"}}, nil, true},
		{"no agent where that is refused", router.BotsSpec{RefuseEmpty: true}, nil, false},
		{"an empty agent", router.BotsSpec{RefuseEmpty: true}, []string{""}, false},
		{"a blank agent", router.BotsSpec{RefuseEmpty: true}, []string{" \t"}, false},
		{"an agent where no agent is refused", router.BotsSpec{RefuseEmpty: true}, []string{firefox}, true},
		{"an empty agent that matches a pattern", router.BotsSpec{Patterns: []string{"^$"}}, []string{""}, true},
		{"in deny", router.BotsSpec{Deny: []string{"curl/8.0"}}, []string{"curl/8.0"}, false},
		{"nearly in deny", router.BotsSpec{Deny: []string{"curl/8.0"}}, []string{"curl/8.0.1"}, true},
		{"in deny in another case", router.BotsSpec{Deny: []string{"curl/8.0"}}, []string{"Curl/8.0"}, true},
		{"in allow and in deny", router.BotsSpec{Allow: []string{"curl"}, Deny: []string{"curl"}}, []string{"curl"}, true},
		{"in allow, and matches a pattern", router.BotsSpec{Allow: []string{"GoodBot"}, Patterns: []string{"Bot"}}, []string{"GoodBot"}, true},
		{"nearly in allow, and matches a pattern", router.BotsSpec{Allow: []string{"GoodBot"}, Patterns: []string{"Bot"}}, []string{"GoodBot "}, false},
		{"empty, in allow", router.BotsSpec{Allow: []string{""}, RefuseEmpty: true}, nil, true},
		{"1024 bytes", router.BotsSpec{Patterns: []string{"b"}}, []string{long[1:]}, true},
		{"1025 bytes", router.BotsSpec{Patterns: []string{"b"}}, []string{long}, false},
		{"two agents", router.BotsSpec{Patterns: []string{"^BadBot"}}, []string{firefox, "BadBot"}, false},
		{"the same agent twice", router.BotsSpec{Patterns: []string{"^BadBot"}}, []string{firefox, firefox}, false},
		{"nothing is remembered", router.BotsSpec{Patterns: []string{"^BadBot"}, MaxAgents: -1}, []string{"BadBot"}, false},
		{"one is remembered", router.BotsSpec{Patterns: []string{"^BadBot"}, MaxAgents: 1}, []string{"BadBot"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := around(http.HandlerFunc(said), router.Bots(tt.spec))
			r := httptest.NewRequest("GET", "/", nil)
			if tt.agents != nil {
				r.Header["User-Agent"] = tt.agents
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[tt.served]
			for range 3 { // the second time it is remembered
				assert.Equal(t, want, statusOf(h, r))
			}
		})
	}
}

// A flood of user agents takes no more memory than the table may, and no verdict changes with it.
//
// proves T5
func TestBotsRemembersABoundedNumberOfAgents(t *testing.T) {
	size := func(agents int) int64 {
		h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			router.Bots(router.BotsSpec{Patterns: []string{"^BadBot"}, MaxAgents: 256}))
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		before := heap()
		for i := range agents {
			r.Header.Set("User-Agent", fmt.Sprintf("%01000d", i))
			h.ServeHTTP(w, r)
		}
		r.Header.Set("User-Agent", "BadBot")
		require.Equal(t, http.StatusForbidden, statusOf(h, r))
		after := heap()
		runtime.KeepAlive(h)
		return after - before
	}
	assert.Less(t, size(50_000), int64(256*1024*2), "bytes for 256 agents of 1000 bytes")
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestBotsIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(said), router.Bots(router.BotsSpec{Patterns: []string{"7$"}, MaxAgents: 8}))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := httptest.NewRequest("GET", "/", nil)
			for i := range 500 {
				agent := fmt.Sprint("agent ", (i+g)%50)
				r.Header.Set("User-Agent", agent)
				want := map[bool]int{false: http.StatusOK, true: http.StatusForbidden}[strings.HasSuffix(agent, "7")]
				assert.Equal(t, want, statusOf(h, r), agent)
			}
		})
	}
	wg.Wait()
}

// naughty returns the Big List of Naughty Strings.
func naughty(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../proxy/document/testdata/blns/blns.json")
	require.NoError(t, err)
	var all []string
	require.NoError(t, json.Unmarshal(text, &all))
	require.Greater(t, len(all), 400)
	return all
}

// manyPatterns are patterns as lists of bots have them.
func manyPatterns(n int) []string {
	patterns := make([]string, n)
	for i := range patterns {
		patterns[i] = fmt.Sprintf([]string{"^Bot%d/", "(?i)crawler-%d", "spider%d[0-9.]+", "%d(Bot|Spider)$"}[i%4], i)
	}
	return patterns
}

const safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15"

func botsHandler(agent string) (http.Handler, *http.Request) {
	h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), router.Bots(router.BotsSpec{Patterns: manyPatterns(200)}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User-Agent", agent)
	return h, r
}

func TestAKnownAgentAllocatesNothing(t *testing.T) {
	h, r := botsHandler(safari)
	w := httptest.NewRecorder()
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

// The peer asks the patterns each time.
func BenchmarkBots(b *testing.B) {
	b.Run("known/sluice", func(b *testing.B) {
		h, r := botsHandler(safari)
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(nil, r)
		}
	})
	b.Run("known/patterns", func(b *testing.B) {
		var compiled []*regexp.Regexp
		for _, pattern := range manyPatterns(200) {
			compiled = append(compiled, regexp.MustCompile(pattern))
		}
		_, r := botsHandler(safari)
		b.ReportAllocs()
		for b.Loop() {
			for _, pattern := range compiled {
				if pattern.MatchString(r.Header.Get("User-Agent")) {
					b.Fatal("refused")
				}
			}
		}
	})
	b.Run("unknown of 1 KiB/sluice", func(b *testing.B) {
		h, r := botsHandler("")
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			i++
			r.Header["User-Agent"] = []string{fmt.Sprintf("%01024d", i)}
			h.ServeHTTP(nil, r)
		}
	})
}
