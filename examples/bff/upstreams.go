package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// names are the names of the upstreams.
var names = []string{"users", "orders", "products", "recs", "loyalty"}

// faults says which upstreams are slow or dead.
type faults struct {
	dead map[string]bool
	slow map[string]time.Duration
}

func (f faults) kill(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no upstream %q, only %s", name, strings.Join(names, ", "))
		}
		f.dead[name] = true
	}
	return nil
}

func (f faults) delay(list string) error {
	for entry := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(entry, "=")
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no upstream %q, only %s", name, strings.Join(names, ", "))
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s: want a duration, as in %[1]s=300ms", name)
		}
		f.slow[name] = d
	}
	return nil
}

// upstreams are five small services on ports of their own.
type upstreams struct {
	faults
	listeners map[string]net.Listener
}

func newUpstreams(f faults) (*upstreams, error) {
	u := &upstreams{faults: f, listeners: map[string]net.Listener{}}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", name, err)
		}
		u.listeners[name] = l
	}
	return u, nil
}

// urls returns the address of each upstream.
func (u *upstreams) urls() map[string]string {
	urls := map[string]string{}
	for name, l := range u.listeners {
		urls[name] = "http://" + l.Addr().String()
	}
	return urls
}

// Run serves until ctx is done. A dead upstream refuses connections.
func (u *upstreams) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, l := range u.listeners {
		if u.dead[name] {
			_ = l.Close()
			continue
		}
		srv := &http.Server{Handler: u.late(name, services[name]())}
		g.Go(func() error {
			<-ctx.Done()
			return srv.Close()
		})
		g.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("upstream %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// late makes a service answer with a delay.
func (u *upstreams) late(name string, h http.Handler) http.Handler {
	d := u.slow[name]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// services returns the handler of each upstream.
var services = map[string]func() http.Handler{
	"users": func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /users/{id}", answer(`{"id":%q,"name":"Ada Lovelace","account":"a-7"}`))
		return m
	},
	"orders": func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /accounts/{id}/orders", answer(`[{"id":"o-1","of":%q,"product":"p-1"},{"id":"o-2","product":"p-2"},{"id":"o-3","product":"p-1"}]`))
		for _, path := range []string{"GET /orders/{id}", "GET /next/orders/{id}"} {
			m.HandleFunc(path, answer(`{"id":%q,"user":"42","product":"p-1","total":12.50}`))
		}
		return m
	},
	"products": func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /products/{id}", answer(`{"id":%q,"title":"Analytical engine","price":4200}`))
		return m
	},
	"recs": func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /for/{id}", answer(`{"for":%q,"model":"stable","items":[{"id":"p-3"},{"id":"p-4"}]}`))
		m.HandleFunc("GET /next/for/{id}", answer(`{"for":%q,"model":"next","items":[{"id":"p-9"}]}`))
		return m
	},
	"loyalty": func() http.Handler {
		m := http.NewServeMux()
		m.HandleFunc("GET /members/{id}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(`<?xml version="1.0"?><member level="gold"><points>1815</points></member>`))
		})
		return m
	},
}

func answer(format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, format, r.PathValue("id"))
	}
}
