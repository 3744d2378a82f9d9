package test_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// weather is an upstream where seven calls in ten succeed. Of the others one hangs, one fails, and
// the rest are reset or ignore their context for a while.
type weather struct{ calls atomic.Int64 }

const (
	patience = 20 * time.Millisecond // of the gateway
	deafness = 3 * patience          // of a call that ignores its context
)

func (w *weather) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int) (*http.Response, error) {
		body := `{"id":"42","name":"Ada Lovelace","orders":[1,2,3]}`
		return &http.Response{StatusCode: status, ProtoMajor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	switch w.calls.Add(1) % 20 {
	case 0, 1:
		return answer(http.StatusInternalServerError)
	case 2, 3:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case 4:
		return nil, syscall.ECONNRESET
	case 5:
		<-time.After(deafness)
		return nil, errors.New("too late")
	}
	return answer(http.StatusOK)
}

// usage holds the counts that must not grow.
type usage struct {
	goroutines, files int
	heap              uint64
}

func measure(t *testing.T) usage {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return usage{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// SLUICE_SOAK says how many requests a gateway with failing upstreams gets, over 64 connections. It
// must hold no more after them than after the first ten thousand.
//
// proves L32
func TestNothingGrowsInBadWeather(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SLUICE_SOAK"))
	if err != nil {
		t.Skip("a soak runs where SLUICE_SOAK says with how many requests, as in 1000000")
	}
	w := onLoopback(t)
	part := func(name string) proxy.Proxy {
		p := pipe.Check(backend.HTTP{Transport: new(weather)}.New(backend.Spec{Name: name, URL: "http://upstream.test/" + name}))
		return p.With(policy.Timeout(patience))
	}
	client := w.serve(endpoint.Spec{Proxy: proxy.Merge(proxy.Part{Proxy: part("user")}, proxy.Optional(proxy.Grouped("recs", part("recs"))))})
	const clients = 64
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = clients
	var statuses [1000]atomic.Int64
	run := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					res, err := client.Get("http://gateway/page")
					if !assert.NoError(t, err) {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					statuses[res.StatusCode].Add(1)
				}
			})
		}
		all.Wait()
		<-time.After(2 * deafness) // abandoned calls return
	}
	run(10_000)
	before := measure(t)
	run(n)
	after := measure(t)
	for status := range statuses {
		if n := statuses[status].Load(); n > 0 {
			t.Logf("status %d: %d", status, n)
		}
	}
	t.Logf("before %+v, after %+v", before, after)
	assert.LessOrEqual(t, after.goroutines, before.goroutines)
	assert.LessOrEqual(t, after.files, before.files)
	assert.LessOrEqual(t, after.heap, before.heap+2<<20)
}
