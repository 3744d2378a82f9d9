package adapter_test

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

// A certificate that is replaced while the server runs: crypto/tls asks GetCertificate at each
// handshake, and a runner reads the files again once an hour.
func ExampleServer_certificateReload() {
	var current atomic.Pointer[tls.Certificate]
	load := func() error {
		cert, err := tls.LoadX509KeyPair("tls.crt", "tls.key")
		if err == nil {
			current.Store(&cert)
		}
		return err
	}
	if err := load(); err != nil {
		log.Fatal(err)
	}
	reload := adapter.RunnerFunc(func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Hour):
			}
			if err := load(); err != nil {
				slog.Error("certificate not reloaded", "error", err) // the old one is still good
			}
		}
	})
	err := adapter.Run(context.Background(), adapter.Server{
		Addr:    ":8443",
		Handler: http.NotFoundHandler(),
		TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return current.Load(), nil
		}},
		ErrorLog: slog.NewLogLogger(slog.NewJSONHandler(os.Stderr, nil), slog.LevelWarn),
		HTTP:     func(s *http.Server) { s.DisableGeneralOptionsHandler = true }, // any other field of http.Server
	}, reload)
	if err != nil {
		log.Fatal(err)
	}
}
