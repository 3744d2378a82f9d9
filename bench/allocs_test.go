//go:build !race

package bench_test

import (
	"net/http"
	"testing"
)

// The race detector allocates too.
func TestMergeOfThreeAllocatesNinetyTimesAtMost(t *testing.T) {
	h, req := gateway(t, flat), asBrowser(t, "/page/1")
	if n := testing.AllocsPerRun(200, func() { respond(t, h, req, 3*partSize-2000) }); n > 90 {
		t.Errorf("%v allocations for each request, want 90 at most", n)
	}
}

func TestAPassthroughAllocatesLessOftenThanReverseProxy(t *testing.T) {
	m := memory{"/a/1": store(payload("a", 1<<10))}
	count := func(h http.Handler) float64 {
		req := asBrowser(t, "/a/1")
		return testing.AllocsPerRun(200, func() { respond(t, h, req, 900) })
	}
	ours, theirs := count(passthrough(t, m)), count(reverseProxy(m, &bufferPool{}))
	if ours >= theirs {
		t.Errorf("%v allocations for each request, ReverseProxy has %v", ours, theirs)
	}
}
