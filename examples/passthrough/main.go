// Command passthrough is a reverse proxy: it streams every request to one upstream, and the answer
// back. With -cache it keeps what may be kept, as Cache-Control or CDN-Cache-Control say.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	upstream := flag.String("upstream", "", "where to send requests, as in http://127.0.0.1:9000")
	h2c := flag.Bool("h2c", false, "accept HTTP/2 without TLS beside HTTP/1.1")
	keeps := flag.Bool("cache", false, "keep answers in memory and give them again")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	all := backend.Spec{Name: "upstream", URL: *upstream + "/{*}", Headers: []string{"*"}, Query: []string{"*"}, Decode: backend.Passthrough}
	upstreams := pipe.Check(backend.New(all))
	cached := cache.New(cache.Spec{Targets: []string{"CDN-Cache-Control"}, StaleIfError: time.Minute})
	if *keeps {
		upstreams = upstreams.With(cached.Decorate)
	}
	handler, err := endpoint.New(endpoint.Spec{Proxy: upstreams, Stream: true})
	if err == nil {
		err = adapter.Run(ctx, adapter.Server{Addr: *addr, Handler: handler, H2C: *h2c}, cached)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "passthrough:", err)
		os.Exit(1)
	}
}
