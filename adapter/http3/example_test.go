package http3_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/adapter/http3"
)

// One router over TCP and over QUIC, with certificates that are read again when they change, and one
// stop for all.
func ExampleNew() {
	router := http.NotFoundHandler() // a chi router with endpoints

	certs, err := adapter.LoadCertificates(adapter.CertificatesSpec{
		Pairs:  []adapter.CertificatePair{{Certificate: "tls.crt", Key: "tls.key"}},
		Report: func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fast, err := http3.New(http3.Spec{Addr: ":443", Handler: router, TLS: certs.TLS(nil)})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = adapter.Run(ctx, adapter.Server{Addr: ":443", Handler: fast.AltSvc(router), TLS: certs.TLS(nil)}, fast, certs)
	if err != nil {
		log.Fatal(err)
	}
}
