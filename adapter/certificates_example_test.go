package adapter_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-go/sluice/adapter"
)

// A server with two certificates and clients that may show theirs.
func ExampleLoadCertificates() {
	certs, err := adapter.LoadCertificates(adapter.CertificatesSpec{
		Pairs: []adapter.CertificatePair{
			{Certificate: "shop.crt", Key: "shop.key"},
			{Certificate: "api.crt", Key: "api.key"},
		},
		ClientCAs: []string{"partners.pem"},
		Report:    func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := adapter.Server{Addr: ":443", TLS: certs.TLS(nil), Handler: http.NotFoundHandler()}
	if err := adapter.Run(ctx, server, certs); err != nil {
		log.Fatal(err)
	}
}
