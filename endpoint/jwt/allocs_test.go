//go:build !race

package jwt_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/jwt"
)

// The race detector allocates too.
func TestAKnownTokenAllocatesNothing(t *testing.T) {
	issuer := newIssuer(t, "ES256")
	tokens := newTokens(t, spec(jwt.ParseKeys(issuer.KeySet()), "ES256"))
	req := bearer(sign(t, issuer, good()))
	assert.Zero(t, testing.AllocsPerRun(200, func() { _, _ = tokens.Authenticate(t.Context(), req) }))
}
