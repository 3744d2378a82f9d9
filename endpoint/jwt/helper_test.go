package jwt_test

import (
	"context"
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
