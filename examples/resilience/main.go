// Command resilience is a gateway over upstreams that can be told to fail, and shows what its policies
// make of that. It starts the upstreams itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/router"
)

// options are the flags.
type options struct {
	addr, admin string
	redis       string
	plain       bool
	load        int
	view        string
}

// fault joins what is wrong with the options.
func (o options) fault() error {
	var errs []error
	if o.load < 0 {
		errs = append(errs, fmt.Errorf("-load is %d, want 0 or more", o.load))
	}
	if !slices.Contains([]string{"", "tty", "lines", "off"}, o.view) {
		errs = append(errs, fmt.Errorf("-view is %q, want tty, lines or off", o.view))
	}
	return errors.Join(errs...)
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address of the gateway")
	flag.StringVar(&o.admin, "admin", "127.0.0.1:8081", "address for operators: faults, figures, plan and health")
	flag.StringVar(&o.redis, "redis", "", "address of a Redis for limits and articles, as in 127.0.0.1:6379")
	flag.BoolVar(&o.plain, "plain", false, "have no policies")
	flag.IntVar(&o.load, "load", 0, "how many requests a second the program sends itself")
	flag.StringVar(&o.view, "view", "", "tty, lines (one a second) or off; by default tty on a terminal, else lines")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "resilience:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, in, out *os.File) error {
	if err := o.fault(); err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	p := plain()
	switch {
	case o.plain:
	case o.redis == "":
		p = resilient(nil, nil)
	default:
		client := connect(ctx, o.redis, out)
		defer client.Close()
		p = shared(client)
	}
	services, err := newServices()
	if err != nil {
		return err
	}
	at := addresses(services)
	counts := newCounts(at)
	g, err := newGateway(at, p, counts.watch())
	if err != nil {
		return err
	}
	gateway, err := newRouter(g, counts.answered)
	if err != nil {
		return err
	}
	stats := func() Stats { return counts.stats(g, p) }
	operators := newAdmin(gateway, services, stats)
	health := router.NewHealth(router.Check{Name: "items", Func: g.items.Ready})
	for _, r := range []chi.Router{gateway, operators} {
		r.Method("GET", "/healthz", health.Live())
		r.Method("GET", "/readyz", health.Ready())
	}

	public, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	private, err := net.Listen("tcp", o.admin)
	if err != nil {
		_ = public.Close()
		return err
	}
	describe(out, public.Addr(), private.Addr())
	title := fmt.Sprintf("sluice resilience on http://%s, admin on http://%s, %d requests a second", public.Addr(), private.Addr(), o.load)
	runners := []adapter.Runner{
		adapter.Server{Listener: private, Handler: operators, Admin: true},
		g.items, g.articles, g.orders, newLoad("http://"+public.Addr().String(), o.load),
		newView(o.view, source{services, stats, title}, leave, in, out),
	}
	for _, s := range services {
		runners = append(runners, s)
	}
	if p.cached != nil {
		runners = append(runners, p.cached)
	}
	return adapter.Run(ctx, adapter.Server{
		Listener: public, Handler: gateway, OnDrain: []func(){health.Drain},
		Abandoned: func() int { return router.Abandoned(gateway) },
	}, runners...)
}

// describe prints what to try.
func describe(out io.Writer, addr, admin net.Addr) {
	fmt.Fprintf(out, `sluice resilience: a gateway over upstreams that you can break. Try:

  curl -i http://%[1]s/item/42                      # of one of the hosts a, b, c
  curl -i http://%[1]s/article/7                    # from the cache for 2 s, and for 60 s more if its upstream fails
  curl -i -X POST http://%[1]s/order                # never tried again
  curl -i http://%[1]s/limited/ada                  # 5 a second
  curl -X PUT 'http://%[2]s/fault/a?latency=250ms'  # also errors=0.5, hang=1, crash=1, cut=1; b, c, articles, orders
  curl -X DELETE http://%[2]s/fault/a               # heals it
  curl http://%[2]s/stats
  curl http://%[2]s/debug/bounds
  curl http://%[2]s/debug/plan

`, addr, admin)
}
