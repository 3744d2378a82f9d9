// Command edge is a public API: who may come in, what they may send, and what they get told. It brings
// an issuer of tokens and an upstream that echoes, so that it can be tried as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/router"
)

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "edge:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Requests are logged to out, and all else is told to tell.
func run(ctx context.Context, o options, out, tell io.Writer) error {
	log := newLogger(o.log, out)
	listeners, err := listen(o)
	if err != nil {
		return err
	}
	defer listeners.close() // what adapter.Run has not taken over

	issuer, err := newIssuer("http://" + listeners.issuerName(o))
	if err != nil {
		return err
	}
	upstream, echo := o.upstream, (*echoServer)(nil)
	if upstream == "" {
		if echo, err = newEcho(); err != nil {
			return err
		}
		defer echo.close()
		upstream = echo.url()
	}
	stores, err := newStores(o.redis)
	if err != nil {
		return err
	}
	defer stores.close()
	keys := &jwt.Keys{URL: listeners.keySet(o)}
	routes, err := newRoutes(o, upstream, issuer, keys, stores)
	if err != nil {
		return err
	}
	health := router.NewHealth(router.Check{Name: "keys", Func: keys.Ready})
	secure, err := loadTLS(o, log)
	if err != nil {
		return err
	}
	gateway, err := newRouter(o, routes, health, log)
	if err != nil {
		return err
	}
	handler := http.Handler(gateway)
	if o.http3 {
		if handler, err = secure.serve(gateway, listeners.public, log); err != nil {
			return err
		}
	}

	servers := []adapter.Runner{
		adapter.Server{Listener: listeners.admin, Handler: newAdmin(gateway, stores.revoke), Admin: true},
		keys, finisher{gateway},
	}
	if o.jwks == "" {
		servers = append(servers, adapter.Server{Listener: listeners.issuer, Handler: issuer.handler()})
	}
	if echo != nil {
		servers = append(servers, echo.server())
	}
	servers = append(servers, secure.runners()...)
	describe(tell, o, listeners, issuer)
	return adapter.Run(ctx, adapter.Server{
		Listener: listeners.public, TLS: secure.config(), Handler: handler, OnDrain: []func(){health.Drain},
		Abandoned: func() int { return router.Abandoned(gateway) },
	}, servers...)
}

// A finisher keeps the process from ending while orders run whose clients have left: a repeat is to get
// the answer of an order, and not to place it again.
type finisher struct{ gateway chi.Routes }

// Run does nothing.
func (f finisher) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Drain waits until no call runs without its client, which takes no longer than -timeout.
func (f finisher) Drain(ctx context.Context) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for router.Abandoned(f.gateway) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
	return nil
}

func newLogger(format string, out io.Writer) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, nil))
	}
	return slog.New(slog.NewTextHandler(out, nil))
}

// listeners are what the program listens on. They are opened before anything is made, so that their
// addresses are known.
type listeners struct{ public, admin, issuer net.Listener }

func listen(o options) (l listeners, err error) {
	for _, one := range []struct {
		to   *net.Listener
		addr string
		skip bool
	}{{&l.public, o.addr, false}, {&l.admin, o.admin, false}, {&l.issuer, o.issuer, o.jwks != ""}} {
		if one.skip {
			continue
		}
		if *one.to, err = net.Listen("tcp", one.addr); err != nil {
			l.close()
			return l, err
		}
	}
	return l, nil
}

func (l listeners) close() {
	for _, one := range []net.Listener{l.public, l.admin, l.issuer} {
		if one != nil {
			_ = one.Close()
		}
	}
}

// issuerName returns what the issuer is named by, also where it does not listen: its address as the flag
// has it, unless the port was left to the system.
func (l listeners) issuerName(o options) string {
	if _, port, err := net.SplitHostPort(o.issuer); l.issuer != nil && err == nil && port == "0" {
		return l.issuer.Addr().String()
	}
	return o.issuer
}

// keySet returns the URL of the key set.
func (l listeners) keySet(o options) string {
	if l.issuer == nil {
		return o.jwks
	}
	return "http://" + l.issuer.Addr().String() + "/jwks.json"
}

// describe prints what to try.
func describe(w io.Writer, o options, l listeners, issuer *issuer) {
	scheme := "http"
	if o.cert != "" {
		scheme = "https"
	}
	fmt.Fprintf(w, `sluice edge: a public API. Try:

  curl -i %[4]s://%[1]s/public
  curl -i %[4]s://%[1]s/doc -H 'Accept: application/xml'
  TOKEN=$(curl -s -X POST %[3]s/token -d '{"sub":"ada","account":"a1","roles":["admin"],"scope":"orders:write","jti":"1"}')
  curl -i %[4]s://%[1]s/me -H "Authorization: Bearer $TOKEN"
  curl -i %[4]s://%[1]s/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -H 'Idempotency-Key: "k1"' -d '{"sku":"ABC-1","quantity":2}'
  curl -i %[4]s://%[1]s/admin/stats -H "Authorization: Bearer $TOKEN"
  curl -i -X POST 'http://%[2]s/revoke?jti=1'
  curl http://%[2]s/debug/plan

`, l.public.Addr(), l.admin.Addr(), issuer.name, scheme)
}
