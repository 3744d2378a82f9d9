package simulate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A world is an upstream of several hosts and a gateway in front of it.
type world struct {
	*testing.T
	network *proxytest.Network
	spec    proxytest.ServiceSpec // of each host, but for its seed
	seed    uint64
	item    proxy.Proxy // what the load calls
	start   time.Time
	marks   [][]int // how many calls have arrived at each host, at times of which a disaster asks

	mu    sync.Mutex           // guards what follows
	hosts []*proxytest.Service // all that there ever were
	names []string             // where those are that the resolver names
}

// deadline is the header that tells the hosts how long their callers wait.
const deadline = "X-Deadline-Ms"

// The hosts answer half of the calls within 10 ms, and 99 % within 25 ms.
var usual = proxytest.LogNormal(10*time.Millisecond, 25*time.Millisecond)

// newWorld returns a world with hosts that are well.
func newWorld(t *testing.T, d disaster, with bool, seed uint64) *world {
	if d.hosts == 0 {
		d.hosts = 10
	}
	if d.body == "" {
		d.body = `{"id":1}`
	}
	reply := proxytest.Answer(200, d.body)
	if d.cached != "" {
		reply = reply.Header("Cache-Control", d.cached)
	}
	w := &world{T: t, network: proxytest.NewNetwork(t), start: time.Now(), seed: seed << 8, spec: proxytest.ServiceSpec{
		Reply: reply, Latency: usual, Workers: 32, Queue: 64, Deaf: d.deaf, Deadline: deadline}}
	for range d.hosts {
		w.names = append(w.names, w.newHost())
	}
	leaf := pipe.Check(backend.HTTP{Transport: w.transport(with)}.New(
		backend.Spec{Name: "items", Method: "GET", URL: "http://items/item", Decode: d.decode}))
	leaf = leaf.With(policy.SendDeadline(deadline), proxytest.CountTries)
	if with {
		leaf = w.stack(d, leaf)
	}
	w.item = leaf
	require.NoError(t, pipe.PlanOf(leaf).Faults())
	return w
}

// newHost starts a host and returns where it listens.
func (w *world) newHost() string {
	w.spec.Seed = w.seed + uint64(len(w.hosts))
	s := proxytest.NewService(w.spec)
	w.hosts = append(w.hosts, s)
	name := fmt.Sprintf("10.0.0.%d:80", len(w.hosts))
	w.network.Host(name, s)
	return name
}

// replace starts a host in place of the ith one, which dies at the same time.
func (w *world) replace(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[i] = w.newHost()
	w.hosts[i].Inject(proxytest.Faults{Crash: true})
}

// listed returns where the hosts are, as a resolver would.
func (w *world) listed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.names)
}

// transport returns a pool of the hosts, or a transport that asks them in turn.
func (w *world) transport(with bool) http.RoundTripper {
	tr := backend.NewTransport()
	tr.DialContext = w.network.Dial
	if !with {
		w.Cleanup(tr.CloseIdleConnections)
		return &roundRobin{transport: tr, world: w}
	}
	pool, err := balance.New(balance.Spec{Name: "items", Resolver: balance.ResolverFunc(w.resolve), Transport: tr, Refresh: refresh})
	require.NoError(w, err)
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(w.Context())
	running.Go(func() { _ = pool.Run(ctx) })
	w.Cleanup(func() { stop(); running.Wait() })
	return honest{pool}
}

// refresh is how often the pool asks for the hosts.
const refresh = time.Second

// resolve is the resolver of the pool.
func (w *world) resolve(context.Context) ([]balance.Host, error) {
	var hosts []balance.Host
	for _, name := range w.listed() {
		hosts = append(hosts, balance.Host{Address: name})
	}
	return hosts, nil
}

// An honest pool honours contexts. It does not say so itself, because it cannot know of the network
// in memory.
type honest struct{ *balance.Pool }

func (honest) HonoursContext() bool { return true }

// stack puts the usual policies around a leaf.
func (w *world) stack(d disaster, leaf proxy.Proxy) proxy.Proxy {
	budget := policy.NewBudget(0.2, 10)
	breaker := policy.NewBreaker(policy.BreakerSpec{Name: "items"})
	stack := []proxy.Decorator{
		nil,
		policy.Timeout(2 * time.Second),
		policy.Retry(policy.Attempts{Budget: budget}),
		policy.Hedge(policy.HedgeSpec{Budget: budget}),
		policy.Break(breaker),
		policy.InFlight(inFlight),
		policy.Timeout(300 * time.Millisecond),
	}
	if d.cached != "" {
		stack[0] = pipe.Chain(policy.Timeout(10*time.Second), cache.New(cache.Spec{}).Decorate) // the first as in an endpoint
	}
	if d.spare {
		stack[4] = nil
	}
	return leaf.With(stack...)
}

const inFlight = 64

// roundRobin sends each call to the next host, whatever became of the calls before.
type roundRobin struct {
	transport http.RoundTripper
	world     *world
	turn      atomic.Int64
}

func (r *roundRobin) RoundTrip(req *http.Request) (*http.Response, error) {
	hosts := r.world.listed()
	req = req.Clone(req.Context())
	req.URL.Host = hosts[int(r.turn.Add(1))%len(hosts)]
	return r.transport.RoundTrip(req)
}

func (*roundRobin) HonoursContext() bool { return true }

// at does something at a time of the load.
func (w *world) at(when time.Duration, do func()) {
	time.AfterFunc(time.Until(w.start.Add(when)), do)
}

// inject has hosts fail from one time until another.
func (w *world) inject(from, to time.Duration, hosts []*proxytest.Service, f proxytest.Faults) {
	for _, h := range hosts {
		w.at(from, func() { h.Inject(f) })
		w.at(to, h.Heal)
	}
}

// zone returns one half of the hosts.
func (w *world) zone() []*proxytest.Service { return w.hosts[:len(w.hosts)/2] }

// calls returns how many calls have arrived at hosts.
func calls(hosts []*proxytest.Service) int {
	n := 0
	for _, h := range hosts {
		n += h.Stats().Calls
	}
	return n
}

// share returns the share of all calls that have arrived at hosts.
func (w *world) share(hosts []*proxytest.Service) float64 {
	return float64(calls(hosts)) / float64(calls(w.hosts))
}

// mark notes how many calls have arrived at each host.
func (w *world) mark() {
	var counts []int
	for _, h := range w.hosts {
		counts = append(counts, h.Stats().Calls)
	}
	w.marks = append(w.marks, counts)
}

// marked returns how many calls have arrived at hosts between the two marks, or at all hosts.
func (w *world) marked(hosts ...int) int {
	require.Len(w, w.marks, 2)
	n := 0
	for i, before := range w.marks[0] {
		if len(hosts) == 0 || slices.Contains(hosts, i) {
			n += w.marks[1][i] - before
		}
	}
	return n
}

// run lets a disaster happen once.
func run(t *testing.T, d disaster, with bool, seed uint64) (r *proxytest.LoadResult) {
	if d.hosts == 0 {
		d.hosts = 10
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, d, with, seed)
		if d.begin != nil {
			d.begin(w)
		}
		load := d.load
		load.Seed = seed
		if load.Deadline == 0 {
			load.Deadline = 3 * time.Second
		}
		r = load.Run(t.Context(), w.item)
		for i, h := range w.hosts {
			if i >= len(w.hosts)-d.hosts { // else another one has taken its place
				h.Heal()
			}
		}
		<-time.After(time.Minute) // what a deaf host still works on
		synctest.Wait()
		if !with {
			return
		}
		d.holds(w, r)
		w.bounded(d, r)
		w.clean(d, r)
		if t.Failed() {
			t.Logf("seed %d: %v", seed, r)
		}
	})
	return r
}

// bounded tests that no call cost more than its plan tells. How long a stream is read is up to its
// reader.
func (w *world) bounded(d disaster, r *proxytest.LoadResult) {
	b := bounds.Of(pipe.PlanOf(w.item))
	require.NotEqual(w, bounds.None, b.Calls)
	require.False(w, b.Endless, "%s", b)
	for _, c := range r.Calls {
		if c.Tries > b.Calls || c.Took > b.Within && d.load.Read == nil {
			assert.Fail(w, "a call exceeded its bounds", "%d tries in %v, but\n%s", c.Tries, c.Took, b)
			return
		}
	}
}

// clean tests that no call went on after its deadline, and that nothing is left of any call.
func (w *world) clean(d disaster, r *proxytest.LoadResult) {
	assert.Zero(w, r.Late(), "calls that returned after their deadline")
	for i, h := range w.hosts {
		s := h.Stats()
		assert.Zero(w, s.Running, "calls that never end at host %d", i)
		if !d.deaf {
			assert.Zero(w, s.Late, "calls that ran after their deadline at host %d", i)
		}
	}
	w.slotsAreBack()
}

// slotsAreBack tests that the gateway passes as many calls at once as in the beginning.
func (w *world) slotsAreBack() {
	for range 10 { // the breaker may have been open
		w.call()
	}
	var good atomic.Int64
	for range inFlight {
		go func() {
			if w.call() == nil {
				good.Add(1)
			}
		}()
	}
	synctest.Wait()
	<-time.After(time.Minute)
	synctest.Wait()
	assert.EqualValues(w, inFlight, good.Load(), "calls that pass at once")
}

// call makes one call.
func (w *world) call() error {
	res, err := w.item(w.Context(), proxy.NewRequest("GET", "/"))
	if err == nil {
		err = errors.Join(readAll(res), res.Close())
	}
	return err
}

func readAll(res *proxy.Response) error {
	if res.Body == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, res.Body)
	return err
}
