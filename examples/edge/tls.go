package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/adapter/http3"
)

// secured is how the API is served by TLS; the zero value serves it without.
type secured struct {
	certs *adapter.Certificates
	http3 *http3.Server
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
	return &secured{certs: certs}, err
}

// config returns the configuration of TLS, or nil.
func (s *secured) config() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return s.certs.TLS(nil)
}

// serve has HTTP/3 serve h at the port of the listener, and returns what serves h over TCP, which tells
// clients of that.
func (s *secured) serve(h http.Handler, public net.Listener, log *slog.Logger) (over http.Handler, err error) {
	conn, err := net.ListenPacket("udp", public.Addr().String())
	if err != nil {
		return nil, err
	}
	if s.http3, err = http3.New(http3.Spec{Conn: conn, Handler: h, TLS: s.config(), Logger: log}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s.http3.AltSvc(h), nil
}

// runners are what runs beside the server of the API.
func (s *secured) runners() []adapter.Runner {
	var all []adapter.Runner
	if s.certs != nil {
		all = append(all, s.certs)
	}
	if s.http3 != nil {
		all = append(all, s.http3)
	}
	return all
}
