package jwt

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A binding says with which keys of the client a token is valid (RFC 7800). Both are SHA-256, and nil
// binds to nothing.
type binding struct {
	certificate []byte // of the certificate (RFC 8705, section 3.1)
	proof       []byte // the thumbprint of the key of the proof (RFC 9449, section 6.1)
}

var (
	errBinding     = errors.New("the claim cnf binds the token in another way than by x5t#S256 and jkt")
	errCertificate = errors.New("the token is bound to another certificate than the verified one of the connection")
	errNoDPoP      = errors.New("the token is bound to a DPoP proof, which is not accepted here")
	errNotDPoP     = errors.New("the token is bound to a DPoP proof, and the scheme is not DPoP")
	errUnbound     = errors.New("the token is not bound to a DPoP proof")
)

// bindingOf returns what the claim cnf says. A member that nobody here understands could be the one
// that matters, so it is an error.
func bindingOf(cnf document.Document) (binding, error) {
	if cnf.IsZero() {
		return binding{}, nil
	}
	if cnf.Kind() != document.Object || cnf.Len() == 0 {
		return binding{}, errBinding
	}
	var b binding
	for name, value := range cnf.Members() {
		text, _ := value.Text()
		sum, err := strict.DecodeString(text)
		if value.Kind() != document.String || err != nil || len(sum) != sha256.Size {
			return binding{}, errBinding
		}
		switch name {
		case "x5t#S256":
			b.certificate = sum
		case "jkt":
			b.proof = sum
		default:
			return binding{}, errBinding
		}
	}
	return b, nil
}

// holds returns an error unless the client has shown the keys that its token is bound to.
func (t *Tokens) holds(ctx context.Context, req *proxy.Request, p presented, sum digest, c *credential, now time.Time) error {
	if c.bound.certificate != nil {
		if err := certified(req, c.bound.certificate); err != nil {
			return invalid(err)
		}
	}
	switch {
	case c.bound.proof != nil && t.proofs == nil:
		return invalid(errNoDPoP)
	case c.bound.proof != nil && p.how != byDPoP:
		return invalid(errNotDPoP)
	case c.bound.proof != nil:
		return t.proofs.check(ctx, req, sum, c, now)
	case p.how == byDPoP, t.proofs != nil && t.proofs.spec.Required:
		return invalid(errUnbound)
	}
	return nil
}

// certified returns an error unless the connection has a certificate of this SHA-256. It must have
// been verified: anybody can show one that was not.
func certified(req *proxy.Request, want []byte) error {
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 || len(req.TLS.VerifiedChains[0]) == 0 {
		return fmt.Errorf("%w: there is none", errCertificate)
	}
	sum := sha256.Sum256(req.TLS.VerifiedChains[0][0].Raw)
	if subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return errCertificate
	}
	return nil
}
