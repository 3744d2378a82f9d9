package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/sign"
	"github.com/sluice-go/sluice/proxy"
)

// headerOf returns the header of a JWS.
func headerOf(t *testing.T, text string) string {
	first, _, ok := strings.Cut(text, ".")
	require.True(t, ok)
	header, err := base64.RawURLEncoding.DecodeString(first)
	require.NoError(t, err)
	return string(header)
}

func TestWhatIsSignedIsATokenOfPackageJWT(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		for _, ours := range []bool{true, false} {
			t.Run(fmt.Sprint(algorithm, ours), func(t *testing.T) {
				t.Parallel()
				private := privateKey(t, algorithm)
				if !ours {
					private = kms{private}
				}
				keys := newKeys(t, sign.Key{ID: "k1", Algorithm: algorithm, Private: private})
				tokens, err := jwt.New(jwt.Spec{Keys: jwt.ParseKeys(keys.Public()), Issuer: "i", Audience: []string{"a"}, Algorithms: []string{algorithm}})
				require.NoError(t, err)
				for range 20 { // numbers of ECDSA that begin with zero bytes
					text, err := keys.Sign([]byte(`{"iss":"i","aud":"a","sub":"ada","exp":32503680000}`), "JWT")
					require.NoError(t, err)
					assert.Equal(t, `{"alg":"`+algorithm+`","kid":"k1","typ":"JWT"}`, headerOf(t, text))
					req := proxy.NewRequest("GET", "/")
					req.Header.Set("Authorization", "Bearer "+text)
					c, err := tokens.Authenticate(t.Context(), req)
					require.NoError(t, err)
					assert.Equal(t, "ada", c.ID)
				}
			})
		}
	}
}

func TestASecretSignsAndIsNotPublished(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 64))
	for _, algorithm := range []jose.SignatureAlgorithm{"HS256", "HS384", "HS512"} {
		keys := newKeys(t, sign.Key{Algorithm: string(algorithm), Secret: secret})
		text, err := keys.Sign([]byte(`any bytes`), "x")
		require.NoError(t, err)
		assert.Equal(t, `{"alg":"`+string(algorithm)+`","typ":"x"}`, headerOf(t, text))
		signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{algorithm})
		require.NoError(t, err)
		payload, err := signed.Verify(secret)
		assert.NoError(t, err)
		assert.Equal(t, "any bytes", string(payload))
		assert.Equal(t, `{"keys":[]}`, string(keys.Public()))
	}
}

// proves O20
func TestKeysThatCannotSignAreAFault(t *testing.T) {
	t.Parallel()
	es := privateKey(t, "ES256").(*ecdsa.PrivateKey)
	other := privateKey(t, "ES256").(*ecdsa.PrivateKey)
	mixed := *es
	mixed.PublicKey = other.PublicKey
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	secret := []byte(strings.Repeat("s", 32))
	good := sign.Key{ID: "a", Algorithm: "ES256", Private: es}
	tests := []struct {
		name string
		keys []sign.Key
		want string
	}{
		{"none", nil, "there are no keys"},
		{"empty", []sign.Key{{Algorithm: "ES256"}}, "key 1: it has neither a Private nor a Secret"},
		{"both", []sign.Key{{Algorithm: "ES256", Private: es, Secret: secret}}, "key 1: it has both a Private and a Secret"},
		{"no algorithm", []sign.Key{{Private: es}}, "key 1: it has no Algorithm"},
		{"alg none", []sign.Key{{Algorithm: "none", Private: es}}, `the key is not one for the alg "none"`},
		{"of another kind", []sign.Key{{Algorithm: "RS256", Private: es}}, `the key is not one for the alg "RS256"`},
		{"of another curve", []sign.Key{{Algorithm: "ES384", Private: es}}, `the key is not one for the alg "ES384"`},
		{"a private key for HMAC", []sign.Key{{Algorithm: "HS256", Private: es}}, `the key is not one for the alg "HS256"`},
		{"a secret for ES256", []sign.Key{{Algorithm: "ES256", Secret: secret}}, `the key is not one for the alg "ES256"`},
		{"a short secret", []sign.Key{{Algorithm: "HS512", Secret: secret}}, `the key is not one for the alg "HS512"`},
		{"weak", []sign.Key{{Algorithm: "RS256", Private: weak}}, "an RSA key of 1024 bits"},
		{"P-224", []sign.Key{{Algorithm: "ES256", Private: p224}}, "not one for the alg"},
		{"two halves", []sign.Key{{Algorithm: "ES256", Private: &mixed}}, "key 1: "},
		{"a nil pointer", []sign.Key{{Algorithm: "ES256", Private: (*ecdsa.PrivateKey)(nil)}}, "key 1: its Private panics"},
		{"a short Ed25519 key", []sign.Key{{Algorithm: "EdDSA", Private: ed25519.PrivateKey("x")}}, "key 1: its Private panics"},
		{"an ID twice", []sign.Key{good, good}, `key 2: another key has its ID "a"`},
		{"no ID", []sign.Key{good, {Algorithm: "ES256", Private: other}}, "key 2: it has no ID and is not alone"},
		{"a secret beside it", []sign.Key{good, {ID: "b", Algorithm: "HS256", Secret: secret}}, "there is a secret beside a private key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys := sign.NewKeys(tt.keys...)
			assert.ErrorContains(t, keys.Fault(), tt.want)
			_, err := keys.Sign(nil, "JWT")
			assert.Error(t, err)
			assert.Equal(t, `{"keys":[]}`, string(keys.Public()))
			assert.Error(t, keys.Set(good))
			assert.ErrorContains(t, newKeys(t, good).Set(tt.keys...), tt.want)
		})
	}
	assert.EqualError(t, (*sign.Keys)(nil).Fault(), "sign: Keys: they are nil")
	assert.EqualError(t, new(sign.Keys).Fault(), "sign: Keys: NewKeys has not made them")
}

func TestKeysAreReplaced(t *testing.T) {
	t.Parallel()
	first := sign.Key{ID: "1", Algorithm: "ES256", Private: privateKey(t, "ES256")}
	second := sign.Key{ID: "2", Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")}
	keys := newKeys(t, first)
	before := keys.Public()
	require.NoError(t, keys.Set(second, first))
	text, err := keys.Sign(nil, "JWT")
	require.NoError(t, err)
	assert.Contains(t, headerOf(t, text), `"kid":"2"`)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(keys.Public(), &set))
	assert.Len(t, set.Keys, 2)
	require.NoError(t, json.Unmarshal(before, &set))
	assert.Len(t, set.Keys, 1)

	assert.Error(t, keys.Set(), "and the keys stay")
	assert.EqualError(t, keys.Set(sign.Key{Algorithm: "ES256", Private: kms{first.Private}}), "sign: Set: a signer of your own comes after keys without one")
	_, err = keys.Sign(nil, "JWT")
	assert.NoError(t, err)
	assert.NoError(t, newKeys(t, sign.Key{Algorithm: "ES256", Private: kms{first.Private}}).Set(first))
}

func TestOnlyPublicKeysArePublished(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		keys := newKeys(t, sign.Key{ID: "k", Algorithm: algorithm, Private: privateKey(t, algorithm)})
		get := httptest.NewRecorder()
		keys.ServeHTTP(get, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, 200, get.Code)
		assert.Equal(t, "application/jwk-set+json", get.Header().Get("Content-Type"))
		assert.Equal(t, "public, max-age=300", get.Header().Get("Cache-Control"))
		var set struct{ Keys []map[string]any }
		require.NoError(t, json.Unmarshal(get.Body.Bytes(), &set))
		require.Len(t, set.Keys, 1)
		assert.Equal(t, algorithm, set.Keys[0]["alg"])
		assert.Equal(t, "sig", set.Keys[0]["use"])
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			assert.NotContains(t, set.Keys[0], name)
		}

		head := httptest.NewRecorder()
		keys.ServeHTTP(head, httptest.NewRequest("HEAD", "/", nil))
		assert.Equal(t, get.Header(), head.Header())
		assert.Empty(t, head.Body.String())
		post := httptest.NewRecorder()
		keys.ServeHTTP(post, httptest.NewRequest("POST", "/", nil))
		assert.Equal(t, 405, post.Code)
		assert.Equal(t, "GET, HEAD", post.Header().Get("Allow"))
	}
}

func TestAPrivateJWKIsAKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		private := privateKey(t, algorithm)
		text, err := json.Marshal(jose.JSONWebKey{Key: private, KeyID: "k", Algorithm: algorithm, Use: "sig"})
		require.NoError(t, err)
		key, err := sign.ParseKey(text)
		require.NoError(t, err)
		assert.Equal(t, "k", key.ID)
		assert.Equal(t, algorithm, key.Algorithm)
		assert.Equal(t, private.Public(), key.Private.Public())
		newKeys(t, key)

		public, err := json.Marshal(jose.JSONWebKey{Key: private.Public(), KeyID: "k"})
		require.NoError(t, err)
		_, err = sign.ParseKey(public)
		assert.EqualError(t, err, "sign: ParseKey: the key is not private")
	}
	key, err := sign.ParseKey([]byte(`{"kty":"oct","alg":"HS256","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}`))
	require.NoError(t, err)
	newKeys(t, key)
	for _, text := range []string{``, `[]`, `{}`, `{"kty":"oct"}`, `{"kty":"oct","k":"c2VjcmV0","k":"c2VjcmV0"}`, `{"kty":"oct","k":"c2VjcmV0","use":"enc"}`,
		`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"c2VjcmV0"}`} {
		_, err := sign.ParseKey([]byte(text))
		assert.Error(t, err, text)
		assert.NotContains(t, err.Error(), "c2VjcmV0")
	}
}

// brokenKMS returns what no signer of ECDSA does.
type brokenKMS struct {
	crypto.Signer
	out []byte
	err error
}

func (b brokenKMS) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.out, b.err }

func TestASignerThatReturnsNonsenseIsAnError(t *testing.T) {
	t.Parallel()
	private := privateKey(t, "ES256")
	for _, out := range []string{"", "x", "\x30\x06\x02\x01\x00\x02\x01\x01", "\x30\x06\x02\x01\xff\x02\x01\x01", "\x30\x06\x02\x01\x01\x02\x01\x01x",
		"\x30\x26\x02\x21\x01" + strings.Repeat("x", 32) + "\x02\x01\x01"} {
		_, err := newKeys(t, sign.Key{Algorithm: "ES256", Private: brokenKMS{private, []byte(out), nil}}).Sign(nil, "JWT")
		assert.Error(t, err, "%q", out)
	}
	down := errors.New("kms down")
	_, err := newKeys(t, sign.Key{Algorithm: "ES256", Private: brokenKMS{private, nil, down}}).Sign(nil, "JWT")
	assert.ErrorIs(t, err, down)
}

func TestKeysAreUsedConcurrently(t *testing.T) {
	t.Parallel()
	a := sign.Key{ID: "a", Algorithm: "ES256", Private: privateKey(t, "ES256")}
	b := sign.Key{ID: "b", Algorithm: "EdDSA", Private: privateKey(t, "EdDSA")}
	keys := newKeys(t, a)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				assert.NoError(t, keys.Set(b, a))
				_, err := keys.Sign([]byte("x"), "JWT")
				assert.NoError(t, err)
				assert.NotEmpty(t, keys.Public())
				assert.NoError(t, keys.Set(a))
			}
		})
	}
	group.Wait()
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(`{"kty":"oct","alg":"HS256","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}`))
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA","alg":"ES256"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := sign.ParseKey(text)
		if err != nil {
			return
		}
		if keys := sign.NewKeys(key); keys.Fault() == nil {
			_, err := keys.Sign(text, "JWT")
			assert.NoError(t, err)
		}
	})
}
