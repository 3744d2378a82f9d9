package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A CertificateName says where in a certificate the name of its owner is found.
type CertificateName int

// The places of a name. The first three are in the SubjectAltName (RFC 5280, section 4.2.1.6).
const (
	CertificateURI   CertificateName = iota // such as a SPIFFE ID
	CertificateDNS                          // a host name
	CertificateEmail                        // an address of mail
	CertificateCN                           // the common name of the subject
)

var certificateNames = [...]string{"URI", "DNS", "email", "CN"}

// String returns "URI", "DNS", "email" or "CN".
func (n CertificateName) String() string {
	if n < 0 || int(n) >= len(certificateNames) {
		return "unknown"
	}
	return certificateNames[n]
}

// of returns the names of that kind in a certificate.
func (n CertificateName) of(c *x509.Certificate) []string {
	switch n {
	case CertificateURI:
		names := make([]string, len(c.URIs))
		for i, u := range c.URIs {
			names[i] = u.String()
		}
		return names
	case CertificateDNS:
		return c.DNSNames
	case CertificateEmail:
		return c.EmailAddresses
	case CertificateCN:
		return []string{c.Subject.CommonName}
	}
	return nil
}

// Certificates returns an [Authenticator] for the TLS certificates of clients. Only a certificate that the
// server has verified counts. So the server's tls.Config needs a ClientAuth of tls.VerifyClientCertIfGiven
// or tls.RequireAndVerifyClientCert, and the ClientCAs that it trusts. With any other certificate the
// request has no credential of this kind. The connection is the one to this process: behind a proxy that
// ends TLS, the certificate is the proxy's.
//
// names says where the ID of the caller is, in order of preference; none means the URI. The first kind of
// name that the certificate has is used. A certificate without any, or with two names of that kind, is
// refused with 401, because it does not say whose it is. So is one that has expired while its connection is
// open.
//
// The Scheme of the caller is "certificate". Its Issuer is the distinguished name of the certificate's
// issuer, its Claims have "sub", the ID, and Expires is when the certificate ends. The challenge is
// "Certificate"; that scheme is not registered. An unknown CertificateName is a fault in the plan.
func Certificates(names ...CertificateName) Authenticator {
	if len(names) == 0 {
		names = []CertificateName{CertificateURI}
	}
	var texts []string
	var errs []error
	for _, name := range names {
		texts = append(texts, name.String())
		if name.String() == "unknown" {
			errs = append(errs, fmt.Errorf("auth: Certificates: there is no CertificateName %d", int(name)))
		}
	}
	return &certificates{names: append([]CertificateName(nil), names...), step: pipe.Step{Kind: "certificate",
		Detail: strings.Join(texts, ", "), Source: pipe.Here(), Err: errors.Join(errs...)}}
}

type certificates struct {
	names []CertificateName
	step  pipe.Step
}

// Mark says that the authenticator is ours.
func (*certificates) Mark() mark.Type { return mark.TypeOf[*certificates]() }

func (c *certificates) Plan() pipe.Step { return c.step }

func (c *certificates) Challenge(error) string { return "Certificate" }

func (c *certificates) Authenticate(_ context.Context, req *proxy.Request) (*proxy.Caller, error) {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 || len(req.TLS.VerifiedChains[0]) == 0 {
		return nil, nil
	}
	leaf := req.TLS.VerifiedChains[0][0]
	if !time.Now().Before(leaf.NotAfter) {
		return nil, unauthorized("certificate", errExpired)
	}
	id, err := c.idOf(leaf)
	if err != nil {
		return nil, unauthorized("certificate", err)
	}
	return &proxy.Caller{Issuer: leaf.Issuer.String(), ID: id, Scheme: "certificate", Claims: claimsOf(id, nil), Expires: leaf.NotAfter}, nil
}

var (
	errNoName   = errors.New("the certificate has no name of its owner")
	errTwoNames = errors.New("the certificate has several names of its owner")
)

func (c *certificates) idOf(leaf *x509.Certificate) (string, error) {
	for _, name := range c.names {
		switch of := name.of(leaf); {
		case len(of) > 1:
			return "", errTwoNames
		case len(of) == 1 && of[0] != "":
			return of[0], nil
		}
	}
	return "", errNoName
}
