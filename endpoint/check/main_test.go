package check_test

import (
	"context"
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

// counted returns an upstream that answers, and the number of its calls.
func counted() (proxy.Proxy, *int) {
	calls := new(int)
	return pipe.NamedPipe("orders", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		*calls++
		return &proxy.Response{}, nil
	}), calls
}
