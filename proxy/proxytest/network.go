package proxytest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A Network is a network in memory, with hosts that listen and clients that dial them. Its
// connections have the buffers, deadlines, half-closes and resets of TCP, and work inside a bubble
// of testing/synctest.
//
// A Network is safe for concurrent use. Its listeners and connections are closed when the test is
// over.
type Network struct {
	t testing.TB

	mu        sync.Mutex // guards what follows
	listeners map[string]*listener
	known     map[string]bool          // hosts that listened at some time
	dead      map[string]chan struct{} // addresses in a dead zone, until it is closed
	conns     map[*conn]bool
	clients   int
}

// NewNetwork returns a network without hosts.
func NewNetwork(t testing.TB) *Network {
	n := &Network{t: t, listeners: map[string]*listener{}, known: map[string]bool{},
		dead: map[string]chan struct{}{}, conns: map[*conn]bool{}}
	t.Cleanup(n.close)
	return n
}

// Listen returns a listener for a host, such as "users" or "users:8080". Without a port it is port
// 80. At most 128 connections wait to be accepted. Listen ends the test at once if the host and
// port are taken.
func (n *Network) Listen(host string) net.Listener {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	addr := addrOf(host)
	if n.listeners[string(addr)] != nil {
		n.t.Fatalf("proxytest: Listen: %s is taken", addr)
	}
	l := &listener{network: n, addr: addr, queue: make(chan *conn, 128), done: make(chan struct{})}
	n.listeners[string(addr)] = l
	n.known[addr.host()] = true
	return l
}

// Dial connects to a host that listens. It fits the field DialContext of a transport. A host that
// never listened is not found. A host that no longer listens, or that listens on another port,
// refuses the connection.
func (n *Network) Dial(ctx context.Context, network, host string) (net.Conn, error) {
	addr := addrOf(host)
	failed := func(err error) error { return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: err} }
	if err := ctx.Err(); err != nil {
		return nil, failed(err)
	}
	if err := n.reach(ctx, addr); err != nil {
		return nil, failed(err)
	}
	n.mu.Lock()
	l, known := n.listeners[string(addr)], n.known[addr.host()]
	n.clients++
	client := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1024 + n.clients%64000}
	n.mu.Unlock()
	if !known {
		return nil, failed(&net.DNSError{Err: "no such host", Name: addr.host(), IsNotFound: true})
	}
	if l == nil {
		return nil, failed(syscall.ECONNREFUSED)
	}
	ours, theirs := connect(client, addr)
	n.own(ours, theirs)
	if err := l.offer(ctx, theirs); err != nil {
		_, _ = ours.Close(), theirs.Close()
		return nil, failed(err)
	}
	return ours, nil
}

// reach waits until an address is no longer in a dead zone.
func (n *Network) reach(ctx context.Context, a addr) error {
	for {
		n.mu.Lock()
		zone := n.dead[string(a)]
		n.mu.Unlock()
		if zone == nil {
			return nil
		}
		select {
		case <-zone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setDead says whether an address is in a dead zone, where whoever dials gets no answer.
func (n *Network) setDead(host string, dead bool) {
	a := string(addrOf(host))
	n.mu.Lock()
	defer n.mu.Unlock()
	zone := n.dead[a]
	switch {
	case dead && zone == nil:
		n.dead[a] = make(chan struct{})
	case !dead && zone != nil:
		close(zone)
		delete(n.dead, a)
	}
}

// Transport returns a transport that dials on this network, without compression or proxies. Its
// idle connections are closed when the test is over.
func (n *Network) Transport() *http.Transport {
	t := &http.Transport{DialContext: n.Dial, DisableCompression: true}
	n.t.Cleanup(t.CloseIdleConnections)
	return t
}

// own makes the network close the connections that are still open when it is closed.
func (n *Network) own(conns ...*conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		n.conns[c] = true
		c.onClose = func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.conns, c)
		}
	}
}

func (n *Network) close() {
	n.mu.Lock()
	var all []interface{ Close() error }
	for _, l := range n.listeners {
		all = append(all, l)
	}
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// An addr is a host and a port.
type addr string

func addrOf(host string) addr {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
	return addr(strings.ToLower(host))
}

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

func (a addr) host() string {
	host, _, _ := net.SplitHostPort(string(a))
	return host
}

// A listener accepts the connections to one address.
type listener struct {
	network *Network
	addr    addr
	queue   chan *conn
	done    chan struct{}
	once    sync.Once
}

func (l *listener) offer(ctx context.Context, c *conn) error {
	select {
	case <-l.done:
		return syscall.ECONNREFUSED
	default:
	}
	select {
	case l.queue <- c:
		select {
		case <-l.done:
			l.drain() // Close may have drained the queue before
		default:
		}
		return nil
	case <-l.done:
		return syscall.ECONNREFUSED
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.closed("accept")
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, l.closed("accept")
	}
}

func (l *listener) closed(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

// Close ends Accept, and resets the connections that wait to be accepted.
func (l *listener) Close() error {
	again := true
	l.once.Do(func() { again = false; close(l.done) })
	if again {
		return l.closed("close")
	}
	l.network.mu.Lock()
	delete(l.network.listeners, string(l.addr))
	l.network.mu.Unlock()
	l.drain()
	return nil
}

func (l *listener) drain() {
	for {
		select {
		case c := <-l.queue:
			_ = c.SetLinger(0)
			_ = c.Close()
		default:
			return
		}
	}
}

// Addr returns the host and port.
func (l *listener) Addr() net.Addr { return l.addr }
