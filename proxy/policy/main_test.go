package policy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// A body counts how often it is closed.
type body struct {
	io.Reader
	closes atomic.Int32
}

func newBody(text string) *body { return &body{Reader: strings.NewReader(text)} }

func (b *body) Close() error {
	b.closes.Add(1)
	return nil
}

// counted returns p and a counter of its calls.
func counted(p proxy.Proxy) (proxy.Proxy, *atomic.Int32) {
	var calls atomic.Int32
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		calls.Add(1)
		return p(ctx, req)
	}, &calls
}

// leaf describes p as an upstream with these effects.
func leaf(p proxy.Proxy, effects pipe.Effects) proxy.Proxy {
	return pipe.Describe(p, pipe.Step{Kind: "backend", Name: "upstream", Effects: pipe.Terminal | effects})
}

func fails(err error) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }
}

// hangs until its context is done.
func hangs(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func answers(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

var errReset = errors.New("connection reset by peer")
