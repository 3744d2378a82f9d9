package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

// certificate returns a certificate that ends in an hour.
func certificate(uris, hosts, mails []string, cn string) *x509.Certificate {
	c := &x509.Certificate{DNSNames: hosts, EmailAddresses: mails, Subject: pkix.Name{CommonName: cn},
		Issuer: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour)}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, u)
	}
	return c
}

func over(state *tls.ConnectionState) *proxy.Request {
	req := get()
	req.TLS = state
	return req
}

func verified(c *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
}

func TestCertificatesNameTheirOwner(t *testing.T) {
	t.Parallel()
	spiffe := []string{"spiffe://shop.test/orders"}
	tests := []struct {
		name  string
		names []auth.CertificateName
		of    *x509.Certificate
		id    string // "" is 401
	}{
		{name: "URI", of: certificate(spiffe, []string{"a.test"}, nil, "cn"), id: "spiffe://shop.test/orders"},
		{name: "DNS", names: []auth.CertificateName{auth.CertificateDNS}, of: certificate(spiffe, []string{"a.test"}, nil, "cn"), id: "a.test"},
		{name: "email", names: []auth.CertificateName{auth.CertificateEmail}, of: certificate(nil, nil, []string{"ada@a.test"}, "cn"), id: "ada@a.test"},
		{name: "CN", names: []auth.CertificateName{auth.CertificateCN}, of: certificate(spiffe, nil, nil, "cn"), id: "cn"},
		{name: "the first of several kinds", names: []auth.CertificateName{auth.CertificateURI, auth.CertificateCN}, of: certificate(nil, nil, nil, "cn"), id: "cn"},
		{name: "none of the kind", of: certificate(nil, []string{"a.test"}, nil, "cn")},
		{name: "two", of: certificate([]string{"spiffe://a/b", "spiffe://a/c"}, nil, nil, "cn")},
		{name: "two, and one of another kind", names: []auth.CertificateName{auth.CertificateDNS, auth.CertificateCN}, of: certificate(nil, []string{"a", "b"}, nil, "cn")},
		{name: "an empty CN", names: []auth.CertificateName{auth.CertificateCN}, of: certificate(nil, nil, nil, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := through(t.Context(), over(verified(tt.of)), auth.Require(auth.Certificates(tt.names...)), auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}))
			if tt.id == "" {
				assert.Nil(t, req)
				assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
				assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.id, req.Caller.ID)
			assert.Equal(t, "CN=CA", req.Caller.Issuer)
			assert.Equal(t, "certificate", req.Caller.Scheme)
			assert.Equal(t, tt.of.NotAfter, req.Caller.Expires)
			assert.Equal(t, http.Header{"X-User": {tt.id}}, req.Upstream)
		})
	}
}

func TestOnlyAVerifiedCertificateCounts(t *testing.T) {
	t.Parallel()
	c := certificate([]string{"spiffe://shop.test/orders"}, nil, nil, "")
	for name, state := range map[string]*tls.ConnectionState{
		"no TLS":              nil,
		"no certificate":      {},
		"not verified":        {PeerCertificates: []*x509.Certificate{c}},
		"an empty chain":      {PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{}}},
		"no chain was found":  {PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{}},
		"resumed without one": {DidResume: true},
	} {
		req, err := through(t.Context(), over(state), auth.Require(auth.Certificates()))
		assert.Nil(t, req, name)
		assert.ErrorIs(t, err, auth.ErrNoCredentials, name)
		assert.Equal(t, []string{"Certificate"}, headerOf(t, err)["Www-Authenticate"])
	}
}

func TestACertificateEndsWhileItsConnectionIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		state := verified(certificate([]string{"spiffe://shop.test/orders"}, nil, nil, ""))
		_, err := through(t.Context(), over(state), auth.Require(auth.Certificates()))
		assert.NoError(t, err)
		<-time.After(time.Hour)
		_, err = through(t.Context(), over(state), auth.Require(auth.Certificates()))
		assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
	})
}

func TestACertificateNameThatIsNoneIsAFault(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, faultsOf(auth.Require(auth.Certificates(7))), "auth: Certificates: there is no CertificateName 7")
}
