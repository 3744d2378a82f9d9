package auth_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

var _ auth.Revocation = new(auth.Revoked).Revoked

func newRevoked(t *testing.T, s auth.RevokedSpec) *auth.Revoked {
	t.Helper()
	r, err := auth.NewRevoked(s)
	require.NoError(t, err)
	return r
}

func withID(id string) *proxy.Caller { return claiming(`{"jti":"` + id + `","sub":"ada"}`) }

func TestRevokedRefusesUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRevoked(t, auth.RevokedSpec{})
		require.NoError(t, r.Revoke("a", time.Now().Add(time.Minute)))
		require.NoError(t, r.Revoke("for good", time.Time{}))
		require.NoError(t, r.Revoke("over", time.Now()))
		err := r.Revoked(t.Context(), withID("a"))
		assert.ErrorIs(t, err, auth.ErrRevoked)
		assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
		assert.NoError(t, r.Revoked(t.Context(), withID("b")))
		assert.NoError(t, r.Revoked(t.Context(), withID("over")))
		<-time.After(time.Minute)
		assert.NoError(t, r.Revoked(t.Context(), withID("a")))
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("for good")), auth.ErrRevoked)
	})
}

func TestTheLaterEndOfARevocationHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRevoked(t, auth.RevokedSpec{Max: 2})
		now := time.Now()
		for _, until := range []time.Duration{2, 1, 3, 2} {
			require.NoError(t, r.Revoke("a", now.Add(until*time.Minute)))
		}
		require.NoError(t, r.Revoke("b", now.Add(2*time.Minute)))
		<-time.After(2 * time.Minute)
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
		assert.NoError(t, r.Revoked(t.Context(), withID("b")))
		require.NoError(t, r.Revoke("c", now.Add(time.Hour)), "that of b is over")
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
		require.NoError(t, r.Revoke("a", time.Time{}))
		require.NoError(t, r.Revoke("a", now.Add(time.Hour)), "for good is for good")
		<-time.After(2 * time.Hour)
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
	})
}

// One that ends later than it first did makes no other keep its place.
func TestARevocationThatIsOverGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRevoked(t, auth.RevokedSpec{Max: 2})
		now := time.Now()
		require.NoError(t, r.Revoke("a", now.Add(time.Minute)))
		require.NoError(t, r.Revoke("b", now.Add(2*time.Minute)))
		require.NoError(t, r.Revoke("a", now.Add(3*time.Minute)))
		<-time.After(2 * time.Minute)
		assert.NoError(t, r.Revoke("c", now.Add(time.Hour)), "that of b is over")
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
	})
}

func TestAFullSetForgetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRevoked(t, auth.RevokedSpec{Max: 3})
		for i := range 3 {
			require.NoError(t, r.Revoke(strconv.Itoa(i), time.Now().Add(time.Duration(3-i)*time.Minute)))
		}
		assert.ErrorIs(t, r.Revoke("3", time.Now().Add(time.Hour)), auth.ErrRevokedFull)
		require.NoError(t, r.Revoke("0", time.Now().Add(time.Hour)), "it is there already")
		for i := range 3 {
			assert.ErrorIs(t, r.Revoked(t.Context(), withID(strconv.Itoa(i))), auth.ErrRevoked)
		}
		assert.NoError(t, r.Revoked(t.Context(), withID("3")))
		<-time.After(time.Minute) // the third has ended
		require.NoError(t, r.Revoke("3", time.Now().Add(time.Hour)))
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("3")), auth.ErrRevoked)
		assert.ErrorIs(t, r.Revoked(t.Context(), withID("1")), auth.ErrRevoked)
	})
}

func TestWhatNobodyCouldRevokeIsRefused(t *testing.T) {
	t.Parallel()
	r := newRevoked(t, auth.RevokedSpec{})
	for _, c := range []*proxy.Caller{nil, {ID: "ada"}, claiming(`{}`), claiming(`{"jti":""}`), claiming(`{"jti":["a"]}`), claiming(`{"jti":null}`)} {
		err := r.Revoked(t.Context(), c)
		assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	}
	assert.Error(t, r.Revoke("", time.Time{}))
}

func TestRevokedByAnotherClaim(t *testing.T) {
	t.Parallel()
	r := newRevoked(t, auth.RevokedSpec{Claim: "sub", Max: -1})
	require.NoError(t, r.Revoke("ada", time.Time{}))
	rule := func(ctx context.Context, req *proxy.Request) error { return r.Revoked(ctx, req.Caller) }
	req, err := through(t.Context(), get(), withCaller(withID("a")), auth.Allow(rule))
	assert.Nil(t, req)
	assert.ErrorIs(t, err, auth.ErrRevoked)
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	for _, claim := range []string{"a..b", "roles.*"} {
		_, err := auth.NewRevoked(auth.RevokedSpec{Claim: claim})
		assert.ErrorContains(t, err, "auth: NewRevoked: claim ")
	}
}

func TestRevokedIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	r := newRevoked(t, auth.RevokedSpec{Max: 50})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				_ = r.Revoke(strconv.Itoa(i*j%70), time.Now().Add(time.Duration(j%3)*time.Microsecond))
				_ = r.Revoked(t.Context(), withID(strconv.Itoa(j)))
			}
		})
	}
	all.Wait()
}

func TestASetThatNewRevokedHasNotMadeDenies(t *testing.T) {
	t.Parallel()
	var r auth.Revoked
	assert.Error(t, r.Revoke("a", time.Time{}))
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(r.Revoked(t.Context(), &proxy.Caller{ID: "ada"})))
}
