//go:build linux

package h1_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// usage holds the counts that must not grow.
type usage struct {
	goroutines, files int
	heap              uint64
}

// measure returns what the process holds, once finalizers have run.
func measure(t *testing.T) usage {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return usage{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// A mortal is a host that dies and comes back at another port. While it is dead, connections are
// refused, and those it had are reset.
type mortal struct {
	mu    sync.Mutex // guards the rest
	l     net.Listener
	addr  string
	conns map[net.Conn]bool
	all   sync.WaitGroup
	fault atomic.Value
}

// live lets the host accept connections.
func (m *mortal) live(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.mu.Lock()
	m.l, m.addr, m.conns = l, l.Addr().String(), map[net.Conn]bool{}
	m.mu.Unlock()
	m.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			m.all.Go(func() {
				new(upstream).serve(c, 1, cross(&m.fault))
				m.mu.Lock()
				delete(m.conns, c)
				m.mu.Unlock()
			})
		}
	})
}

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.l.Close()
	for c := range m.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

func (m *mortal) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	m.mu.Lock()
	addr := m.addr
	m.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// After tens of thousands of calls in bad weather, to hosts that die and come back, the process holds
// as many descriptors and goroutines as before, and no more memory. SLUICE_SOAK says how many calls.
//
// proves L32
func TestNothingGrowsInTheTransport(t *testing.T) {
	calls, err := strconv.Atoi(os.Getenv("SLUICE_SOAK"))
	switch {
	case err == nil:
	case testing.Short(), raceEnabled:
		calls = 5_000
	default:
		calls = 30_000
	}
	before := measure(t)
	hosts := []*mortal{new(mortal), new(mortal), new(mortal)}
	for _, m := range hosts {
		m.live(t)
	}
	tr := &h1.Transport{MaxConns: 24, MaxIdle: 12, MaxLife: time.Second}
	tr.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		i, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(address, "host"), ".test:80"))
		if err != nil {
			return nil, err
		}
		return hosts[i].dial(ctx, network, address)
	}
	const rounds = 10
	var early usage
	for round := range rounds {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			soak(t, tr, calls/rounds, len(hosts))
		}()
		for alive := true; alive; {
			victim := hosts[rand.IntN(len(hosts))]
			select {
			case <-ended:
				alive = false
			case <-time.After(20 * time.Millisecond):
				victim.die()
				victim.live(t)
			}
		}
		tr.CloseIdleConnections()
		if round == 0 {
			early = measure(t)
		}
	}
	late := measure(t)
	for _, m := range hosts {
		m.die()
		m.all.Wait()
	}
	after := measure(t)
	t.Logf("%d calls: before %+v, after the first tenth %+v, after all %+v, at the end %+v", calls, before, early, late, after)
	assert.LessOrEqual(t, after.files, before.files)
	assert.LessOrEqual(t, after.goroutines, before.goroutines)
	assert.LessOrEqual(t, late.heap, early.heap+2<<20)
}

// soak makes calls from 32 clients to the hosts.
func soak(t *testing.T, tr *h1.Transport, calls, hosts int) {
	const clients = 32
	var all sync.WaitGroup
	for number := range clients {
		all.Go(func() {
			for n := range calls / clients {
				mode := crossingModes[rand.IntN(len(crossingModes))].name
				c := crossing{id: fmt.Sprintf("%02x%06x", number, n), mode: mode, size: 2 + rand.IntN(300)}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(50))*time.Millisecond)
				url := fmt.Sprintf("http://host%d.test%s", rand.IntN(hosts), c.path())
				req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(strings.Repeat(c.id, 20)))
				if assert.NoError(t, err) {
					req.Header.Set("X-Id", c.id)
					if res, err := tr.RoundTrip(req); err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// A connection ends when it was idle for IdleTimeout, or in use for MaxLife.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := inMemory(t, func(k *talk) bool { return k.say(honest) })
		tr := newOurs(t, p.dial)
		tr.IdleTimeout, tr.MaxLife = time.Minute, time.Hour
		call := func() { assert.Equal(t, "honest", exchange(t, tr, http.MethodGet).Body) }
		call()
		<-time.After(50 * time.Second)
		call()
		assert.EqualValues(t, 1, p.conns.Load(), "kept for less than IdleTimeout")
		<-time.After(70 * time.Second)
		call()
		assert.EqualValues(t, 2, p.conns.Load(), "idle for longer than IdleTimeout")
		for range 80 {
			call()
			<-time.After(50 * time.Second)
		}
		assert.EqualValues(t, 3, p.conns.Load(), "in use for longer than MaxLife")
		tr.CloseIdleConnections()
		call()
		assert.EqualValues(t, 4, p.conns.Load(), "closed")
	})
}
