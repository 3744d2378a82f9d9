package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/sluice-go/sluice/adapter"
)

// An upstream is a small service of this program on a port of its own. Stop one to see what the
// gateway does.
type upstream struct {
	name     string
	listener net.Listener
	handler  http.Handler
	stop     chan struct{}
}

// newUpstreams makes the three services and lets them listen.
func newUpstreams() ([]*upstream, error) {
	users := http.NewServeMux()
	users.HandleFunc("GET /users/{id}", answer(`{"id":%q,"name":"Ada Lovelace","email":"ada@example.com","since":1843}`))
	orders := http.NewServeMux()
	orders.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		reply(w, fmt.Sprintf(`[{"id":"o-1","user":%q,"total":12.50},{"id":"o-2","user":%[1]q,"total":100.00}]`, r.FormValue("user")))
	})
	recs := http.NewServeMux()
	recs.HandleFunc("GET /for/{id}", answer(`{"for":%q,"model":"v7","items":[{"id":"p-1","score":0.97},{"id":"p-2","score":0.91}]}`))

	var all []*upstream
	for _, u := range []*upstream{{name: "users", handler: users}, {name: "orders", handler: orders}, {name: "recs", handler: recs}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.name, err)
		}
		u.listener, u.stop = l, make(chan struct{}, 1)
		all = append(all, u)
	}
	return all, nil
}

func answer(format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { reply(w, fmt.Sprintf(format, r.PathValue("id"))) }
}

func reply(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}

// URL returns the address of the upstream.
func (u *upstream) URL() string { return "http://" + u.listener.Addr().String() }

// Kill stops the upstream for good: connections to it are refused from now on.
func (u *upstream) Kill() {
	select {
	case u.stop <- struct{}{}:
	default:
	}
}

// Run serves until ctx is done or the upstream is killed.
func (u *upstream) Run(ctx context.Context) error {
	srv := &http.Server{Handler: u.handler}
	go func() {
		select {
		case <-u.stop:
		case <-ctx.Done():
		}
		_ = srv.Close()
	}()
	if err := srv.Serve(u.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("upstream %s: %w", u.name, err)
	}
	return nil
}

var _ adapter.Runner = (*upstream)(nil)
