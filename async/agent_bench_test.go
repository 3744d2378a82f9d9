package async_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/proxy"
)

// A feed delivers one request over and over, n times.
type feed struct {
	n   int
	req *proxy.Request
}

func (f *feed) Receive(context.Context) (async.Message, error) {
	if f.n == 0 {
		return async.Message{}, io.EOF
	}
	f.n--
	return async.Message{ID: "1", Request: f.req, Ack: func(context.Context) error { return nil }}, nil
}

func newFeed(n int) *feed {
	req := proxy.NewRequest("POST", "/orders")
	req.Header.Set("X-Tenant", "a")
	req.SetBody("application/json", make([]byte, 1024))
	return &feed{n: n, req: req}
}

func BenchmarkAgent(b *testing.B) {
	b.ReportAllocs()
	a, err := async.New(async.Spec{Source: newFeed(b.N), Proxy: ok})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer() // one Run processes all messages, so there is no b.Loop
	if err := a.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkByHand is the peer: a loop that gives each message a deadline that holds, recovers, and
// acknowledges.
func BenchmarkByHand(b *testing.B) {
	b.ReportAllocs()
	f := newFeed(b.N)
	for {
		m, err := f.Receive(b.Context())
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		done := make(chan error, 1)
		req, err := m.Request.Clone()
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			defer func() {
				if v := recover(); v != nil {
					done <- io.ErrUnexpectedEOF
				}
			}()
			res, err := ok(ctx, req)
			_ = res.Close()
			done <- err
		}()
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		cancel()
		if err == nil {
			err = m.Ack(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
