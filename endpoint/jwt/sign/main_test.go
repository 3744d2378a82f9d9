package sign_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// privateKey returns a new key for an algorithm.
func privateKey(t testing.TB, algorithm string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(t, err)
	return key
}

// newKeys returns keys that must be right.
func newKeys(t testing.TB, keys ...sign.Key) *sign.Keys {
	t.Helper()
	k := sign.NewKeys(keys...)
	require.NoError(t, k.Fault())
	return k
}

// answers is a proxy that answers with a document.
func answers(text string) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{}, Document: document.MustParse(text)}, nil
	}
}

// A kms is a signer that the package does not know.
type kms struct{ crypto.Signer }

// A panicKMS is one with a bug.
type panicKMS struct{ kms }

func (panicKMS) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("bug") }
