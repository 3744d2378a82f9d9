// Command aggregate merges the answers of several paths of one upstream.
//
//	GET  /merge      the paths merged flat
//	GET  /group      each path under its name
//	GET  /one        the first path alone
//	GET  /item/{id}  /items/{id}/profile of the upstream
//	POST /merge      sends the body to every path and merges the answers flat
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

func main() {
	var c config
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	flag.StringVar(&c.upstream, "upstream", "", "the upstream, as in http://127.0.0.1:9000")
	flag.Var(&c.paths, "paths", "paths of the upstream, as in /a,/b,/c")
	flag.DurationVar(&c.timeout, "timeout", 0, "time for an answer, as in 300ms (default 10s)")
	flag.BoolVar(&c.optional, "optional", false, "answer with what there is when a part fails")
	flag.Var(&c.max, "max", "limit of a part's decoded body, in bytes or as in 64KiB, 1MiB (default 8MiB)")
	flag.Var(&c.headers, "headers", "client headers that the upstream gets, as in Accept-Language,Cookie")
	flag.Var(&c.query, "query", "query parameters that the upstream gets, as in page,size")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, c); err != nil {
		fmt.Fprintln(os.Stderr, "aggregate:", err)
		os.Exit(1)
	}
}

type config struct {
	upstream       string
	paths          list
	timeout        time.Duration
	optional       bool
	max            size
	headers, query list
}

func run(ctx context.Context, addr string, c config) error {
	r := chi.NewRouter()
	router.Problems(r)
	if err := mount(r, c); err != nil {
		return err
	}
	return adapter.Run(ctx, adapter.Server{Addr: addr, Handler: r})
}

// mount puts the routes on r.
func mount(r chi.Router, c config) error {
	if len(c.paths) == 0 {
		c.paths = list{"/a", "/b", "/c"}
	}
	var flat, grouped []proxy.Part
	var names []string
	for _, path := range c.paths {
		name := path[strings.LastIndexByte(path, '/')+1:]
		part := c.call(name, path)
		flat = append(flat, proxy.Part{Name: name, Proxy: part, Optional: c.optional})
		group := proxy.Grouped(name, part)
		group.Optional = c.optional
		grouped = append(grouped, group)
		names = append(names, name)
	}
	merge := pipe.Check(proxy.New(proxy.Spec{Name: "merge", Parts: flat}))
	group := pipe.Check(proxy.New(proxy.Spec{Name: "group", Parts: grouped}))
	at := func(method, pattern string, p proxy.Proxy) router.Route {
		return router.Route{Method: method, Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p, Timeout: c.timeout}}
	}
	return router.Mount(r,
		at("GET", "/merge", merge),
		at("POST", "/merge", merge),
		at("GET", "/group", group),
		at("GET", "/one", c.call(names[0], c.paths[0])),
		at("GET", "/item/{id}", c.call("item", "/items/{id}/profile")),
	)
}

// call returns the backend of one path.
func (c config) call(name, path string) proxy.Proxy {
	return pipe.Check(backend.New(backend.Spec{
		Name: name, URL: c.upstream + path, Headers: c.headers, Query: c.query, MaxBytes: int64(c.max),
	}))
}

// A list is a flag with values separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = nil
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			*l = append(*l, v)
		}
	}
	return nil
}

// A size is a flag with a number of bytes, as in 65536, 64KiB or 1MiB.
type size int64

func (n *size) String() string { return strconv.FormatInt(int64(*n), 10) }

func (n *size) Set(s string) error {
	unit := int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, bytes
			break
		}
	}
	v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || v <= 0 || v > (1<<62)/unit {
		return fmt.Errorf("%q is no size; want bytes, or as in 64KiB, 1MiB", s)
	}
	*n = size(v * unit)
	return nil
}
