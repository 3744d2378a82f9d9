package balance_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// A cluster is a network in memory with the hosts of a service.
type cluster struct {
	*proxytest.Network
	t     testing.TB
	hosts map[string]*host
}

// newCluster returns a cluster of n hosts, h0:80 and so on.
func newCluster(t testing.TB, n int) *cluster {
	c := &cluster{Network: proxytest.NewNetwork(t), t: t, hosts: map[string]*host{}}
	for i := range n {
		c.add(fmt.Sprintf("h%d:80", i))
	}
	return c
}

// add starts one more host.
func (c *cluster) add(addr string) *host {
	h := &host{network: c.Network, addr: addr}
	c.hosts[addr] = h
	h.start()
	c.t.Cleanup(h.stop)
	return h
}

// addresses returns those of all hosts, in order.
func (c *cluster) addresses() []string {
	var all []string
	for addr := range c.hosts {
		all = append(all, addr)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return all
}

// calls returns how many calls each host has got.
func (c *cluster) calls() map[string]int {
	all := map[string]int{}
	for addr, h := range c.hosts {
		all[addr] = int(h.calls.Load())
	}
	return all
}

// pool returns a pool for the service, of the hosts that there are unless s has a resolver.
func (c *cluster) pool(s balance.Spec) *balance.Pool {
	c.t.Helper()
	if s.Resolver == nil {
		s.Resolver = balance.Static(c.addresses()...)
	}
	if s.Transport == nil {
		s.Transport = &http.Transport{DialContext: c.Dial, DisableCompression: true}
	}
	p, err := balance.New(s)
	require.NoError(c.t, err)
	c.t.Cleanup(p.CloseIdleConnections)
	return p
}

// h2 returns a transport that speaks HTTP/2 with the hosts.
func (c *cluster) h2() *http.Transport {
	t := &http.Transport{DialContext: c.Dial, DisableCompression: true, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// A host is a server of a cluster, with faults.
type host struct {
	network *proxytest.Network
	addr    string

	latency atomic.Int64 // in nanoseconds
	status  atomic.Int64 // 0 is 200
	cut     atomic.Bool  // the body of an answer breaks off
	hang    atomic.Bool  // there is no answer
	stall   atomic.Bool  // there is a header and no more

	calls  atomic.Int64
	probes atomic.Int64
	name   atomic.Value // the Host header of the last call

	mu     sync.Mutex // guards what follows
	server *http.Server
	conns  map[net.Conn]bool
	ended  chan struct{}
}

func (h *host) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := make(chan struct{})
	l := h.network.Listen(h.addr)
	server := &http.Server{Handler: h, ConnState: h.changed, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	h.server, h.ended, h.conns = server, ended, map[net.Conn]bool{}
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
}

// stop ends the server and its connections: further ones are refused.
func (h *host) stop() {
	h.mu.Lock()
	server, ended := h.server, h.ended
	h.mu.Unlock()
	_ = server.Close()
	<-ended
}

func (h *host) changed(c net.Conn, state http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch state {
	case http.StateNew:
		h.conns[c] = true
	case http.StateClosed, http.StateHijacked:
		delete(h.conns, c)
	}
}

// open returns how many connections the host has.
func (h *host) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		h.probes.Add(1)
	} else {
		h.calls.Add(1)
		h.name.Store(r.Host)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	if h.hang.Load() {
		<-r.Context().Done()
		return
	}
	if d := time.Duration(h.latency.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
	}
	if h.stall.Load() {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	if h.cut.Load() {
		w.Header().Set("Content-Length", "1000")
	}
	w.WriteHeader(int(cmp.Or(h.status.Load(), http.StatusOK)))
	_, _ = io.WriteString(w, h.addr)
	if h.cut.Load() {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// get calls the service, and returns the address of the host that has answered.
func get(ctx context.Context, rt http.RoundTripper) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://items.internal/items/7", nil)
	if err != nil {
		return "", err
	}
	return send(rt, req)
}

func send(rt http.RoundTripper, req *http.Request) (string, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

// run runs a pool until the returned function is called.
func run(t testing.TB, p *balance.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
	}
}

// load calls the service n times a second for a while, whatever becomes of earlier calls, and
// returns how long each call took and how many failed.
func load(ctx context.Context, rt http.RoundTripper, n int, d time.Duration) (took []time.Duration, failed int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(n))
	defer tick.Stop()
	for range int(d * time.Duration(n) / time.Second) {
		<-tick.C
		all.Go(func() {
			start := time.Now()
			_, err := get(ctx, rt)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
			if err != nil {
				failed++
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took, failed
}

// ends are the ways in which code of a user does not return.
var ends = map[string]func(){
	"panic":  func() { panic("bug") },
	"Goexit": runtime.Goexit,
}
