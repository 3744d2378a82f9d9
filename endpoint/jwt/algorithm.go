package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// A family is a kind of keys that some algorithms have in common.
type family int

const (
	hmacKeys family = iota + 1
	rsaKeys
	ecKeys
	edKeys
)

// An algorithm is one of RFC 7518, section 3, or RFC 8037.
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // of ecKeys
	pss    bool
}

// algorithms returns all algorithms. "none" is not among them.
func algorithms() []algorithm {
	return []algorithm{
		{name: "HS256", family: hmacKeys, hash: crypto.SHA256},
		{name: "HS384", family: hmacKeys, hash: crypto.SHA384},
		{name: "HS512", family: hmacKeys, hash: crypto.SHA512},
		{name: "RS256", family: rsaKeys, hash: crypto.SHA256},
		{name: "RS384", family: rsaKeys, hash: crypto.SHA384},
		{name: "RS512", family: rsaKeys, hash: crypto.SHA512},
		{name: "PS256", family: rsaKeys, hash: crypto.SHA256, pss: true},
		{name: "PS384", family: rsaKeys, hash: crypto.SHA384, pss: true},
		{name: "PS512", family: rsaKeys, hash: crypto.SHA512, pss: true},
		{name: "ES256", family: ecKeys, hash: crypto.SHA256, curve: elliptic.P256()},
		{name: "ES384", family: ecKeys, hash: crypto.SHA384, curve: elliptic.P384()},
		{name: "ES512", family: ecKeys, hash: crypto.SHA512, curve: elliptic.P521()},
		{name: "EdDSA", family: edKeys},
	}
}

// algorithmOf returns the algorithm of a name.
func algorithmOf(name string) (algorithm, bool) {
	all := algorithms()
	i := slices.IndexFunc(all, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return all[i], true
}

const (
	minRSA = 2048 // bits (RFC 7518, section 3.3)
	maxRSA = 8192 // more would make each token expensive
)

// verifiers returns, by the name of the algorithm, what go-jose verifies a signature with. Without
// alg it has all algorithms that the key can be used for, and with alg that one, if it can.
func verifiers(material any, alg string) (map[string]any, error) {
	fits, err := fitsOf(material)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, a := range algorithms() {
		if alg != "" && a.name != alg || !fits(a) {
			continue
		}
		all[a.name] = material
		if a.pss {
			all[a.name] = pss{material.(*rsa.PublicKey), a.hash}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the key is not one for the alg %q", alg)
	}
	return all, nil
}

// fitsOf returns which algorithms a key can be used for. A key that is too weak, or that is no key, is
// an error.
func fitsOf(material any) (func(algorithm) bool, error) {
	switch k := material.(type) {
	case []byte:
		if len(k) < crypto.SHA256.Size() {
			return nil, fmt.Errorf("a secret of %d bytes, want 32 or more", len(k))
		}
		return func(a algorithm) bool { return a.family == hmacKeys && len(k) >= a.hash.Size() }, nil
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			return nil, errNoKey
		}
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits, want %d to %d", bits, minRSA, maxRSA)
		}
		if k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0 {
			return nil, errors.New("an RSA key with an even modulus, or an exponent that is even or 1")
		}
		return func(a algorithm) bool { return a.family == rsaKeys }, nil
	case *ecdsa.PublicKey:
		//lint:ignore SA1019 Bytes panics without coordinates
		if k == nil || k.Curve == nil || k.X == nil || k.Y == nil {
			return nil, errNoKey
		}
		if _, err := k.Bytes(); err != nil {
			return nil, err // the point is not on the curve
		}
		return func(a algorithm) bool { return a.family == ecKeys && a.curve == k.Curve }, nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, errNoKey
		}
		return func(a algorithm) bool { return a.family == edKeys }, nil
	}
	return nil, fmt.Errorf("a key of the type %T, want *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey", material)
}

var errNoKey = errors.New("the key is empty")

// A pss verifies signatures of RSASSA-PSS whose salt is as long as the hash, as RFC 7518, section
// 3.5, wants it. go-jose accepts any length.
type pss struct {
	key  *rsa.PublicKey
	hash crypto.Hash
}

// VerifyPayload implements jose.OpaqueVerifier.
func (p pss) VerifyPayload(payload, signature []byte, _ jose.SignatureAlgorithm) error {
	h := p.hash.New()
	_, _ = h.Write(payload)
	return rsa.VerifyPSS(p.key, p.hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}
