package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"github.com/sluice-go/sluice/adapter"
)

// secured is how the API is served by TLS; the zero value serves it without.
type secured struct {
	certs *adapter.Certificates
	http3 bool
}

func loadTLS(o options, log *slog.Logger) (*secured, error) {
	if o.cert == "" {
		return &secured{}, nil
	}
	spec := adapter.CertificatesSpec{
		Pairs:  []adapter.CertificatePair{{Certificate: o.cert, Key: o.key}},
		Report: func(err error) { log.Error("certificates", "error", err) },
	}
	if o.clientCA != "" {
		spec.ClientCAs = []string{o.clientCA}
	}
	certs, err := adapter.LoadCertificates(spec)
	return &secured{certs, o.http3}, err
}

// config returns the configuration of TLS, or nil.
func (s *secured) config() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return s.certs.TLS(nil)
}

// altSvc tells clients where HTTP/3 is.
func (s *secured) altSvc(next http.Handler) http.Handler { return next }

// runners are what runs beside the server of the API.
func (s *secured) runners(h http.Handler, public net.Listener) []adapter.Runner {
	if s.certs == nil {
		return nil
	}
	return []adapter.Runner{s.certs}
}
