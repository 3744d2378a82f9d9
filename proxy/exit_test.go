package proxy_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// The last of several proxies may run on the caller's goroutine. If it ends that, the answers of
// the others are closed nevertheless.
//
// proves T4, M21, M37
func TestAProxyThatEndsTheCallersGoroutineLeavesNoAnswerOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exits := pipe.Describe(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			runtime.Goexit()
			return nil, nil
		}, pipe.Step{Kind: "exits", Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent})
		var bodies []*proxytest.Body
		after := func(d time.Duration, effects pipe.Effects) proxy.Proxy {
			body := proxytest.NewBody("rows")
			bodies = append(bodies, body)
			return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				<-time.After(d)
				return &proxy.Response{Body: body}, nil
			}, pipe.Step{Kind: "rows", Effects: effects | pipe.Terminal | pipe.Idempotent})
		}
		for _, p := range []proxy.Proxy{
			proxy.Race(after(time.Millisecond, pipe.HonoursContext), after(time.Second, pipe.HonoursContext), after(time.Hour, pipe.Opaque), exits),
			proxy.Merge(proxy.Optional(proxy.Part{Name: "a", Proxy: after(time.Millisecond, pipe.HonoursContext)}),
				proxy.Part{Name: "b", Proxy: after(time.Hour, pipe.Opaque)}, proxy.Part{Name: "c", Proxy: exits}),
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				_, _ = p(ctx, proxy.NewRequest(http.MethodGet, "/"))
				t.Error("the call returned")
			}()
			<-returned
			cancel()
		}
		<-time.After(2 * time.Hour)
		for i, body := range bodies {
			assert.Equal(t, 1, body.Closes(), "body %d", i+1)
		}
	})
}
