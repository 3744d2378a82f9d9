package peers

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is that of each upstream here. It is made once, so that the figures are those of the policies.
var answer = &proxy.Response{}

func answers(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil }

// waits answers too, but has a look at the end of the context first, as a transport has.
func waits(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
		return answer, nil
	}
}

// leaf describes a function as package backend describes an upstream over net/http's transport.
func leaf(p proxy.Proxy) proxy.Proxy {
	return pipe.Describe(p, pipe.Step{Mark: mark.Ours(), Kind: "backend", Name: "upstream",
		Effects: pipe.Terminal | pipe.HonoursContext})
}
