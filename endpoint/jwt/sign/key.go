package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Key is a signing key. It has a Private or, for HMAC, a Secret.
type Key struct {
	// ID is the kid in the header of what is signed. If there is more than one key, each must have an ID,
	// and no two the same.
	ID string

	// Algorithm is RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA, or with a Secret
	// HS256, HS384 or HS512. It must fit the key. There is no default.
	Algorithm string

	// Private signs. It is an *rsa.PrivateKey of 2048 bits or more, an *ecdsa.PrivateKey, an
	// ed25519.PrivateKey, or a signer of your own with a public key of these types, such as one that asks a
	// KMS. It is called concurrently.
	Private crypto.Signer

	// Secret is the secret of HMAC, at least as long as the hash. Every reader of the signature has the
	// secret and can sign too. It must not be changed afterwards, and is never published.
	Secret []byte
}

// ParseKey returns the key of a private JWK (RFC 7517), with its kid and alg. The error never contains a
// part of the text.
func ParseKey(jwk []byte) (Key, error) {
	doc, err := document.Parse(jwk)
	if err != nil || doc.Kind() != document.Object || doc.Repeats() {
		return Key{}, errors.New("sign: ParseKey: not an object of JSON that has each name once")
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(jwk); err != nil {
		return Key{}, errors.New("sign: ParseKey: not a JWK")
	}
	if k.Use != "" && k.Use != "sig" {
		return Key{}, errors.New("sign: ParseKey: the use of the key is not sig")
	}
	key := Key{ID: k.KeyID, Algorithm: k.Algorithm}
	switch material := k.Key.(type) {
	case []byte:
		key.Secret = material
	case crypto.Signer:
		key.Private = material
	default:
		return Key{}, errors.New("sign: ParseKey: the key is not private")
	}
	return key, nil
}

// A signer is a key that was checked.
type signer struct {
	id        string
	algorithm jose.SignatureAlgorithm
	secret    []byte        // nil with a private key
	private   crypto.Signer // nil with a secret
	public    crypto.PublicKey
	hash      crypto.Hash // 0 is none
	code      bool        // private is code of a user
}

// newSigner checks a key. What a signature is verified with must accept it, so the rules are those of
// package jwt.
func newSigner(k Key) (s *signer, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, errors.New("its Private panics, as a nil pointer does")
		}
	}()
	switch {
	case k.Private != nil && k.Secret != nil:
		return nil, errors.New("it has both a Private and a Secret")
	case k.Private == nil && k.Secret == nil:
		return nil, errors.New("it has neither a Private nor a Secret")
	case k.Algorithm == "":
		return nil, errors.New("it has no Algorithm")
	}
	s = &signer{id: k.ID, algorithm: jose.SignatureAlgorithm(k.Algorithm), secret: k.Secret, private: k.Private, hash: hashOf(k.Algorithm)}
	if k.Private != nil {
		s.public = k.Private.Public()
	}
	if err := jwt.StaticKeys(jwt.Key{ID: k.ID, Algorithm: k.Algorithm, Public: s.public, Secret: k.Secret}).Fault(); err != nil {
		return nil, err
	}
	switch k.Private.(type) {
	case nil, *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return s, s.try()
	}
	s.code = true
	return s, nil
}

// try signs something, and verifies it.
func (s *signer) try() error {
	text, err := s.sign([]byte("{}"), "JWT")
	if err != nil {
		return err
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{s.algorithm})
	if err != nil {
		return err
	}
	var key any = s.public
	if s.secret != nil {
		key = s.secret
	}
	if _, err := signed.Verify(key); err != nil {
		return errors.New("its two halves do not belong together")
	}
	return nil
}

func hashOf(algorithm string) crypto.Hash {
	switch algorithm {
	case "HS256", "RS256", "PS256", "ES256":
		return crypto.SHA256
	case "HS384", "RS384", "PS384", "ES384":
		return crypto.SHA384
	case "HS512", "RS512", "PS512", "ES512":
		return crypto.SHA512
	}
	return 0
}

// sign returns a JWS in compact form.
func (s *signer) sign(payload []byte, typ string) (string, error) {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if s.id != "" {
		options = options.WithHeader("kid", s.id)
	}
	var key any = s
	if s.secret != nil {
		key = s.secret
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: key}, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Public implements jose.OpaqueSigner.
func (s *signer) Public() *jose.JSONWebKey { return &jose.JSONWebKey{Key: s.public} }

// Algs implements jose.OpaqueSigner.
func (s *signer) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{s.algorithm} }

// SignPayload implements jose.OpaqueSigner. That of go-jose for a crypto.Signer takes the longest salt
// that fits for PS, and RFC 7518, section 3.5, wants one that is as long as the hash.
func (s *signer) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	if s.hash == 0 { // EdDSA
		return s.private.Sign(rand.Reader, payload, s.hash)
	}
	h := s.hash.New()
	_, _ = h.Write(payload)
	var options crypto.SignerOpts = s.hash
	if s.algorithm[0] == 'P' {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	signature, err := s.private.Sign(rand.Reader, h.Sum(nil), options)
	if curve, ok := s.public.(*ecdsa.PublicKey); ok && err == nil {
		return fixed(signature, (curve.Params().BitSize+7)/8)
	}
	return signature, err
}

// fixed returns the two numbers of a signature of ECDSA in their fixed length (RFC 7518, section 3.4).
func fixed(signature []byte, size int) ([]byte, error) {
	var n struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &n)
	if err != nil || len(rest) > 0 || n.R.Sign() <= 0 || n.S.Sign() <= 0 || n.R.BitLen() > 8*size || n.S.BitLen() > 8*size {
		return nil, fmt.Errorf("the signer has returned %d bytes that are no signature of ECDSA", len(signature))
	}
	out := make([]byte, 2*size)
	n.R.FillBytes(out[:size])
	n.S.FillBytes(out[size:])
	return out, nil
}
