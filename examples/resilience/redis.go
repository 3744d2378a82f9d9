package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// shared returns the policies of a gateway that shares its limits and articles with all others on a Redis.
func shared(client *goredis.Client) policies {
	spec := redis.Spec{Client: client}
	return resilient(redis.NewStore(spec), redis.NewBuckets(spec))
}

// connect returns a client of a Redis, which the caller closes. If it does not answer, the program
// starts all the same, and says what that means.
func connect(ctx context.Context, addr string, out io.Writer) *goredis.Client {
	logging.Disable() // the view is on the same terminal
	client := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true})
	ctx, cancel := context.WithTimeoutCause(ctx, 500*time.Millisecond, errors.New("no answer within 500ms"))
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		fmt.Fprintf(out, "redis %s is absent: until it is there, limits answer 503, and no article is kept: %v\n", addr, err)
	}
	return client
}
