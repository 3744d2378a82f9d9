package jwt_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/proxy"
)

// Whatever bytes come as a token, the answer is 401, or go-jose agrees that the key has signed them.
func FuzzToken(f *testing.F) {
	issuer := newIssuer(f, "ES256")
	keys := jwt.ParseKeys(issuer.KeySet())
	s := spec(keys, "ES256")
	s.Cookie, s.Remember, s.DPoP = "session", -1, &jwt.DPoP{}
	tokens := newTokens(f, s)
	fine := sign(f, issuer, good(claims{"exp": time.Now().Add(1000 * time.Hour).Unix()}))
	for _, seed := range []string{"", ".", "..", "...", fine, fine + "=", strings.Replace(fine, ".", "\n.", 1), fine[1:],
		encode(`{"alg":"none"}`) + "." + encode(`{}`) + ".", encode(`{"alg":"ES256","crit":[]}`) + ".e30.AA",
		raw(f, issuer, `{"alg":"ES256","kid":"`+issuer.KeyID()+`","jwk":{}}`, `{"exp":1e400}`),
		raw(f, issuer, `{"alg":"ES256"}`, `{"exp":{},"aud":[[]],"cnf":{"jkt":1}}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := tokens.Authenticate(t.Context(), bearer(token))
		if err != nil {
			assert.Nil(t, caller)
			assert.Equal(t, 401, proxy.StatusOf(err), "%q: %v", token, err)
			assert.NotContains(t, err.Error(), "\n")
		} else {
			parsed, err := jose.ParseSignedCompact(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.ES256})
			if assert.NoError(t, err) {
				_, err = parsed.Verify(issuer.Signer().Public())
				assert.NoError(t, err)
			}
		}
		_, err = tokens.Authenticate(t.Context(), withProof(fine, token)) // a proof is a token of foreign bytes too
		assert.Equal(t, 401, proxy.StatusOf(err))
	})
}

// Whatever bytes come as a key set, encoding/json finds keys in it too where it is used.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, string(newIssuer(f, "ES256").KeySet()),
		string(newIssuer(f, "RS256").KeySet()), string(newIssuer(f, "EdDSA").KeySet()), `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if jwt.ParseKeys(text).Fault() == nil {
			var set struct{ Keys []json.RawMessage }
			assert.NoError(t, json.Unmarshal(text, &set))
			assert.NotEmpty(t, set.Keys)
		}
	})
}
