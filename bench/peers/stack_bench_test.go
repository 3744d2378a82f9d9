package peers

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

const (
	inAll    = 2 * time.Second
	eachTry  = 300 * time.Millisecond
	tries    = 3
	inFlight = 64
	calls    = 20 // the least that opens a breaker, if half of them fail
	window   = 10 * time.Second
	open     = 5 * time.Second
)

// sluiceStack is what the benchmark measures: an upstream with a timeout for all tries, retries, a breaker, a
// limit of concurrent calls, and a timeout for each try.
func sluiceStack(upstream proxy.Proxy) proxy.Proxy {
	return upstream.With(
		policy.Timeout(inAll),
		policy.Retry(policy.Attempts{Max: tries}),
		policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: calls, Window: window, Open: open})),
		policy.InFlight(inFlight),
		policy.Timeout(eachTry),
	)
}

// failsafeStack is the same with failsafe-go.
func failsafeStack(upstream proxy.Proxy) proxy.Proxy {
	executor := failsafe.With(
		timeout.New[*proxy.Response](inAll),
		retrypolicy.NewBuilder[*proxy.Response]().WithMaxAttempts(tries).WithBackoff(50*time.Millisecond, time.Second).
			WithJitterFactor(0.5).WithBudget(budget.New()).ReturnLastFailure().Build(),
		circuitbreaker.NewBuilder[*proxy.Response]().WithFailureRateThreshold(0.5, calls, window).WithDelay(open).Build(),
		bulkhead.New[*proxy.Response](inFlight),
		timeout.New[*proxy.Response](eachTry),
	)
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		return executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*proxy.Response]) (*proxy.Response, error) {
			return upstream(e.Context(), req)
		})
	}
}

var errFull = errors.New("too many calls")

// handmadeStack is the same without a library but gobreaker, and without a budget.
func handmadeStack(upstream proxy.Proxy) proxy.Proxy {
	slots := make(chan struct{}, inFlight)
	breaker := gobreaker.NewCircuitBreaker[*proxy.Response](gobreaker.Settings{
		Interval: window, BucketPeriod: window / 10, Timeout: open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= calls && c.TotalFailures*2 >= c.Requests },
	})
	try := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return nil, errFull
		}
		ctx, cancel := context.WithTimeout(ctx, eachTry)
		defer cancel()
		return upstream(ctx, req)
	}
	return func(ctx context.Context, req *proxy.Request) (res *proxy.Response, err error) {
		ctx, cancel := context.WithTimeout(ctx, inAll)
		defer cancel()
		for n := range tries {
			if n > 0 {
				select {
				case <-time.After(50 * time.Millisecond << n):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			res, err = breaker.Execute(func() (*proxy.Response, error) { return try(ctx, req) })
			if err == nil {
				return res, nil
			}
		}
		return nil, err
	}
}

// BenchmarkStack measures what five policies cost a call that passes. It goes to an upstream that answers at
// once, to one that waits for the end of its context as well, which needs timers, or to one behind loopback.
func BenchmarkStack(b *testing.B) {
	url, transport := loopback(b)
	behind := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "upstream", URL: url}))
	for _, upstream := range []struct {
		name string
		p    proxy.Proxy
	}{{"at once", leaf(answers)}, {"waits", leaf(waits)}, {"loopback", behind}} {
		for _, stack := range []struct {
			name string
			p    proxy.Proxy
		}{
			{"bare", upstream.p},
			{"sluice", sluiceStack(upstream.p)},
			{"failsafe-go", failsafeStack(upstream.p)},
			{"by hand", handmadeStack(upstream.p)},
		} {
			b.Run(upstream.name+"/"+stack.name, func(b *testing.B) { passes(b, stack.p) })
		}
	}
}

// loopback starts an upstream that answers with 20 KB of JSON, fresh for an hour. It returns its URL, and a
// transport.
func loopback(b *testing.B) (url string, transport *http.Transport) {
	item := `{"id":4711,"name":"item number 4711","price":47.11},`
	body := []byte(`{"items":[` + strings.Repeat(item, 20_000/len(item)) + `null]}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = w.Write(body)
	}))
	transport = backend.NewTransport()
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return server.URL, transport
}

// passes measures a call that passes, in a context as a server gives.
func passes(b *testing.B, p proxy.Proxy) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	req := proxy.NewRequest(http.MethodGet, "/")
	measure(b, func() {
		res, err := p(ctx, req)
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Close()
	})
}
