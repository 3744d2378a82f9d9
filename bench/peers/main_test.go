package peers

import (
	"context"
	"syscall"
	"testing"
	"time"

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

// measure runs f as a benchmark, and reports the processor time too: on a busy machine wall time says little.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
