package test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

const (
	stressTimeout = 60 * time.Millisecond // of an endpoint
	stressIdle    = 60 * time.Millisecond // of a stream
	stressSlack   = 5 * time.Second       // for a busy machine under the race detector
	stressDeaf    = 40 * time.Millisecond // of code that ignores its context
	stressCalls   = 400                   // of each tree
	stressClients = 32
)

// SLUICE_STRESS says for how long random trees of combinators are called, whose leaves and hooks
// panic, end their goroutine, hang, ignore their context and break their contract, by clients that
// leave and reset, while proxies are swapped. So do the bodies of requests and responses, GetBody
// and trailers. Every call must end in time and the process live; once a tree is at rest, every
// body is closed once, every counter is 0, and no goroutine is left. SLUICE_STRESS_SEED repeats the
// trees of an earlier run.
//
// proves T3, T4
func TestStressOfRandomTrees(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("SLUICE_STRESS"))
	if err != nil {
		t.Skip("random trees are stressed where SLUICE_STRESS says for how long, as in 1m")
	}
	seed, err := strconv.ParseUint(os.Getenv("SLUICE_STRESS_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("GOMAXPROCS %d, SLUICE_STRESS_SEED=%d", runtime.GOMAXPROCS(0), seed)
	trees := 0
	for start := time.Now(); time.Since(start) < d && !t.Failed(); trees++ {
		newStress(seed + uint64(trees)).run(t)
		if t.Failed() {
			t.Logf("repeat it with SLUICE_STRESS_SEED=%d", seed+uint64(trees))
		}
	}
	t.Logf("%d trees, %d calls", trees, trees*stressCalls)
}

// A stress is one random tree.
type stress struct {
	rng     *rand.Rand // of the goroutine that makes the tree
	names   int
	swaps   []*proxy.Swap
	spare   []proxy.Proxy // to be swapped in
	shadows []*proxy.Shadow
	backend proxy.Proxy
	drained []<-chan struct{}

	mu     sync.Mutex // guards the fields below
	dice   *rand.Rand // of the calls
	bodies []*stressBody
}

func newStress(seed uint64) *stress {
	return &stress{rng: rand.New(rand.NewPCG(seed, 1)), dice: rand.New(rand.NewPCG(seed, 2))}
}

// roll returns a random number below n, for a call.
func (s *stress) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(n)
}

func (s *stress) name(kind string) string {
	s.names++
	return fmt.Sprintf("%s%d", kind, s.names)
}

func (s *stress) run(t *testing.T) {
	before := goleak.IgnoreCurrent()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":1}`)
	}))
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.Start()
	transport := backend.NewDefaultTransport()
	var err error
	s.backend, err = backend.HTTP{Transport: transport}.New(backend.Spec{URL: upstream.URL, Headers: []string{"*"}})
	require.NoError(t, err)
	tree := s.tree(1 + s.rng.IntN(4))
	for range 4 {
		s.spare = append(s.spare, s.tree(1))
	}
	spec := endpoint.Spec{Proxy: tree, Timeout: stressTimeout, ReadTimeout: time.Second, IdleTimeout: stressIdle,
		WriteTimeout: time.Second, Report: func(context.Context, error) { s.mayPanic(50) }, Stream: s.rng.IntN(2) == 0}
	h, err := endpoint.New(spec)
	if err != nil && spec.Stream { // the tree buffers
		spec.Stream = false
		h, err = endpoint.New(spec)
	}
	require.NoError(t, err, "%s", pipe.PlanOf(tree))
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	client := server.Client()

	var clients sync.WaitGroup
	var left atomic.Int64
	left.Store(stressCalls)
	for range stressClients {
		clients.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				start := time.Now()
				how := s.call(t, h, client, server.Listener.Addr().String())
				if took := time.Since(start); took > stressTimeout+stressIdle+stressSlack {
					t.Errorf("a call (%s) took %s", how, took)
				}
			}
		})
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; len(s.swaps) > 0; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			if drained, err := s.swaps[i%len(s.swaps)].Store(s.spare[i%len(s.spare)]); err == nil {
				s.drained = append(s.drained, drained)
			}
		}
	})
	clients.Wait()
	close(stop)
	swapping.Wait()
	client.CloseIdleConnections()
	server.Close()
	defer upstream.Close()
	for _, shadow := range s.shadows {
		ctx, cancel := context.WithTimeout(context.Background(), stressSlack)
		if err := shadow.Drain(ctx); err != nil {
			t.Errorf("a shadow does not drain: %v", err)
		}
		cancel()
	}

	counts := h.(interface{ Abandoned() int })
	s.atRest(t, "abandoned calls are counted", func() bool { return counts.Abandoned() == 0 })
	for _, drained := range s.drained {
		s.atRest(t, "a swapped proxy is not drained", func() bool {
			select {
			case <-drained:
				return true
			default:
				return false
			}
		})
	}
	transport.CloseIdleConnections()
	upstream.Close()
	var leak error
	s.atRest(t, "a goroutine is left", func() bool { leak = goleak.Find(before); return leak == nil })
	if leak != nil {
		t.Log(leak)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bodies {
		if n := b.closes.Load(); n != 1 {
			t.Errorf("a body of %s was closed %d times", b.of, n)
			break
		}
	}
	if t.Failed() {
		t.Logf("the tree:\n%s", pipe.PlanOf(tree))
	}
}

// atRest fails t unless f is true within the slack.
func (s *stress) atRest(t *testing.T, what string, f func() bool) {
	for end := time.Now().Add(stressSlack); !f(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s after %s", what, stressSlack)
			return
		}
	}
}

// call makes one call in one of several ways, and says how.
func (s *stress) call(t *testing.T, h http.Handler, client *http.Client, addr string) (how string) {
	moment := time.Duration(s.roll(30)) * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	kind := s.roll(10)
	switch {
	case kind < 5:
		how = "in process"
	case kind < 7:
		how = "in process, cancelled"
		defer time.AfterFunc(moment, cancel).Stop()
	case kind < 9:
		req, _ := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/a", strings.NewReader(`{"a":1}`))
		if kind == 8 {
			defer time.AfterFunc(moment, cancel).Stop()
		}
		if res, err := client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		return "on a socket"
	default:
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return "no connection"
		}
		_, _ = io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
		<-time.After(moment)
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		return "on a socket that is reset"
	}
	ended := make(chan string, 1)
	go func() {
		end := ", and the goroutine ended"
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				end = fmt.Sprint(", and the call panicked: ", v)
			} else if v != nil {
				end = ""
			}
			ended <- end
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPut, "/a", strings.NewReader(`{"a":1}`)))
		end = ""
	}()
	if end := <-ended; end != "" {
		t.Errorf("a call (%s) did not return%s", how, end)
	}
	return how
}

// mayPanic fails in one of n calls.
func (s *stress) mayPanic(n int) {
	if s.roll(n) == 0 {
		panic("a hook")
	}
}

// tree returns a random tree of at most that depth.
func (s *stress) tree(depth int) proxy.Proxy {
	if depth == 0 {
		return s.leaf()
	}
	sub := func() proxy.Proxy { return s.decorated(s.tree(s.rng.IntN(depth))) }
	switch s.rng.IntN(11) {
	case 0, 1:
		parts := []proxy.Part{{Name: s.name("part"), Proxy: sub()}}
		for range 1 + s.rng.IntN(3) {
			part := proxy.Grouped(s.name("part"), sub())
			if s.rng.IntN(2) == 0 {
				part = proxy.Optional(part)
			}
			if s.rng.IntN(4) == 0 {
				part.When = func(context.Context, *proxy.Request) bool { s.mayPanic(20); return s.roll(2) == 0 }
			}
			parts = append(parts, part)
		}
		if s.rng.IntN(2) == 0 {
			return proxy.MergeWith(proxy.Deep, parts...)
		}
		return proxy.Merge(parts...)
	case 2:
		return proxy.RaceWith(proxy.RaceSpec{Proxies: []proxy.Proxy{sub(), sub(), sub()}, Unsafe: true})
	case 3:
		return proxy.Sequence(
			proxy.Stage{Name: s.name("stage"), Proxy: sub(), Optional: s.rng.IntN(2) == 0, Internal: s.rng.IntN(2) == 0},
			proxy.Stage{Name: s.name("stage"), Proxy: sub(), Group: s.name("group"),
				Prepare: func(context.Context, *proxy.Request, proxy.Results) error { s.mayPanic(20); return nil }})
	case 4:
		return proxy.Switch(
			proxy.Case{Name: s.name("case"), Proxy: sub(),
				When: func(context.Context, *proxy.Request) bool { s.mayPanic(20); return s.roll(2) == 0 }},
			proxy.Case{Name: s.name("case"), Proxy: sub()})
	case 5:
		return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{
			{Name: s.name("variant"), Weight: 1, Proxy: sub()}, {Name: s.name("variant"), Weight: 2, Proxy: sub()}}})
	case 6, 7:
		return proxy.Fallback(sub(), sub())
	case 8:
		swap := proxy.NewSwap(sub())
		s.swaps = append(s.swaps, swap)
		return swap.Proxy()
	case 9:
		a := flow.Call(s.name("node"), proxy.Decode[any](sub()))
		b := flow.Then(s.name("node"), a, func(*proxy.Request, any) error { s.mayPanic(20); return nil }, proxy.Decode[any](sub()))
		c := flow.Optional(flow.Call(s.name("node"), proxy.Decode[any](sub())))
		list := flow.Map(s.name("node"), a, func(any) ([]string, error) { s.mayPanic(20); return []string{"k", "l", "k", "m"}, nil })
		key := func(k string) string { s.mayPanic(20); return k }
		d := flow.EachSome(s.name("node"), list, key, flow.Param("key", key), proxy.Decode[any](sub()))
		return proxy.Encode(flow.Join4(a, b, c, d, func(a, b any, c flow.Maybe[any], d map[string]flow.Maybe[any]) (map[string]any, error) {
			s.mayPanic(20)
			return map[string]any{"a": a, "b": b, "c": c.Or(nil), "d": d["k"].Or(nil)}, nil
		}))
	}
	return s.decorated(s.tree(depth - 1))
}

// decorated returns p in some random decorators.
func (s *stress) decorated(p proxy.Proxy) proxy.Proxy {
	for range s.rng.IntN(3) {
		switch s.rng.IntN(11) {
		case 0, 1:
			p = p.With(policy.Timeout(time.Duration(1+s.rng.IntN(40)) * time.Millisecond))
		case 2, 3:
			p = p.With(policy.Retry(policy.Attempts{Backoff: time.Millisecond, Budget: policy.NewBudget(-1, 0), Unsafe: true}))
		case 4:
			p = p.With(proxy.Hold(s.rng.IntN(3)))
		case 5:
			p = p.With(pipe.Observe(func(_ context.Context, o proxy.Observation) {
				s.mayPanic(50)
			}))
		case 6:
			p = p.With(shape.Response(func(_ context.Context, d document.Document) (document.Document, error) {
				s.mayPanic(20)
				return d, nil
			}))
		case 7:
			shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: s.leaf(), Timeout: 20 * time.Millisecond,
				Compare: func(context.Context, proxy.Result, proxy.Result) { s.mayPanic(20) }})
			if err == nil {
				s.shadows = append(s.shadows, shadow)
				p = p.With(shadow.Decorate)
			}
		case 8:
			p = p.With(shape.Request(shape.Drop("x")))
		case 9:
			p = p.With(shape.Body(`{"b":"{body.a?}"}`))
		case 10:
			p = p.With(s.upload)
		}
	}
	return p
}

// upload is a decorator that gives the request a body of a user.
func (s *stress) upload(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		own := &stressUpload{stress: s, Reader: strings.NewReader(`{"a":1}`)}
		req.Body, req.ContentLength = own, -1
		req.GetBody = func() (io.ReadCloser, error) {
			s.upset()
			if s.roll(10) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			again := &stressUpload{stress: s, Reader: strings.NewReader(`{"a":1}`), body: &stressBody{of: "GetBody"}}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.bodies = append(s.bodies, again.body)
			return again, nil
		}
		if s.roll(3) == 0 {
			req.Trailer = func() http.Header { s.upset(); return http.Header{"X-Sum": {"1"}} }
		}
		req.Inform = func(int, http.Header) { s.upset() }
		return next(ctx, req)
	}
}

// upset panics, ends the goroutine or blocks, in one of 20 calls.
func (s *stress) upset() {
	switch s.roll(60) {
	case 0:
		panic("a function")
	case 1:
		runtime.Goexit()
	case 2:
		<-time.After(stressDeaf)
	}
}

// A stressUpload is the body of a request. What GetBody has opened is counted in body.
type stressUpload struct {
	*stress
	io.Reader
	body *stressBody
}

func (u *stressUpload) Read(p []byte) (int, error) {
	u.upset()
	return u.Reader.Read(p)
}

func (u *stressUpload) Close() error {
	if u.body != nil {
		u.body.closes.Add(1)
	}
	u.upset()
	return nil
}

// leaf returns a leaf that honours its context, and says so, or does anything.
func (s *stress) leaf() proxy.Proxy {
	if s.rng.IntN(4) == 0 {
		return s.backend
	}
	l := &stressLeaf{stress: s, name: s.name("leaf"), honest: s.rng.IntN(2) == 0}
	effects := pipe.Terminal | pipe.Idempotent
	if l.honest {
		effects |= pipe.HonoursContext
	} else {
		effects |= pipe.Opaque
	}
	return pipe.Describe(l.call, pipe.Step{Kind: "leaf", Name: l.name, Effects: effects})
}

type stressLeaf struct {
	*stress
	name   string
	honest bool
}

var stressDocument, _ = document.Parse([]byte(`{"id":1,"tags":["a","b"]}`))

// A hollowError panics in its methods.
type hollowError struct{ err error }

func (e *hollowError) Error() string { return e.err.Error() }
func (e *hollowError) Unwrap() error { return e.err }

func (l *stressLeaf) call(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n := 20
	if l.honest {
		n = 14
	}
	switch l.roll(n) {
	case 0, 1, 2:
		return l.document(), nil
	case 3, 4:
		if err := wait(time.Duration(l.roll(10)) * time.Millisecond); err != nil {
			return nil, err
		}
		return l.document(), nil
	case 5:
		res := l.document()
		res.Err = errors.New("a part is missing")
		return res, nil
	case 6:
		return l.stream(200), nil
	case 7:
		return l.stream(503), nil
	case 8:
		return nil, &proxy.Error{Status: 503, Op: "status", Err: syscall.ECONNRESET}
	case 9:
		if l.roll(2) == 0 {
			return nil, (*hollowError)(nil)
		}
		return nil, &proxy.Error{Status: 404}
	case 10:
		return nil, wait(time.Hour) // hangs
	case 11:
		return nil, nil
	case 12:
		return l.stream(200), errors.New("a response and an error")
	case 13:
		panic(errors.New("a leaf"))
	case 14:
		runtime.Goexit()
	case 15:
		<-time.After(stressDeaf)
		return l.stream(200), nil
	case 16:
		<-time.After(stressDeaf)
		panic("a late leaf")
	case 17:
		<-time.After(stressDeaf)
		return l.document(), nil
	case 18:
		<-time.After(stressDeaf)
		runtime.Goexit()
	case 19:
		<-time.After(stressDeaf)
		return nil, io.ErrUnexpectedEOF
	}
	return nil, nil
}

func (l *stressLeaf) document() *proxy.Response {
	return &proxy.Response{Status: 200, Header: http.Header{"X-Leaf": {l.name}}, Document: stressDocument}
}

func (l *stressLeaf) stream(status int) *proxy.Response {
	b := &stressBody{stress: l.stress, of: l.name, loose: !l.honest, closed: make(chan struct{})}
	l.mu.Lock()
	l.bodies = append(l.bodies, b)
	l.mu.Unlock()
	res := &proxy.Response{Status: status, Header: http.Header{}, Body: b}
	if !l.honest {
		res.Trailer = func() http.Header { l.upset(); return nil }
		res.OnClose(l.upset)
	}
	return res
}

// A stressBody counts its closes. Its reads give a few bytes, end, fail, hang until it is closed,
// or panic.
type stressBody struct {
	*stress
	of     string
	loose  bool // of a leaf that may do anything
	closes atomic.Int32
	closed chan struct{}
}

func (b *stressBody) Read(p []byte) (int, error) {
	switch b.roll(10) {
	case 0, 1:
		return 0, io.EOF
	case 2:
		return 0, io.ErrUnexpectedEOF
	case 3:
		<-b.closed
		return 0, net.ErrClosed
	case 4:
		if b.roll(4) == 0 {
			panic("a body")
		}
	}
	return copy(p, "rows "), nil
}

func (b *stressBody) Close() error {
	if b.closes.Add(1) == 1 {
		close(b.closed)
	}
	switch b.roll(40) {
	case 0:
		panic("a close")
	case 1:
		if b.loose {
			runtime.Goexit()
		}
	case 2:
		return errors.New("not closed well")
	}
	return nil
}
