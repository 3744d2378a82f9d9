package redis_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

func ExampleNewBuckets() {
	server, err := miniredis.Run() // stands for the Redis of the fleet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	// Each gateway of the fleet does this.
	gateway := func(client *goredis.Client) proxy.Proxy {
		items := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 200}, nil
		})
		return items.With(policy.LimitByWith(policy.LimitBySpec{
			Name: "items", Key: policy.ByClient, Rate: policy.PerHour(2),
			Buckets: redis.NewBuckets(redis.Spec{Client: client, Timeout: time.Second}),
		}))
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	one, two := gateway(client), gateway(client)

	req := proxy.NewRequest("GET", "/")
	req.Remote = netip.MustParseAddrPort("192.0.2.1:4711")
	for _, gateway := range []proxy.Proxy{one, two, one} {
		res, err := gateway(context.Background(), req)
		fmt.Println(proxy.Status(res, err), err)
	}
	// Output:
	// 200 <nil>
	// 200 <nil>
	// 429 limit: too many calls in this time
}

func ExampleNewStore() {
	server, err := miniredis.Run() // stands for the Redis of the fleet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()

	upstream := pipe.NamedPipe("article", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("upstream called")
		return &proxy.Response{Origin: http.Header{"Cache-Control": {"max-age=60"}}}, nil
	})
	// Each gateway of the fleet does this.
	gateway := func() (proxy.Proxy, *cache.Cache) {
		cached := cache.New(cache.Spec{Store: redis.NewStore(redis.Spec{Client: client, Timeout: time.Second})})
		return upstream.With(cached.Decorate), cached
	}
	one, _ := gateway()
	two, cached := gateway()

	ctx, req := context.Background(), proxy.NewRequest("GET", "/article")
	for _, gateway := range []proxy.Proxy{one, two} {
		res, err := gateway(ctx, req)
		fmt.Println(proxy.Status(res, err), err)
	}
	fmt.Println("purge:", cached.Purge(ctx, "/article"))
	res, err := one(ctx, req)
	fmt.Println(proxy.Status(res, err), err)
	// Output:
	// upstream called
	// 200 <nil>
	// 200 <nil>
	// purge: <nil>
	// upstream called
	// 200 <nil>
}

func ExampleNewQuotas() {
	server, err := miniredis.Run() // stands for the Redis of the fleet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()

	// Each gateway of the fleet does this.
	gateway := func() proxy.Proxy {
		reports := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 200}, nil
		})
		return reports.With(policy.Quota(policy.QuotaSpec{
			Name: "plan", Key: policy.ByCaller, Limit: 2, Window: policy.Month,
			Quotas: redis.NewQuotas(redis.Spec{Client: client, Timeout: time.Second}),
		}))
	}
	one, two := gateway(), gateway()

	req := proxy.NewRequest("GET", "/")
	req.Caller = &proxy.Caller{ID: "ann"} // as authentication has verified it
	for _, gateway := range []proxy.Proxy{one, two, one} {
		res, err := gateway(context.Background(), req)
		fmt.Println(proxy.Status(res, err), err)
	}
	// Output:
	// 200 <nil>
	// 200 <nil>
	// 429 quota: too many calls in this time
}
