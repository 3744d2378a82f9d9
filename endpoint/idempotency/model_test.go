package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A world is an upstream and Answers that fail at random, and what has truly happened.
type world struct {
	trouble int // percent of the calls of the Answers that fail

	mu      sync.Mutex // guards what follows
	rand    *rand.Rand
	effects map[string]int             // by key
	seen    map[string]map[string]bool // what clients were answered, by key
}

func (w *world) chance(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

// upstream has an effect for each key, or says that it cannot have had one.
func (w *world) upstream(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	key := req.Header.Get("Idempotency-Key")
	<-time.After(time.Duration(w.chance(2000)) * time.Millisecond)
	what := w.chance(10)
	if what == 0 {
		return nil, &proxy.Error{Status: 502, Op: "dial", Err: errors.New("refused")}
	}
	w.mu.Lock()
	w.effects[key]++
	id := fmt.Sprintf("%s-%d", key, w.effects[key])
	w.mu.Unlock()
	res := &proxy.Response{Status: 201, Header: http.Header{"X-Id": {id}}}
	switch what {
	case 1:
		return nil, &proxy.Error{Status: 503, Op: "status", Err: errors.New("busy")}
	case 2:
		<-ctx.Done()
		return nil, &proxy.Error{Op: "read", Err: ctx.Err()}
	case 3:
		panic("bug")
	case 4:
		res.Header["Content-Length"] = []string{"100"}
		res.Body = io.NopCloser(strings.NewReader(id))
		return res, nil
	case 5:
		res.Body = io.NopCloser(strings.NewReader(id)) // a stream
		return res, nil
	case 6:
		res.Header["Content-Length"] = []string{strconv.Itoa(len(id))}
		res.Body = io.NopCloser(strings.NewReader(id))
		return res, nil
	case 7:
		return nil, nil
	}
	res.Document = document.MustParse(strconv.Quote(id))
	return res, nil
}

// refuse refuses some calls before the upstream.
func (w *world) refuse(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		switch w.chance(8) {
		case 0:
			return nil, &proxy.Error{Status: 429, Op: "limit", Err: errors.New("too many")}
		case 1:
			panic("in front of the upstream")
		}
		return next(ctx, req)
	}
}

// broken does what a call of the Answers should do, before or after it fails, or not.
func (w *world) broken(ctx context.Context, do func()) error {
	if w.chance(100) >= w.trouble {
		do()
		return nil
	}
	if w.chance(2) == 0 {
		do()
	}
	switch w.chance(4) {
	case 0:
		<-ctx.Done()
		return ctx.Err()
	case 1:
		panic("bug")
	case 2:
		<-time.After(3 * time.Second) // longer than its context
		if w.chance(2) == 0 {
			do()
		}
	}
	return errors.New("down")
}

// Two gateways share Answers that fail in all ways, in front of an upstream that does so too. However
// often and however impatiently a request is repeated, it takes effect at most once, and has one
// outcome. SLUICE_SEEDS is how many runs there are.
func TestARequestTakesEffectOnceWhateverFails(t *testing.T) {
	t.Parallel()
	seeds, _ := strconv.Atoi(os.Getenv("SLUICE_SEEDS"))
	for seed := range uint64(max(seeds, 12)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { play(t, seed) })
		})
	}
}

func play(t *testing.T, seed uint64) {
	w := &world{rand: rand.New(rand.NewPCG(seed, 7)), effects: map[string]int{}, seen: map[string]map[string]bool{},
		trouble: int(seed%4) * 20}
	size := int64(0)
	if seed%3 == 1 {
		size = 6000
	}
	memory := idempotency.NewMemory(size)
	answers := &hooks{
		claim: func(ctx context.Context, key string, claim []byte, lease time.Duration) (found []byte, err error) {
			err2 := w.broken(ctx, func() { found, err = memory.Claim(ctx, key, claim, lease) })
			return found, errors.Join(err, err2)
		},
		keep: func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (kept bool, err error) {
			err2 := w.broken(ctx, func() { kept, err = memory.Keep(ctx, key, claim, value, ttl) })
			return kept, errors.Join(err, err2)
		},
		release: func(ctx context.Context, key string, claim []byte) (err error) {
			err2 := w.broken(ctx, func() { err = memory.Release(ctx, key, claim) })
			return errors.Join(err, err2)
		},
	}
	s := idempotency.Spec{Answers: answers, Lease: 30 * time.Minute, TTL: time.Hour, Timeout: 3 * time.Second}
	leaf := pipe.Describe(w.upstream, pipe.Step{Kind: "backend", Name: "orders", Takes: []string{},
		Effects: pipe.Terminal | pipe.HonoursContext | pipe.NotIdempotent})
	gateways := [2]proxy.Proxy{leaf.With(idempotency.RequireWith(s), w.refuse), leaf.With(idempotency.RequireWith(s), w.refuse)}
	var clients sync.WaitGroup
	for c := range 24 {
		clients.Go(func() {
			for range 8 {
				w.send(t, gateways[c%2], fmt.Sprintf(`"k%d"`, w.chance(12)))
				<-time.After(time.Duration(w.chance(5000)) * time.Millisecond)
			}
		})
	}
	clients.Wait()
	if size > 0 {
		assert.LessOrEqual(t, memory.Bytes(), size)
	}
	for key, n := range w.effects {
		assert.LessOrEqual(t, n, 1, "%s has taken effect more than once", key)
	}
	for key, texts := range w.seen {
		assert.Len(t, texts, 1, "%s has several outcomes: %v", key, texts)
	}
	assert.NotEmpty(t, w.seen)
	<-time.After(2 * time.Hour)
	assert.Zero(t, memory.Len(), "keys that never end")
}

// send sends a request of a client that may leave, and notes the outcome that it gets.
func (w *world) send(t *testing.T, gateway proxy.Proxy, key string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch patience := time.Duration(w.chance(4000)) * time.Millisecond; w.chance(3) {
	case 0:
		late, stop := context.WithTimeout(ctx, patience)
		defer stop()
		ctx = late
	case 1:
		gone := time.AfterFunc(patience, cancel)
		defer gone.Stop()
	}
	begin := time.Now()
	res, err := called(ctx, gateway, post(key, "{}"))
	assert.Less(t, time.Since(begin), 8*time.Second)
	text := ""
	switch {
	case err == nil:
		text = "answer " + res.Header.Get("X-Id")
		if res.Body != nil {
			b, err := io.ReadAll(res.Body)
			if text += " " + string(b); err != nil {
				text = "" // the client is gone
			}
		}
		text += res.Document.String()
		_ = res.Close()
	case errors.Is(err, idempotency.ErrReplayed):
		text = fmt.Sprint("failure ", proxy.StatusOf(err))
	}
	if text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[key] == nil {
		w.seen[key] = map[string]bool{}
	}
	w.seen[key][text] = true
}

// called returns the error of a call, also if it panics.
func called(ctx context.Context, p proxy.Proxy, req *proxy.Request) (res *proxy.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			res, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	return p(ctx, req)
}
