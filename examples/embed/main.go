// Command embed is an existing chi service to which sluice was added: an endpoint that joins a note
// with its author, and an agent that tells another service about each new note.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, out io.Writer) error {
	public, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	people, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	notes := &service{}
	r := notes.router()
	agent, err := addSluice(r, notes, "http://"+public.Addr().String(), "http://"+people.Addr().String())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, `A notes service with a sluice endpoint and an agent. Try:

  curl -i -d '{"author":"ada","text":"hello"}' http://%[1]s/notes
  curl -i http://%[1]s/notes/1                   # as before
  curl -i http://%[1]s/notes/1/by/ada            # the note and its author, joined by sluice

%[2]s
%[3]s
`, public.Addr(), router.PlanOf(r), agent.Plan())
	return adapter.Run(ctx,
		adapter.Server{Listener: public, Handler: r},
		adapter.Server{Listener: people, Handler: peopleService(out)},
		agent,
	)
}

// addSluice is all that was added to the service: a route on its router and an agent beside its
// server.
func addSluice(r chi.Router, notes *service, self, people string) (*async.Agent, error) {
	author := pipe.Check(backend.New(backend.Spec{Name: "author", URL: people + "/people/{name}"}))
	text := pipe.Check(backend.New(backend.Spec{Name: "note", URL: self + "/notes/{id}"}))
	joined := proxy.Merge(
		proxy.Part{Proxy: text.With(shape.Response(shape.Drop("author")))},
		proxy.Part{Name: "author", Proxy: author.With(shape.Response(shape.Group("author"))), Optional: true},
	)
	err := router.Mount(r, router.Route{Method: "GET", Pattern: "/notes/{id}/by/{name}", Endpoint: endpoint.Spec{Proxy: joined}})
	if err != nil {
		return nil, err
	}

	queue := async.NewMemory(100)
	publish := queue.Publisher()
	notes.added = func(added []byte) error {
		req := proxy.NewRequest(http.MethodPost, "/notes")
		req.SetBody("application/json", added)
		_, err := publish(context.Background(), req)
		return err
	}
	tell := pipe.Check(backend.New(backend.Spec{Name: "people", Method: http.MethodPost, URL: people + "/news"}))
	return async.New(async.Spec{Name: "news", Source: queue, Proxy: tell})
}

// peopleService is the other team's service.
func peopleService(out io.Writer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /people/{name}", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"name": r.PathValue("name"), "role": "author"})
	})
	mux.HandleFunc("POST /news", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(out, "people: heard of %s\n", bytes.TrimSpace(body))
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
