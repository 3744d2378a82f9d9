package auth_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// until returns a request of a caller whose credential lasts for d.
func until(d time.Duration) *proxy.Request {
	req := proxy.NewRequest("GET", "/feed")
	req.Caller = &proxy.Caller{ID: "ada", Expires: time.Now().Add(d)}
	return req
}

// A deaf body never returns from Read before release is closed.
type deaf struct{ release chan struct{} }

func (d deaf) Read([]byte) (int, error) {
	<-d.release
	return 0, io.EOF
}

func (deaf) Close() error { return nil }

func TestAStreamEndsWithTheTokenOfItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			r, w := io.Pipe()
			go func() {
				_, _ = w.Write([]byte("event"))
				<-ctx.Done()
				_ = w.CloseWithError(ctx.Err())
			}()
			return &proxy.Response{Body: r}, nil
		}).With(auth.EndWithToken)
		start := time.Now()
		res, err := feed(t.Context(), until(time.Minute))
		require.NoError(t, err)
		buf := make([]byte, 64)
		n, err := res.Body.Read(buf)
		require.NoError(t, err)
		assert.Equal(t, "event", string(buf[:n]))
		_, err = res.Body.Read(buf)
		assert.ErrorIs(t, err, auth.ErrExpired)
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
		assert.Equal(t, time.Minute, time.Since(start))
		assert.NoError(t, res.Close())
	})
}

// proves T14
func TestAStreamEndsWithTheTokenThoughItsReadBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := deaf{make(chan struct{})}
		feed := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: body}, nil
		}).With(auth.EndWithToken)
		start := time.Now()
		res, err := feed(t.Context(), until(time.Minute))
		require.NoError(t, err)
		_, err = res.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, auth.ErrExpired)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.NoError(t, res.Close())
		close(body.release)
	})
}

func TestATunnelEndsWithTheTokenOfItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, peer := net.Pipe()
		defer peer.Close()
		tunnel := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: http.StatusSwitchingProtocols, Upgrade: upstream}, nil
		}).With(auth.EndWithToken)
		start := time.Now()
		res, err := tunnel(t.Context(), until(time.Minute))
		require.NoError(t, err)
		go func() { _, _ = res.Upgrade.Write([]byte("hello")) }()
		buf := make([]byte, 64)
		n, err := peer.Read(buf)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(buf[:n]))
		_, err = res.Upgrade.Read(buf)
		assert.ErrorIs(t, err, auth.ErrExpired)
		assert.Equal(t, time.Minute, time.Since(start))
		_, err = res.Upgrade.Write(buf)
		assert.ErrorIs(t, err, auth.ErrExpired)
		_, err = peer.Read(buf)
		assert.Equal(t, io.EOF, err, "the upstream is told")
		_ = res.Close()
	})
}

func TestAStreamOfAnExpiredTokenDoesNotBegin(t *testing.T) {
	t.Parallel()
	body := proxytest.NewBody("rows")
	leaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: body}, nil
	}
	_, err := proxy.Proxy(leaf).With(auth.EndWithToken)(t.Context(), until(-time.Second))
	assert.ErrorIs(t, err, auth.ErrExpired)
	assert.EqualValues(t, 1, body.Closes())
}

func TestEndWithTokenLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	nobody := until(time.Minute)
	nobody.Caller = nil
	forever := until(time.Minute)
	forever.Caller = &proxy.Caller{ID: "key"}
	document := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		_, limited := ctx.Deadline()
		assert.False(t, limited, "an answer that is no stream has all the time of the call")
		return &proxy.Response{Status: http.StatusOK}, nil
	}
	stream := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: proxytest.NewBody("rows")}, nil
	}
	for _, tt := range []struct {
		name string
		leaf proxy.Proxy
		req  *proxy.Request
	}{
		{"an answer that is no stream", document, until(time.Minute)},
		{"one of a token that has just expired", document, until(-time.Second)},
		{"a stream for nobody", stream, nobody},
		{"a stream for one who never expires", stream, forever},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := tt.leaf.With(auth.EndWithToken)(t.Context(), tt.req)
			require.NoError(t, err)
			if res.Body != nil {
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				assert.Equal(t, "rows", string(text))
			}
			assert.NoError(t, res.Close())
		})
	}
}

func TestEndWithTokenConforms(t *testing.T) {
	t.Parallel()
	request := func(d time.Duration) func() *proxy.Request {
		return func() *proxy.Request {
			req := until(d)
			req.Query, req.Header = map[string][]string{"page": {"2"}}, http.Header{"Accept": {"application/json"}}
			req.Params.Set("id", "1")
			return req
		}
	}
	t.Run("with a caller", func(t *testing.T) {
		proxytest.Conform(t, auth.EndWithToken, proxytest.Options{Request: request(1000 * time.Hour)})
	})
	t.Run("without", func(t *testing.T) { proxytest.Conform(t, auth.EndWithToken) })
}

func TestEndWithTokenInThePlan(t *testing.T) {
	t.Parallel()
	leaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("planning runs nothing") })
	plan := pipe.PlanOf(leaf.With(auth.EndWithToken))
	assert.Equal(t, "end-with-token", plan.Kind)
	assert.True(t, plan.Effects.Has(pipe.ReadsCaller))
}
