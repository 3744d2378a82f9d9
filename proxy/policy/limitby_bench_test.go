package policy_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// BenchmarkLimitBy measures a call that passes a limit with 100,000 keys in use, in random order,
// beside the bare call and a map of limiters.
func BenchmarkLimitBy(b *testing.B) {
	const keys = 100_000
	fast := policy.Rate{Events: 1_000_000, Burst: 1_000_000}
	var peer sync.Mutex
	limiters := map[netip.Addr]*rate.Limiter{}
	byMap := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			addr := req.Remote.Addr()
			peer.Lock()
			l := limiters[addr]
			if l == nil {
				l = rate.NewLimiter(1_000_000, 1_000_000)
				limiters[addr] = l
			}
			peer.Unlock()
			if !l.Allow() {
				return nil, &proxy.Error{Status: http.StatusTooManyRequests}
			}
			return next(ctx, req)
		}
	}
	answer := &proxy.Response{}
	known := leaf(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		clear(answer.Header)
		return answer, nil
	}, pipe.HonoursContext)
	same := leaf(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil }, pipe.HonoursContext)
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
	}{
		{"bare", same},
		{"a map of rate.Limiter", same.With(byMap)},
		{"by client", same.With(policy.LimitByWith(policy.LimitBySpec{Key: policy.ByClient, Rate: fast, OmitFields: true}))},
		{"by client, with fields", known.With(policy.LimitBy(policy.ByClient, fast))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx := b.Context()
			req := proxy.NewRequest("GET", "/")
			next := func(i uint32) {
				var addr [4]byte
				binary.BigEndian.PutUint32(addr[:], i*2654435761%keys) // in no order that a cache likes
				req.Remote = netip.AddrPortFrom(netip.AddrFrom4(addr), 4711)
				if _, err := bb.p(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
			for i := range uint32(keys * 20) {
				next(i)
			}
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				next(i)
			}
		})
	}
}
