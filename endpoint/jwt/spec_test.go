package jwt_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
)

func TestNewRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	secret := jwt.StaticKeys(jwt.Key{Secret: make([]byte, 32)})
	public := jwt.ParseKeys(newIssuer(t, "ES256").KeySet())
	remote := &jwt.Keys{URL: "https://id.test/"}
	for _, tt := range []struct {
		name   string
		change func(*jwt.Spec)
		want   string
	}{
		{"no keys", func(s *jwt.Spec) { s.Keys = nil }, "jwt: Keys: they are nil"},
		{"bad keys", func(s *jwt.Spec) { s.Keys = &jwt.Keys{} }, "jwt: Keys: the URL is not one of http or https with a host"},
		{"no issuer", func(s *jwt.Spec) { s.Issuer = "" }, "jwt: New: there is no Issuer; AnyIssuer says that any will do"},
		{"no audience", func(s *jwt.Spec) { s.Audience = nil }, "jwt: New: there is no Audience; AnyAudience says that any will do"},
		{"an empty audience", func(s *jwt.Spec) { s.Audience = []string{""} }, "jwt: New: an Audience is empty"},
		{"any audience and another", func(s *jwt.Spec) { s.Audience = []string{"*", "a"} }, "jwt: New: AnyAudience stands beside another Audience"},
		{"no algorithms", func(s *jwt.Spec) { s.Algorithms = nil }, "jwt: New: there are no Algorithms"},
		{"alg none", func(s *jwt.Spec) { s.Algorithms = []string{"none"} }, `jwt: New: "none" is none of the Algorithms that there are`},
		{"HMAC beside public keys", func(s *jwt.Spec) { s.Keys, s.Algorithms = secret, []string{"HS256", "ES256"} },
			"jwt: New: the Algorithms are for secrets and for public keys: a public key could be taken for a secret"},
		{"HMAC with a URL", func(s *jwt.Spec) { s.Keys, s.Algorithms = remote, []string{"HS256"} }, "jwt: New: HMAC needs a secret, and the keys of a URL are none"},
		{"HMAC with a public key", func(s *jwt.Spec) { s.Algorithms = []string{"HS256"} }, "jwt: New: no key is for one of the Algorithms"},
		{"a key of another curve", func(s *jwt.Spec) { s.Algorithms = []string{"ES384"} }, "jwt: New: no key is for one of the Algorithms"},
		{"a secret that is too short", func(s *jwt.Spec) { s.Keys, s.Algorithms = secret, []string{"HS512"} }, "jwt: New: no key is for one of the Algorithms"},
		{"leeway", func(s *jwt.Spec) { s.Leeway = time.Hour }, "jwt: New: Leeway is 1h0m0s, want 5m0s or less"},
		{"roles", func(s *jwt.Spec) { s.Roles = "a..b" }, `jwt: New: Roles: document: path "a..b"`},
		{"scopes", func(s *jwt.Spec) { s.Scopes = `\x` }, `jwt: New: Scopes: document: path "\\x"`},
		{"origins without a cookie", func(s *jwt.Spec) { s.Origins = []string{"https://shop.test"} }, "jwt: New: there are Origins and no Cookie"},
		{"an origin that is none", func(s *jwt.Spec) { s.Cookie, s.Origins = "session", []string{"https://shop.test/"} },
			`jwt: New: Origins: "https://shop.test/": want scheme://host or scheme://host:port`},
		{"cookie", func(s *jwt.Spec) { s.Cookie = "a b" }, `jwt: New: Cookie "a b" is no name of a cookie`},
		{"realm", func(s *jwt.Spec) { s.Realm = "a\"\n" }, `jwt: New: Realm "a\"\n" has other characters than printable ASCII, or a quote or backslash`},
		{"proofs by HMAC", func(s *jwt.Spec) { s.DPoP = &jwt.DPoP{Algorithms: []string{"HS256"}} }, `jwt: New: DPoP: "HS256" is none of the Algorithms that there are for proofs`},
		{"proofs by nothing", func(s *jwt.Spec) { s.DPoP = &jwt.DPoP{Algorithms: []string{}} }, `jwt: New: DPoP: the Algorithms are empty`},
		{"old proofs", func(s *jwt.Spec) { s.DPoP = &jwt.DPoP{Age: 2 * time.Hour} }, `jwt: New: DPoP: Age is 2h0m0s, want more than 0 and no more than 1h0m0s`},
		{"fewer than no proofs", func(s *jwt.Spec) { s.DPoP = &jwt.DPoP{MaxProofs: -1} }, `jwt: New: DPoP: MaxProofs is -1, want 1 or more`},
	} {
		s := spec(public, "ES256")
		tt.change(&s)
		tokens, err := jwt.New(s)
		assert.Nil(t, tokens, tt.name)
		assert.ErrorContains(t, err, tt.want, tt.name)
	}
	_, err := jwt.New(jwt.Spec{})
	for _, want := range []string{"Keys", "Issuer", "Audience", "Algorithms"} {
		assert.ErrorContains(t, err, want, "all at once")
	}
	var none *jwt.Tokens
	assert.ErrorContains(t, none.Fault(), "not made by New")
	assert.ErrorContains(t, new(jwt.Tokens).Fault(), "not made by New")
	assert.NoError(t, newTokens(t, spec(public, "ES256")).Fault())
}

func TestFaultsOfKeys(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var transport *http.Transport
	const at = "https://id.test/"
	for _, tt := range []struct {
		name string
		keys *jwt.Keys
		want string
	}{
		{"nil", nil, "they are nil"},
		{"no URL", &jwt.Keys{}, "the URL is not one of http or https with a host"},
		{"no host", &jwt.Keys{URL: "https:///x"}, "the URL is not one of http or https with a host"},
		{"another scheme", &jwt.Keys{URL: "file:///etc/keys"}, "the URL is not one of http or https with a host"},
		{"a password", &jwt.Keys{URL: "https://a:b@id.test/"}, "the URL has a user"},
		{"Refresh", &jwt.Keys{URL: at, Refresh: 10}, "Refresh is 10ns, want 1 s or more"},
		{"Keep", &jwt.Keys{URL: at, Keep: time.Minute}, "Keep is 1m0s, want Refresh (10m0s) or more"},
		{"Timeout", &jwt.Keys{URL: at, Timeout: -1}, "Timeout is -1ns, want more than 0"},
		{"Transport", &jwt.Keys{URL: at, Transport: transport}, "the Transport is a nil pointer"},
		{"no keys", jwt.StaticKeys(), "there are no keys"},
		{"an empty key", jwt.StaticKeys(jwt.Key{}), "key 1: the key is empty"},
		{"two keys in one", jwt.StaticKeys(jwt.Key{Public: ec.Public(), Secret: make([]byte, 32)}), "key 1: it has both a Public and a Secret"},
		{"a public secret", jwt.StaticKeys(jwt.Key{Public: make([]byte, 32)}), "key 1: its Public is a []byte"},
		{"a private key", jwt.StaticKeys(jwt.Key{Public: ec}), "key 1: a key of the type *ecdsa.PrivateKey"},
		{"a weak key", jwt.StaticKeys(jwt.Key{Public: weak.Public()}), "key 1: an RSA key of 1024 bits, want 2048 to 8192"},
		{"a nil key", jwt.StaticKeys(jwt.Key{Public: (*rsa.PublicKey)(nil)}), "key 1: the key is empty"},
		{"a nil curve", jwt.StaticKeys(jwt.Key{Public: (*ecdsa.PublicKey)(nil)}), "key 1: the key is empty"},
		{"a point that is none", jwt.StaticKeys(jwt.Key{Public: &ecdsa.PublicKey{Curve: elliptic.P256()}}), "key 1: "},
		{"a short key", jwt.StaticKeys(jwt.Key{Public: ed25519.PublicKey{1}}), "key 1: the key is empty"},
		{"a short secret", jwt.StaticKeys(jwt.Key{Secret: make([]byte, 31)}), "key 1: a secret of 31 bytes, want 32 or more"},
		{"an empty secret", jwt.StaticKeys(jwt.Key{Secret: []byte{}}), "key 1: a secret of 0 bytes"},
		{"another algorithm", jwt.StaticKeys(jwt.Key{Public: ec.Public(), Algorithm: "RS256"}), `key 1: the key is not one for the alg "RS256"`},
		{"a secret beside a public key", jwt.StaticKeys(jwt.Key{Public: ec.Public()}, jwt.Key{Secret: make([]byte, 32)}), "there is a secret beside a public key"},
		{"no set", jwt.ParseKeys(nil), "jwt: ParseKeys: "},
		{"an empty set", jwt.ParseKeys([]byte(`{"keys":[]}`)), "there is no key that can be used: the set is empty"},
		{"a set of secrets and others", jwt.ParseKeys([]byte(`{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 64) + `"},` + jwkOf(t, newIssuer(t, "ES256")) + `]}`)),
			"there is a secret beside a public key"},
	} {
		assert.ErrorContains(t, tt.keys.Fault(), tt.want, tt.name)
		if tt.keys != nil {
			assert.Error(t, tt.keys.Ready(t.Context()), tt.name)
		}
	}
	assert.NoError(t, (&jwt.Keys{URL: at, Refresh: 2 * time.Hour}).Fault(), "Keep is as long as Refresh at least")
	assert.NoError(t, jwt.ParseKeys(newIssuer(t, "ES256").KeySet()).Ready(t.Context()))
}
