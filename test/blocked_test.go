package test_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

const (
	blockedLimit = 100 * time.Millisecond // of the call
	blockedFor   = 2 * time.Second        // of the body
)

// A honest transport says that it honours its context, so nothing around it needs a goroutine.
type honest struct{ *http.Transport }

func (honest) HonoursContext() bool { return true }

// A blockedBody is a body of a user that blocks where it is opened again, where it is read, or
// both. It counts the bodies that were opened and closed.
type blockedBody struct {
	open, read     bool
	free           int32 // how many calls of GetBody do not block
	opened, closed atomic.Int32
}

func (b *blockedBody) GetBody() (io.ReadCloser, error) {
	if b.open && b.opened.Load() >= b.free {
		<-time.After(blockedFor)
	}
	b.opened.Add(1)
	return &blockedReader{of: b}, nil
}

type blockedReader struct {
	of   *blockedBody
	read bool
}

func (r *blockedReader) Read(p []byte) (int, error) {
	if r.of.read {
		<-time.After(blockedFor)
	}
	if r.read {
		return 0, io.EOF
	}
	r.read = true
	return copy(p, `{"a":1}`), nil
}

func (r *blockedReader) Close() error {
	r.of.closed.Add(1)
	return nil
}

// An own body belongs to the caller of the pipe, who closes it.
type ownBody struct{ io.Reader }

func (ownBody) Close() error { return nil }

// Every combinator and decorator is called with a request body that blocks. Whether it opens the
// body again or has the upstream read it, the answer leaves at the deadline, the call that still
// blocks is counted until it returns, and what it opened late is closed.
//
// proves T3, C6
func TestNothingWaitsForARequestBodyThatBlocks(t *testing.T) {
	t.Parallel()
	type wiring struct {
		good, bad proxy.Proxy
		shadow    *proxy.Shadow
	}
	tests := []struct {
		name  string
		make  func(w wiring) proxy.Proxy
		opens bool  // it opens the body again
		free  int32 // how often it may open the body before that blocks
	}{
		{"backend", func(w wiring) proxy.Proxy { return w.good }, false, 0},
		{"Hold", func(w wiring) proxy.Proxy { return w.good.With(proxy.Hold(0)) }, false, 0},
		{"Timeout", func(w wiring) proxy.Proxy { return w.good.With(policy.Timeout(time.Minute)) }, false, 0},
		{"InFlight", func(w wiring) proxy.Proxy { return w.good.With(policy.InFlight(1)) }, false, 0},
		{"Queue", func(w wiring) proxy.Proxy { return w.good.With(policy.Queue(policy.QueueSpec{InFlight: 1})) }, false, 0},
		{"Adaptive", func(w wiring) proxy.Proxy { return w.good.With(policy.Adaptive(policy.AdaptiveSpec{})) }, false, 0},
		{"Coalesce", func(w wiring) proxy.Proxy { return w.good.With(policy.Coalesce(policy.CoalesceSpec{})) }, false, 0},
		{"SendDeadline", func(w wiring) proxy.Proxy { return w.good.With(policy.SendDeadline("X-Ms")) }, false, 0},
		{"Switch", func(w wiring) proxy.Proxy { return proxy.Switch(proxy.Case{Name: "a", Proxy: w.good}) }, false, 0},
		{"Split", func(w wiring) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Name: "a", Weight: 1, Proxy: w.good}}})
		}, false, 0},
		{"Swap", func(w wiring) proxy.Proxy { return proxy.NewSwap(w.good).Proxy() }, false, 0},
		{"Decode", func(w wiring) proxy.Proxy { return proxy.Encode(proxy.Decode[any](w.good)) }, false, 0},
		{"a header", func(w wiring) proxy.Proxy { return w.good.With(shape.SetHeader("X-A", "1")) }, false, 0},
		{"Response", func(w wiring) proxy.Proxy { return w.good.With(shape.Response(shape.Drop("x"))) }, false, 0},
		{"Race of one", func(w wiring) proxy.Proxy { return proxy.Race(w.good) }, false, 0},
		{"Merge", func(w wiring) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "a", Proxy: w.good}, proxy.Part{Name: "b", Proxy: w.good})
		}, true, 0},
		{"MergeWith", func(w wiring) proxy.Proxy {
			return proxy.MergeWith(proxy.Deep, proxy.Part{Name: "a", Proxy: w.good}, proxy.Part{Name: "b", Proxy: w.good})
		}, true, 0},
		{"Sequence", func(w wiring) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "a", Proxy: w.good}, proxy.Stage{Name: "b", Proxy: w.good})
		}, true, 0},
		{"Race", func(w wiring) proxy.Proxy { return proxy.Race(w.good, w.good) }, true, 0},
		{"Fallback", func(w wiring) proxy.Proxy { return proxy.Fallback(w.bad, w.good) }, true, 0},
		{"Retry", func(w wiring) proxy.Proxy { return w.bad.With(policy.Retry(policy.Attempts{Backoff: -1})) }, true, 0},
		{"Shadow", func(w wiring) proxy.Proxy { return w.good.With(w.shadow.Decorate) }, true, 0},
		{"flow", func(w wiring) proxy.Proxy {
			node := proxy.Decode[map[string]int](w.good)
			return proxy.Encode(flow.Join2(flow.Call("a", node), flow.Call("b", node), func(a, b map[string]int) (int, error) { return len(a) + len(b), nil }))
		}, true, 0},
		{"flow.Each", func(w wiring) proxy.Proxy {
			list := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return &proxy.Response{Document: document.MustParse(`["k"]`)}, nil
			}, pipe.Step{Kind: "list", Effects: pipe.Terminal | pipe.HonoursContext})
			keys := flow.Call("keys", proxy.Decode[[]string](list))
			key := func(k string) string { return k }
			each := flow.Each("each", keys, key, func(*proxy.Request, string) error { return nil }, proxy.Decode[map[string]int](w.good))
			return proxy.Encode(flow.End(each))
		}, true, 1},
		{"Request", func(w wiring) proxy.Proxy { return w.good.With(shape.Request(shape.Drop("x"))) }, true, 0},
		{"Body", func(w wiring) proxy.Proxy { return w.good.With(shape.Body(`{"b": "{body.a}"}`)) }, true, 0},
		{"Record", func(w wiring) proxy.Proxy { return w.good.With(new(proxytest.Recorder).Record) }, true, 0},
	}
	for _, tt := range tests {
		bodies := []*blockedBody{{read: true}}
		if tt.opens {
			bodies = append(bodies, &blockedBody{open: true, free: tt.free}, &blockedBody{open: true, read: true, free: tt.free})
		}
		for _, body := range bodies {
			name := tt.name
			if body.open {
				name += ", GetBody"
			}
			if body.read {
				name += ", Read"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					network := proxytest.NewNetwork(t)
					network.Serve("good", proxytest.NewUpstream(proxytest.Answer(200, `{"k":1}`)))
					network.Serve("bad", proxytest.NewUpstream(proxytest.Answer(503, "")))
					at := func(host string) proxy.Proxy {
						transport := network.Transport()
						t.Cleanup(transport.CloseIdleConnections)
						p, err := backend.HTTP{Transport: honest{transport}}.New(backend.Spec{URL: "http://" + host})
						require.NoError(t, err)
						return p
					}
					w := wiring{good: at("good"), bad: at("bad")}
					var err error
					w.shadow, err = proxy.NewShadow(proxy.ShadowSpec{Mirror: w.good, Timeout: blockedLimit})
					require.NoError(t, err)

					req := proxy.NewRequest("PUT", "/")
					req.Body, req.GetBody, req.ContentLength = ownBody{&blockedReader{of: body}}, body.GetBody, -1
					var scope call.Scope
					ctx, cancel := context.WithTimeout(scope.Context(t.Context()), blockedLimit)
					defer cancel()
					start := time.Now()
					res, err := tt.make(w)(ctx, req)
					assert.Equal(t, blockedLimit, time.Since(start))
					assert.Equal(t, http.StatusGatewayTimeout, proxy.Status(res, err), "%v", err)
					assert.NotZero(t, scope.Abandoned())

					<-time.After(time.Minute)
					synctest.Wait()
					assert.Zero(t, scope.Abandoned())
					assert.Equal(t, body.opened.Load(), body.closed.Load(), "what was opened is closed")
				})
			})
		}
	}
}
