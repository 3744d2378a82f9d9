package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const iss = "https://id.test"

type claims = map[string]any

// good returns the claims of a token that is good for an hour, changed.
func good(changes ...claims) claims {
	c := claims{"iss": iss, "sub": "ada", "aud": "orders", "exp": time.Now().Add(time.Hour).Unix()}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func newIssuer(t testing.TB, algorithm string) *jwttest.Issuer {
	t.Helper()
	i, err := jwttest.NewIssuer(algorithm)
	require.NoError(t, err)
	return i
}

func sign(t testing.TB, i *jwttest.Issuer, c any) string {
	t.Helper()
	token, err := i.Sign(c)
	require.NoError(t, err)
	return token
}

// spec is one for the tokens of good.
func spec(keys *jwt.Keys, algorithms ...string) jwt.Spec {
	return jwt.Spec{Keys: keys, Issuer: iss, Audience: []string{"orders"}, Algorithms: algorithms}
}

func newTokens(t testing.TB, s jwt.Spec) *jwt.Tokens {
	t.Helper()
	tokens, err := jwt.New(s)
	require.NoError(t, err)
	return tokens
}

// bearer returns a request with a token.
func bearer(token string) *proxy.Request {
	req := proxy.NewRequest("GET", "/orders")
	req.Scheme, req.Host = "https", "api.test"
	req.Header["Authorization"] = []string{"Bearer " + token}
	return req
}

// ask returns the status for a request with a token, and the caller.
func ask(ctx context.Context, tokens *jwt.Tokens, token string) (int, *proxy.Caller) {
	c, err := tokens.Authenticate(ctx, bearer(token))
	if err != nil {
		return proxy.StatusOf(err), c
	}
	return http.StatusOK, c
}

// raw returns a token of any header and payload, signed with ES256 by the key of an issuer.
func raw(t testing.TB, i *jwttest.Issuer, header, payload string) string {
	t.Helper()
	return signed(t, i.Signer().(*ecdsa.PrivateKey), header, payload)
}

func signed(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode(string(signature))
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// jsonOf returns v in JSON.
func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

type cryptoSigner = crypto.Signer

// salted signs with RSASSA-PSS and SHA-256. A salt of 0 is the longest one that there can be.
func salted(key *rsa.PrivateKey, input string, salt int) ([]byte, error) {
	sum := sha256.Sum256([]byte(input))
	return rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
}
