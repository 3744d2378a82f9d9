package adapter_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

// The cost of counting requests and connections, compared with a server of net/http with the same
// timeouts.
func BenchmarkServer(b *testing.B) {
	servers := map[string]func(ctx context.Context, l *memory) error{
		"net/http": func(ctx context.Context, l *memory) error {
			s := &http.Server{Handler: ok, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute} // timers cost too
			defer context.AfterFunc(ctx, func() { s.Close() })()
			return s.Serve(l)
		},
		"adapter": func(ctx context.Context, l *memory) error {
			return adapter.Run(ctx, adapter.Server{Listener: l, Handler: ok})
		},
	}
	for name, serve := range servers {
		b.Run(name, func(b *testing.B) {
			l := newMemory("public")
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- serve(ctx, l) }()
			c := l.client(b)
			b.ReportAllocs()
			for b.Loop() {
				res, err := c.Get("http://public/")
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			c.CloseIdleConnections()
			cancel()
			<-done
		})
	}
}
