package peers

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

const (
	clients = 100_000
	plenty  = 1_000_000 // calls of each, so that all pass
)

// limiterMap is a limit by client as it is often written: a limiter for each, in a map that never gets smaller.
func limiterMap(next proxy.Proxy) proxy.Proxy {
	var mu sync.Mutex
	limiters := map[netip.Addr]*rate.Limiter{}
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		addr := req.Remote.Addr()
		mu.Lock()
		l := limiters[addr]
		if l == nil {
			l = rate.NewLimiter(1, plenty)
			limiters[addr] = l
		}
		mu.Unlock()
		if !l.Allow() {
			return nil, &proxy.Error{Status: http.StatusTooManyRequests, Err: policy.ErrLimited}
		}
		return next(ctx, req)
	}
}

// answersHeader answers with a header, which is empty again.
func answersHeader(context.Context, *proxy.Request) (*proxy.Response, error) {
	clear(answer.Header)
	return answer, nil
}

// BenchmarkLimitBy measures a call that passes a limit by client while 100,000 clients call, in random
// order. B/key is what the limit needs in memory for each.
func BenchmarkLimitBy(b *testing.B) {
	slow := policy.Rate{Events: 1, Burst: plenty} // so that no bucket is full again, and could go
	for _, bb := range []struct {
		name string
		new  func() proxy.Proxy
	}{
		{"bare", func() proxy.Proxy { return leaf(answers) }},
		{"sluice", func() proxy.Proxy {
			return leaf(answers).With(policy.LimitByWith(policy.LimitBySpec{Key: policy.ByClient, Rate: slow, OmitFields: true}))
		}},
		{"sluice with fields", func() proxy.Proxy { return leaf(answersHeader).With(policy.LimitBy(policy.ByClient, slow)) }},
		{"map of rate.Limiter", func() proxy.Proxy { return leaf(answers).With(limiterMap) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx, req := b.Context(), proxy.NewRequest(http.MethodGet, "/")
			before := heap()
			p := bb.new()
			call := func(i uint32) {
				var addr [4]byte
				binary.BigEndian.PutUint32(addr[:], i*2654435761%clients) // in no order that a cache likes
				req.Remote = netip.AddrPortFrom(netip.AddrFrom4(addr), 4711)
				if _, err := p(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
			for i := range uint32(20 * clients) {
				call(i)
			}
			perKey := float64(heap()-before) / clients
			var i uint32
			measure(b, func() {
				call(i)
				i++
			})
			b.ReportMetric(perKey, "B/key")
		})
	}
}

// heap returns the bytes in use on the heap.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
