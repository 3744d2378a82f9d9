package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

// proves T6
func TestASetThatCannotBeAskedDenies(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	revocation, err := auth.RevokedBy("", func(_ context.Context, id string) (bool, error) {
		return id == "a", map[string]error{"c": down}[id]
	})
	require.NoError(t, err)
	for _, tt := range []struct {
		caller *proxy.Caller
		want   error
		status int
	}{
		{withID("a"), auth.ErrRevoked, 401},
		{withID("b"), nil, 200},
		{withID("c"), auth.ErrUnavailable, 503},
		{withID("c"), down, 503},
		{nil, auth.ErrInvalidCredentials, 401},
		{&proxy.Caller{}, auth.ErrInvalidCredentials, 401},
		{claiming(`{"jti":""}`), auth.ErrInvalidCredentials, 401},
	} {
		err := revocation(t.Context(), tt.caller)
		if tt.want != nil {
			assert.ErrorIs(t, err, tt.want)
		}
		assert.Equal(t, tt.status, proxy.StatusOf(err), "%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, revocation(ctx, withID("c")), context.Canceled)
	assert.ErrorIs(t, new(auth.Revoked).Revoked(t.Context(), withID("a")), auth.ErrInvalidCredentials)
}

func TestWhatIsNoClaimOfARevocationIsRefused(t *testing.T) {
	t.Parallel()
	has := func(context.Context, string) (bool, error) { return false, nil }
	for _, claim := range []string{"a..b", "a.*"} {
		_, err := auth.RevokedBy(claim, has)
		assert.Error(t, err, claim)
	}
	_, err := auth.RevokedBy("", nil)
	assert.ErrorContains(t, err, "is nil")
}
