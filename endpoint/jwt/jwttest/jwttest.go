// Package jwttest has an issuer of tokens in memory, for tests of code that verifies tokens, and for
// demonstrations.
//
//	issuer, err := jwttest.NewIssuer("ES256")
//	server := httptest.NewServer(issuer) // answers each request with the key set
//	token, err := issuer.Sign(map[string]any{"iss": "https://id.test", "sub": "ada", "exp": exp})
package jwttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// An Issuer signs tokens with keys of its own, and publishes the public keys. It stores nothing: its keys
// are new each time. It is safe for concurrent use. [NewIssuer] makes one.
type Issuer struct {
	algorithm string

	mu     sync.Mutex        // guards what follows
	keys   []jose.JSONWebKey // private, the newest one last
	signer jose.Signer
}

// NewIssuer returns an issuer with one key. The algorithm is ES256, ES384, ES512, EdDSA, or one of the
// RS and PS ones, for which the key has 2048 bits.
func NewIssuer(algorithm string) (*Issuer, error) {
	i := &Issuer{algorithm: algorithm}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	return i, nil
}

// Rotate makes a new key, which signs from now on. The set keeps the earlier keys.
func (i *Issuer) Rotate() error {
	private, err := generate(i.algorithm)
	if err != nil {
		return err
	}
	key := jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: i.algorithm, Use: "sig"}
	signing := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(i.algorithm), Key: key}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return fmt.Errorf("jwttest: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys, i.signer = append(i.keys, key), signer
	return nil
}

// Retire removes all keys but the newest from the set.
func (i *Issuer) Retire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("jwttest: %q is no algorithm of an issuer", algorithm)
}

// Sign returns a token with these claims, which are encoded with encoding/json. It adds no claims: a valid
// token needs an exp, and whatever its reader requires.
func (i *Issuer) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("jwttest: %w", err)
	}
	i.mu.Lock()
	signer := i.signer
	i.mu.Unlock()
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("jwttest: %w", err)
	}
	return signed.CompactSerialize()
}

// KeyID returns the kid of the key that signs.
func (i *Issuer) KeyID() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1].KeyID
}

// Signer returns the private key that signs, for tokens that Sign does not make.
func (i *Issuer) Signer() crypto.Signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1].Key.(crypto.Signer)
}

// KeySet returns the public keys as a JWK set in JSON (RFC 7517).
func (i *Issuer) KeySet() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(i.keys))}
	for n, key := range i.keys {
		set.Keys[n] = key.Public()
	}
	text, err := json.Marshal(set)
	if err != nil {
		panic("jwttest: " + err.Error()) // the keys are our own
	}
	return text
}

// ServeHTTP answers each request with the key set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(i.KeySet())
}
