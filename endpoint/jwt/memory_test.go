package jwt_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jwt"
)

func TestAKnownTokenIsNotVerifiedAgain(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	token := sign(t, issuer, good())
	s := spec(jwt.ParseKeys(issuer.KeySet()), "ES256")
	for remember, same := range map[int]bool{0: true, 2: true, -1: false} {
		s.Remember = remember
		tokens := newTokens(t, s)
		_, first := ask(t.Context(), tokens, token)
		_, second := ask(t.Context(), tokens, token)
		require.NotNil(t, first)
		assert.Equal(t, same, first == second, "Remember %d", remember)
	}
}

// proves T5
func TestAMemoryIsBounded(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "EdDSA")
	s := spec(jwt.ParseKeys(issuer.KeySet()), "EdDSA")
	s.Remember = 20
	tokens := newTokens(t, s)
	used := sign(t, issuer, good())
	_, first := ask(t.Context(), tokens, used)
	for i := range 1000 {
		status, _ := ask(t.Context(), tokens, sign(t, issuer, good(claims{"jti": fmt.Sprint(i)})))
		require.Equal(t, 200, status)
		if i%5 == 0 {
			_, again := ask(t.Context(), tokens, used)
			assert.Same(t, first, again, "what is used stays")
		}
		assert.LessOrEqual(t, tokens.Remembered(), 20)
	}
	assert.GreaterOrEqual(t, tokens.Remembered(), 10)
	bad := tokens.Remembered()
	_, _ = ask(t.Context(), tokens, used+"A")
	assert.Equal(t, bad, tokens.Remembered(), "a bad token is not remembered")
}
