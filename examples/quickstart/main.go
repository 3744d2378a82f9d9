// Command quickstart is a gateway with one page made of three upstreams, which it starts itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/router"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address of the gateway")
	admin := flag.String("admin", "127.0.0.1:8081", "address for operators: plan and health")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *admin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, admin string, out io.Writer) error {
	upstreams, err := newUpstreams()
	if err != nil {
		return err
	}
	users, orders, recs := upstreams[0], upstreams[1], upstreams[2]
	gateway, err := newGateway(newPage(backend.HTTP{}, users.URL(), orders.URL(), recs.URL(), out))
	if err != nil {
		return err
	}
	operators := newAdmin(gateway, upstreams)
	health := router.NewHealth()
	for _, r := range []chi.Router{gateway, operators} {
		r.Method("GET", "/healthz", health.Live())
		r.Method("GET", "/readyz", health.Ready())
	}

	public, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	private, err := net.Listen("tcp", admin)
	if err != nil {
		_ = public.Close()
		return err
	}
	describe(out, public.Addr(), private.Addr(), fmt.Sprint(router.PlanOf(gateway)))
	return adapter.Run(ctx,
		adapter.Server{
			Listener: public, Handler: gateway, OnDrain: []func(){health.Drain},
			Abandoned: func() int { return router.Abandoned(gateway) },
		},
		adapter.Server{Listener: private, Handler: operators, Admin: true},
		users, orders, recs,
	)
}

// describe prints what to try.
func describe(out io.Writer, addr, admin net.Addr, plan string) {
	fmt.Fprintf(out, `sluice quickstart: one page of three upstreams. Try:

  curl -i http://%[1]s/users/42/page
  curl -i http://%[1]s/users/a%%00b/page             # refused: 400
  curl    http://%[1]s/readyz
  curl    http://%[2]s/debug/plan                   # also ?format=json, ?format=mermaid
  curl -X POST http://%[2]s/upstreams/recs/stop     # optional: the page goes on without it
  curl -X POST http://%[2]s/upstreams/users/stop    # required: the page is a 502

The plan, outermost first (→ acts on the request, ← on the response, ↔ on both):

%[3]s
`, addr, admin, plan)
}
