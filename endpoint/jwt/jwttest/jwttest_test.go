package jwttest_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnIssuerRotatesItsKeys(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "PS256", "EdDSA"} {
		issuer, err := jwttest.NewIssuer(algorithm)
		require.NoError(t, err)
		token := func() string {
			token, err := issuer.Sign(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
			require.NoError(t, err)
			return token
		}
		good := func(token string) bool {
			tokens, err := jwt.New(jwt.Spec{Keys: jwt.ParseKeys(issuer.KeySet()), Issuer: jwt.AnyIssuer,
				Audience: []string{jwt.AnyAudience}, Algorithms: []string{algorithm}})
			require.NoError(t, err)
			req := proxy.NewRequest("GET", "/")
			req.Header.Set("Authorization", "Bearer "+token)
			_, err = tokens.Authenticate(t.Context(), req)
			return err == nil
		}
		old, id := token(), issuer.KeyID()
		assert.True(t, good(old), algorithm)
		require.NoError(t, issuer.Rotate())
		assert.NotEqual(t, id, issuer.KeyID())
		assert.True(t, good(old), algorithm)
		assert.True(t, good(token()), algorithm)
		issuer.Retire()
		assert.False(t, good(old), algorithm)
		assert.True(t, good(token()), algorithm)

		w := httptest.NewRecorder()
		issuer.ServeHTTP(w, httptest.NewRequest("GET", "/jwks.json", nil))
		assert.Equal(t, string(issuer.KeySet()), w.Body.String())
	}
	_, err := jwttest.NewIssuer("HS256")
	assert.Error(t, err)
	issuer, err := jwttest.NewIssuer("ES256")
	require.NoError(t, err)
	_, err = issuer.Sign(make(chan int))
	assert.Error(t, err)
}
