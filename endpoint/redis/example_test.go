package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/endpoint/redis"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleNewAnswers() {
	server, err := miniredis.Run() // stands for the Redis of the fleet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()

	// Each gateway of the fleet does this.
	gateway := func(name string) proxy.Proxy {
		orders := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println(name, "creates the order")
			return &proxy.Response{Status: http.StatusCreated}, nil
		})
		return orders.With(idempotency.Require(redis.NewAnswers(redis.Spec{Client: client, Timeout: time.Second})))
	}
	one, two := gateway("one"), gateway("two")

	req := proxy.NewRequest("POST", "/orders")
	req.Header.Set("Idempotency-Key", `"8e03978e"`)
	for _, p := range []proxy.Proxy{one, two} {
		res, err := p(context.Background(), req)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Status, res.Header.Get("Idempotent-Replayed") == "true")
	}
	// Output:
	// one creates the order
	// 201 false
	// 201 true
}

func ExampleNewRevoked() {
	server, err := miniredis.Run() // stands for the Redis of the fleet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()

	revoked := redis.NewRevoked(redis.Spec{Client: client, Timeout: time.Second}) // its method is the Revoked of jwt.Spec
	ctx, ada := context.Background(), &proxy.Caller{ID: "ada", Claims: document.MustParse(`{"jti":"t-1"}`)}
	fmt.Println(revoked.Revoked(ctx, ada))
	if err := revoked.Revoke(ctx, "t-1", time.Now().Add(time.Hour)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(revoked.Revoked(ctx, ada), auth.ErrRevoked))
	// Output:
	// <nil>
	// true
}
