package test_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A lendWorld is what random pipes that lend are made of. Its upstreams are slow, fail, and answer in
// each way in which a body can come. Every string of an answer says which request it is for.
type lendWorld struct {
	t     *testing.T
	seed  uint64
	calls atomic.Uint64
	rng   *rand.Rand // of the pipe
	names int
}

func (w *lendWorld) Mark() mark.Type { return mark.TypeOf[*lendWorld]() }

func (w *lendWorld) HonoursContext() bool { return true }

func (w *lendWorld) RoundTrip(req *http.Request) (*http.Response, error) {
	rng := rand.New(rand.NewPCG(w.seed, w.calls.Add(1)))
	select {
	case <-time.After(time.Duration(rng.IntN(40)) * time.Millisecond):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if rng.IntN(12) == 0 {
		return nil, errors.New("reset")
	}
	body := rows(req.Header.Get("X-Id"), rng.IntN(10)*rng.IntN(200))
	length := int64(len(body))
	if rng.IntN(3) == 0 {
		length = -1
	}
	h := http.Header{}
	if rng.IntN(4) == 0 {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		body, length = b.Bytes(), -1
		h.Set("Content-Encoding", "gzip")
	}
	var from io.Reader = bytes.NewReader(body)
	if rng.IntN(12) == 0 {
		from = io.MultiReader(bytes.NewReader(body[:len(body)/2]), errorReader{})
	}
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: length,
		Body: &slowly{r: from, ctx: req.Context(), rng: rng}, Request: req}, nil
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// slowly is a body that comes in pieces, with waits between them.
type slowly struct {
	r   io.Reader
	ctx context.Context
	rng *rand.Rand
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.rng.IntN(4) == 0 {
		select {
		case <-time.After(time.Duration(s.rng.IntN(5)) * time.Millisecond):
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	return s.r.Read(p[:1+s.rng.IntN(len(p))])
}

func (s *slowly) Close() error { return nil }

func (w *lendWorld) leaf() proxy.Proxy {
	w.names++
	name := fmt.Sprint("leaf", w.names)
	return pipe.Check(backend.HTTP{Transport: w}.New(backend.Spec{Name: name, URL: "http://upstream.test/" + name, Headers: []string{"X-Id"}}))
}

// tree returns a random pipe of at most that depth.
func (w *lendWorld) tree(depth int) proxy.Proxy {
	if depth == 0 {
		return w.leaf().With(w.decorator())
	}
	inner := func() proxy.Proxy { return w.tree(depth - 1) }
	group := func() string { w.names++; return fmt.Sprint("group", w.names) }
	var p proxy.Proxy
	switch w.rng.IntN(7) {
	case 0, 1:
		p = proxy.Merge(proxy.Grouped(group(), inner()), proxy.Part{Name: group(), Proxy: inner()}, proxy.Optional(proxy.Grouped(group(), inner())))
	case 2:
		p = proxy.MergeWith(proxy.Deep, proxy.Grouped(group(), inner()), proxy.Optional(proxy.Grouped(group(), inner())))
	case 3:
		p = proxy.Sequence(proxy.Stage{Name: "first", Proxy: inner(), Group: group()},
			proxy.Stage{Name: "second", Proxy: inner(), Group: group(), Optional: w.rng.IntN(2) == 0, Bind: []proxy.Binding{proxy.BindBody("first", "")}})
	case 4:
		p = proxy.Fallback(inner(), inner())
	case 5:
		p = proxy.Race(inner(), inner())
	default:
		p = proxy.Split(proxy.SplitSpec{Name: group(), Variants: []proxy.Variant{{Name: "a", Weight: 1, Proxy: inner()}, {Name: "b", Weight: 1, Proxy: inner()}}})
	}
	return p.With(w.decorator())
}

// decorator returns a random decorator, or nil.
func (w *lendWorld) decorator() proxy.Decorator {
	switch w.rng.IntN(12) {
	case 0:
		return policy.Timeout(time.Duration(10+w.rng.IntN(40)) * time.Millisecond)
	case 1:
		return policy.Retry(policy.Attempts{Max: 2})
	case 2:
		return policy.Hedge(policy.HedgeSpec{Delay: time.Duration(1+w.rng.IntN(20)) * time.Millisecond})
	case 3:
		return shape.Response(shape.Drop("rows"), shape.Group("shaped"))
	case 4:
		return shape.Response(shape.Copy("of", "copied.of"), shape.Rename("copied", "renamed"))
	case 5:
		return proxy.Static(proxy.Always, document.MustParse(`{"static":1}`))
	case 6:
		return w.stubborn(w.rng.IntN(4))
	case 7:
		return shape.Response(shape.Keep("of", "*.of", "rows.*.of"))
	}
	return nil
}

// stubborn returns a decorator of a user that borrows, and now and then ignores that its context has
// ended, or panics. Until it returns, what it has borrowed must not change.
func (w *lendWorld) stubborn(kind int) proxy.Decorator {
	return borrower(func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
		id := req.Header.Get("X-Id")
		res, err := next(ctx, req)
		if err != nil {
			return nil, err
		}
		if kind < 2 {
			<-time.After(time.Duration(20+100*kind) * time.Millisecond)
		}
		checkLent(w.t, id, res.Document.AppendJSON(nil))
		if kind == 3 && w.calls.Load()%3 == 0 {
			panic("stubborn")
		}
		return res, nil
	})
}

// checkLent fails t unless a text is JSON whose strings are all for the request.
func checkLent(t *testing.T, id string, text []byte) {
	var v any
	if !assert.NoError(t, json.Unmarshal(text, &v), "request %s got %q", id, text) {
		return
	}
	var check func(v any)
	check = func(v any) {
		switch v := v.(type) {
		case string:
			assert.Equal(t, id, v, "in an answer to request %s", id)
		case map[string]any:
			for _, v := range v {
				check(v)
			}
		case []any:
			for _, v := range v {
				check(v)
			}
		}
	}
	check(v)
}

// TestNoRequestGetsMemoryOfAnother makes random pipes that lend, with requests at once of which some
// are given up, and holds every answer to the request that it is for. What goes back is overwritten.
//
// proves T30
func TestNoRequestGetsMemoryOfAnother(t *testing.T) {
	t.Parallel()
	var whole, others atomic.Int64
	for seed := range lawSeeds(100) {
		synctest.Test(t, func(t *testing.T) {
			w := &lendWorld{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7))}
			s := endpoint.Spec{Proxy: w.tree(w.rng.IntN(3)), Timeout: 150 * time.Millisecond}
			if w.rng.IntN(4) == 0 {
				s.Encode = []endpoint.Encoder{endpoint.JSON, endpoint.XML}
			}
			h, err := endpoint.New(s)
			require.NoError(t, err)
			require.NoError(t, h.(interface{ Plan() *pipe.Step }).Plan().Lends())
			var clients sync.WaitGroup
			for client := range 4 {
				rng := rand.New(rand.NewPCG(seed, uint64(client)))
				clients.Go(func() {
					for i := range 3 {
						if askLent(t, h, fmt.Sprintf("%d-%d-%d", seed, client, i), rng) {
							whole.Add(1)
						} else {
							others.Add(1)
						}
					}
				})
			}
			clients.Wait()
			<-time.After(time.Hour) // calls that were abandoned come to their end
		})
	}
	t.Log(whole.Load(), "whole answers,", others.Load(), "others")
	assert.NotZero(t, whole.Load())
	assert.NotZero(t, others.Load())
}

// askLent sends a request, perhaps as a client that leaves, and reports whether it got an answer.
func askLent(t *testing.T, h http.Handler, id string, rng *rand.Rand) bool {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if rng.IntN(6) == 0 {
		defer time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, cancel).Stop()
	}
	req := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	req.Header.Set("X-Id", id)
	rec := httptest.NewRecorder()
	var w http.ResponseWriter = rec
	if rng.IntN(8) == 0 {
		w = brokenWriter{rec, func() error { return errors.New("gone") }}
	}
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		}
	}()
	h.ServeHTTP(w, req)
	if rec.Code != http.StatusOK || rec.Body.Len() == 0 {
		return false
	}
	assert.NotContains(t, rec.Body.String(), "\xff")
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		checkLent(t, id, rec.Body.Bytes())
	}
	return true
}
