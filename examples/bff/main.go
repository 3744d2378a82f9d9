// Command bff is the backend of a shop's front end: two pages over five upstreams, one of which
// speaks XML. It starts the upstreams itself; flags make them slow or stop them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/router"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address of the shop")
	admin := flag.String("admin", "127.0.0.1:8081", "address for operators: plan and health")
	faults := faults{dead: map[string]bool{}, slow: map[string]time.Duration{}}
	flag.Func("kill", "upstreams that are dead, as in recs,loyalty", faults.kill)
	flag.Func("slow", "upstreams that are slow, as in orders=300ms,users=2s", faults.delay)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *admin, faults, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bff:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, admin string, faults faults, out io.Writer) error {
	upstreams, err := newUpstreams(faults)
	if err != nil {
		return err
	}
	shop, err := newShop(backend.HTTP{}, upstreams.urls())
	if err != nil {
		return err
	}
	gateway, err := shop.mount()
	if err != nil {
		return err
	}
	health := router.NewHealth()
	operators := chi.NewRouter()
	operators.Handle("/debug/plan", router.Plans(gateway))
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
	describe(out, public.Addr(), private.Addr(), router.PlanOf(gateway))
	return adapter.Run(ctx,
		adapter.Server{
			Listener: public, Handler: gateway, OnDrain: []func(){health.Drain},
			Abandoned: func() int { return router.Abandoned(gateway) },
		},
		adapter.Server{Listener: private, Handler: operators, Admin: true},
		upstreams, shop.mirror,
	)
}

// describe prints what to try.
func describe(out io.Writer, addr, admin net.Addr, plan fmt.Stringer) {
	fmt.Fprintf(out, `sluice bff: a shop over five upstreams: %[4]s. Try:

  curl -i http://%[1]s/home/42
  curl -i http://%[1]s/home/42 -H 'X-Recommender: next'     # the canary, whatever its weight
  curl -i http://%[1]s/orders/o-1
  curl    http://%[2]s/debug/plan                           # also ?format=json, ?format=mermaid

and start it with -kill recs,loyalty or -slow orders=300ms: with an optional upstream dead (recs, products, loyalty) the
home page goes on without it, with a required one (users, orders) it is a 502.

The plan, outermost first (→ acts on the request, ← on the response, ↔ on both):

%[3]s
`, addr, admin, plan, strings.Join(names, ", "))
}
