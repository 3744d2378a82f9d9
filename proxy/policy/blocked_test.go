package policy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A lateBody is a body that is opened late.
type lateBody struct{ closed *int }

func (lateBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b lateBody) Close() error           { *b.closed++; return nil }

// proves T3, C6
func TestABodyThatBlocksWhereItIsOpenedAgainIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	leaf := func(status int) proxy.Proxy {
		return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			if status != http.StatusOK {
				return nil, &proxy.Error{Status: status, Err: errors.New("down")}
			}
			return &proxy.Response{Document: document.MustParse(`{}`)}, nil
		}, pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent})
	}
	good, bad := leaf(200), leaf(503)
	decoded := proxy.Decode[map[string]int](good)
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: good})
	assert.NoError(t, err)
	for name, p := range map[string]func() proxy.Proxy{
		"merge": func() proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "a", Proxy: good}, proxy.Part{Name: "b", Proxy: good})
		},
		"sequence": func() proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "a", Proxy: good}, proxy.Stage{Name: "b", Proxy: good})
		},
		"race":     func() proxy.Proxy { return proxy.Race(good, good) },
		"fallback": func() proxy.Proxy { return proxy.Fallback(bad, good) },
		"retry":    func() proxy.Proxy { return bad.With(policy.Retry(policy.Attempts{Backoff: -1})) },
		"hedge": func() proxy.Proxy {
			return pipe.Describe(proxy.Proxy(hangs), pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent}).
				With(policy.Hedge(policy.HedgeSpec{Delay: time.Millisecond}))
		},
		"flow": func() proxy.Proxy {
			return proxy.Encode(flow.Join2(flow.Call("a", decoded), flow.Call("b", decoded), func(a, b map[string]int) (int, error) {
				return len(a) + len(b), nil
			}))
		},
		"shadow": func() proxy.Proxy { return good.With(shadow.Decorate) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				closed, opened := 0, 0
				req := proxy.NewRequest("PUT", "/")
				req.Body, req.ContentLength = io.NopCloser(http.NoBody), -1
				req.GetBody = func() (io.ReadCloser, error) {
					opened++
					<-time.After(2 * time.Second)
					return lateBody{&closed}, nil
				}
				var scope call.Scope
				start := time.Now()
				res, err := p().With(policy.Timeout(100*time.Millisecond))(scope.Context(t.Context()), req)
				assert.Equal(t, 100*time.Millisecond, time.Since(start))
				assert.Equal(t, http.StatusGatewayTimeout, proxy.Status(res, err))
				assert.Equal(t, 1, scope.Abandoned())
				<-time.After(5 * time.Second)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
				assert.Equal(t, opened, closed, "what was opened late is closed")
			})
		})
	}
}
