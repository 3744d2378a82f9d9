package main

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/policy"
)

// Stats is what the gateway has done since it was started, and how it is.
type Stats struct {
	Answers  map[string]int64               `json:"answers"` // to clients, by status
	Tries    map[string]int64               `json:"tries"`   // of upstreams
	Hedges   Hedges                         `json:"hedges"`
	Breakers map[string]policy.BreakerState `json:"breakers"`
	Hosts    map[string]Host                `json:"hosts"`
	Cache    Cache                          `json:"cache"`
}

// Hedges counts further calls, and those that answered first.
type Hedges struct {
	Sent int64 `json:"sent"`
	Won  int64 `json:"won"`
}

// A Host is one of the hosts of the items.
type Host struct {
	State balance.State `json:"state"`
	Why   string        `json:"why"`
	Load  int           `json:"load"` // calls in flight
}

// Cache is what the cache of articles has done, and how much it holds.
type Cache struct {
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
	Stale  int64 `json:"stale"`
	Bytes  int64 `json:"bytes"`
}

// counts are what nothing else counts.
type counts struct {
	sent, won atomic.Int64

	mu      sync.Mutex
	answers map[string]int64
	tries   map[string]int64  // by name
	names   map[string]string // by address
}

func newCounts(at map[string]string) *counts {
	c := &counts{answers: map[string]int64{}, tries: map[string]int64{}, names: map[string]string{}}
	for name, addr := range at {
		c.tries[name], c.names[addr] = 0, name
	}
	return c
}

// stats returns what was counted, and how the gateway is.
func (c *counts) stats(g *gateway, p policies) Stats {
	s := Stats{Hedges: Hedges{c.sent.Load(), c.won.Load()}, Breakers: map[string]policy.BreakerState{}, Hosts: map[string]Host{}}
	c.mu.Lock()
	s.Answers, s.Tries = maps.Clone(c.answers), maps.Clone(c.tries)
	c.mu.Unlock()
	for name, b := range p.breakers {
		s.Breakers[name] = b.State()
	}
	for _, h := range g.items.Hosts() {
		s.Hosts[c.names[h.Address]] = Host{h.State, h.Why, h.Load}
	}
	if p.cached != nil {
		kept := p.cached.Stats()
		s.Cache = Cache{Hits: kept.Hits, Misses: kept.Misses, Stale: kept.Stale, Bytes: kept.Bytes}
	}
	return s
}

// answered is a middleware that counts answers.
func (c *counts) answered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.answers[strconv.Itoa(ww.Status())]++
		}()
		next.ServeHTTP(ww, r)
	})
}

// watch counts the hedges and the tries of all calls. That takes the steps that send further calls,
// and the leaves.
func (c *counts) watch() pipe.Watch {
	return pipe.Watch{
		Pick:  func(s *pipe.Step) bool { return s.Kind == "hedge" || s.Kind == "backend" },
		Start: func(context.Context) pipe.Watcher { return c },
	}
}

// Enter lets net/http tell the tries of a leaf.
func (c *counts) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	if s.Kind == "backend" {
		ctx = c.traced(ctx)
	}
	return ctx, c
}

// Leave does nothing: the answer is counted where the client gets it.
func (*counts) Leave(any, error) {}

// Note counts what Hedge tells.
func (c *counts) Note(what, detail string) {
	switch {
	case what == "hedge":
		c.sent.Add(1)
	case what == "won" && !strings.HasPrefix(detail, "1 "): // "2 of 2"
		c.won.Add(1)
	}
}

// traced returns a context in which one try is counted: when its host has given it a connection, or has
// refused one.
func (c *counts) traced(ctx context.Context) context.Context {
	var once sync.Once
	count := func(addr string) { once.Do(func() { c.try(addr) }) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { count(i.Conn.RemoteAddr().String()) },
		ConnectDone: func(_, addr string, err error) {
			if err != nil {
				count(addr)
			}
		},
	})
}

func (c *counts) try(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries[c.names[addr]]++
}
