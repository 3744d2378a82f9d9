package redis_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/redis"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

var _ auth.Revocation = new(redis.Revoked).Revoked

func withID(id string) *proxy.Caller {
	return &proxy.Caller{Claims: document.MustParse(`{"jti":"` + id + `","sub":"ada"}`)}
}

func TestWhatOneProcessRevokesNoneAdmits(t *testing.T) {
	t.Parallel()
	for name, spec := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			one, two := redis.NewRevoked(spec), redis.NewRevoked(spec)
			require.NoError(t, one.Fault())
			ctx := t.Context()
			assert.NoError(t, two.Revoked(ctx, withID("a")))
			require.NoError(t, one.Revoke(ctx, "a", time.Now().Add(time.Hour)))
			require.NoError(t, one.Revoke(ctx, "over", time.Now()))
			require.NoError(t, one.Revoke(ctx, "for good", time.Time{}))
			require.NoError(t, one.Revoke(ctx, "for long", time.Now().Add(math.MaxInt64)))
			require.NoError(t, one.Revoke(ctx, "for longer", time.Unix(1<<40, 0)))
			for _, id := range []string{"a", "for good", "for long", "for longer"} {
				for _, r := range []*redis.Revoked{one, two} {
					err := r.Revoked(ctx, withID(id))
					assert.ErrorIs(t, err, auth.ErrRevoked, id)
					assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
					assert.Equal(t, 401, proxy.StatusOf(err))
				}
			}
			assert.NoError(t, two.Revoked(ctx, withID("over")))
			assert.NoError(t, two.Revoked(ctx, withID("b")))
			assert.ErrorIs(t, two.Revoked(ctx, nil), auth.ErrInvalidCredentials)
			assert.Error(t, one.Revoke(ctx, "", time.Time{}))
		})
	}
}

func TestTheLaterEndOfARevocationHolds(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	r, ctx := redis.NewRevoked(patient(client)), t.Context()
	now := time.Now()
	for _, until := range []time.Duration{2, 1, 3, 2} {
		require.NoError(t, r.Revoke(ctx, "a", now.Add(until*time.Hour)))
	}
	assert.InDelta(t, 3*time.Hour, server.TTL(r.Key("a")), float64(time.Minute))
	require.NoError(t, r.Revoke(ctx, "a", time.Time{}))
	require.NoError(t, r.Revoke(ctx, "a", now.Add(time.Hour)))
	assert.Zero(t, server.TTL(r.Key("a")), "for good")
	require.NoError(t, r.Revoke(ctx, "b", now.Add(time.Hour)))
	server.FastForward(2 * time.Hour)
	assert.NoError(t, r.Revoked(ctx, withID("b")))
	assert.ErrorIs(t, r.Revoked(ctx, withID("a")), auth.ErrRevoked)
}

// proves T6
func TestARevocationThatCannotBeLookedUpDenies(t *testing.T) {
	t.Parallel()
	for name, eval := range map[string]func(context.Context) (any, error){
		"resets":  func(context.Context) (any, error) { return nil, errReset },
		"hangs":   func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
		"panics":  func(context.Context) (any, error) { panic("bug") },
		"garbage": func(context.Context) (any, error) { return []any{"x"}, nil },
		"nothing": func(context.Context) (any, error) { return nil, nil },
		"two":     func(context.Context) (any, error) { return int64(2), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := redis.NewRevoked(redis.Spec{Client: &fake{eval: eval}})
				for range 5 {
					start := time.Now()
					err := r.Revoked(t.Context(), withID("a"))
					assert.ErrorIs(t, err, auth.ErrUnavailable)
					assert.Equal(t, 503, proxy.StatusOf(err))
					assert.LessOrEqual(t, time.Since(start), 50*time.Millisecond)
				}
			})
		})
	}
	r := redis.NewRevoked(redis.Spec{Claim: "a..b"})
	assert.ErrorContains(t, r.Fault(), "claim")
	assert.ErrorContains(t, r.Fault(), "the Client is nil")
	assert.Equal(t, 503, proxy.StatusOf(r.Revoked(t.Context(), withID("a"))))
	assert.Error(t, r.Revoke(t.Context(), "a", time.Time{}))
}

// proves T2
func TestACallerLeavesALookUpAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := redis.NewRevoked(redis.Spec{Client: &fake{eval: func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		start := time.Now()
		assert.ErrorIs(t, r.Revoked(ctx, withID("a")), context.Canceled)
		assert.Equal(t, 10*time.Millisecond, time.Since(start))
	})
}

func TestRevocationsOutliveARedisThatIsKilled(t *testing.T) {
	t.Parallel()
	p := own(t)
	r := redis.NewRevoked(patient(p.client(t)))
	require.NoError(t, r.Revoke(t.Context(), "a", time.Now().Add(time.Hour)))
	p.kill(t)
	for range 4 {
		for _, id := range []string{"a", "b"} {
			err := r.Revoked(t.Context(), withID(id))
			assert.ErrorIs(t, err, auth.ErrUnavailable)
			assert.Equal(t, 503, proxy.StatusOf(err))
		}
	}
	p.start(t)
	r = redis.NewRevoked(patient(p.client(t)))
	assert.ErrorIs(t, r.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
	assert.NoError(t, r.Revoked(t.Context(), withID("b")))
}
