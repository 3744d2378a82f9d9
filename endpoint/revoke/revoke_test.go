package revoke_test

import (
	"math"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/revoke"
	"github.com/sluice-go/sluice/proxy"
)

var _ auth.Revocation = new(revoke.Filter).Revoked

func TestARevokedIDIsRefused(t *testing.T) {
	t.Parallel()
	f := newFilter(t, revoke.Spec{Lifetime: time.Hour})
	require.NoError(t, f.Revoke("a"))
	require.NoError(t, f.Revoke("a"))
	assert.Equal(t, 1, f.Len())
	err := f.Revoked(t.Context(), withID("a"))
	assert.ErrorIs(t, err, auth.ErrRevoked)
	assert.ErrorIs(t, err, auth.ErrInvalidCredentials)
	assert.Equal(t, 401, proxy.StatusOf(err))
	assert.NoError(t, f.Revoked(t.Context(), withID("b")))
	assert.ErrorIs(t, f.Revoked(t.Context(), nil), auth.ErrInvalidCredentials)
	assert.Error(t, f.Revoke(""))

	f = newFilter(t, revoke.Spec{Lifetime: time.Hour, Claim: "sub"})
	require.NoError(t, f.Revoke("ada"))
	assert.ErrorIs(t, f.Revoked(t.Context(), withID("b")), auth.ErrRevoked)
}

func TestAnIDIsRememberedForALifetimeAndForNoMoreThanTwo(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{0, 1, time.Minute, 59*time.Minute + 59*time.Second, time.Hour - 1} {
		synctest.Test(t, func(t *testing.T) {
			f := newFilter(t, revoke.Spec{Lifetime: time.Hour})
			<-time.After(wait)
			require.NoError(t, f.Revoke("a"))
			<-time.After(time.Hour)
			assert.ErrorIs(t, f.Revoked(t.Context(), withID("a")), auth.ErrRevoked, "after %v", wait)
			require.NoError(t, f.Revoke("b"))
			assert.ErrorIs(t, f.Revoked(t.Context(), withID("a")), auth.ErrRevoked, "after %v", wait)
			<-time.After(time.Hour)
			assert.NoError(t, f.Revoked(t.Context(), withID("a")), "after %v", wait)
			assert.ErrorIs(t, f.Revoked(t.Context(), withID("b")), auth.ErrRevoked)
			<-time.After(5 * time.Hour)
			assert.NoError(t, f.Revoked(t.Context(), withID("b")))
			assert.Zero(t, f.Len())
		})
	}
}

// The rate is for a filter that is full, in both of its generations.
func TestNoMoreTokensAreRefusedByMistakeThanTheSpecSays(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.1, 0.01, 0.001} {
		synctest.Test(t, func(t *testing.T) {
			const ids, asked = 5_000, 100_000
			f := newFilter(t, revoke.Spec{Lifetime: time.Hour, IDs: ids, FalsePositives: rate})
			for generation := range 2 {
				for n := range ids {
					require.NoError(t, f.Revoke(strconv.Itoa(generation*ids+n)))
				}
				if generation == 0 {
					<-time.After(time.Hour)
				}
			}
			for n := range 2 * ids {
				require.ErrorIs(t, f.Revoked(t.Context(), withID(n)), auth.ErrRevoked, "each that was revoked")
			}
			wrong := 0
			for n := range asked {
				if f.Revoked(t.Context(), withID("other "+strconv.Itoa(n))) != nil {
					wrong++
				}
			}
			want := rate * asked
			assert.Less(t, float64(wrong), want+5*math.Sqrt(want)+1, "of %d", asked)
			assert.Greater(t, float64(wrong), want/2-5*math.Sqrt(want)-1, "the filter is no larger than it has to be")
		})
	}
}

// proves T5
func TestAFullFilterRevokesNoMoreAndForgetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFilter(t, revoke.Spec{Lifetime: time.Hour, IDs: 10})
		for n := range 10 {
			require.NoError(t, f.Revoke(strconv.Itoa(n)))
		}
		assert.ErrorIs(t, f.Revoke("more"), revoke.ErrFull)
		assert.NoError(t, f.Revoke("3"), "which is revoked")
		for n := range 10 {
			assert.ErrorIs(t, f.Revoked(t.Context(), withID(n)), auth.ErrRevoked)
		}
		<-time.After(time.Hour)
		assert.NoError(t, f.Revoke("more"))
	})
}

// proves T6
func TestWhatIsWrongWithASpecIsAnError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec revoke.Spec
		want string
	}{
		{revoke.Spec{}, "revoke: New: Lifetime is 0s, want 1s or more"},
		{revoke.Spec{Lifetime: -1, IDs: -1, FalsePositives: 1, Claim: "a..b"}, "revoke: New: Lifetime is -1ns, want 1s or more\n" +
			"revoke: New: IDs is -1, want 0 or more\nrevoke: New: FalsePositives is 1, want 0 or more, and less than 1\nrevoke: New: claim \"a..b\""},
		{revoke.Spec{Lifetime: time.Hour, FalsePositives: math.NaN()}, "FalsePositives is NaN"},
		{revoke.Spec{Lifetime: time.Hour, IDs: 1 << 40}, "take more than 1 GiB"},
	} {
		_, err := revoke.New(tt.spec)
		assert.ErrorContains(t, err, tt.want)
	}
}

func TestAFilterIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	f, other := newFilter(t, revoke.Spec{Lifetime: time.Second}), newFilter(t, revoke.Spec{Lifetime: time.Second})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 500 {
				assert.NoError(t, f.Revoke(strconv.Itoa(g*500+n)))
				_ = f.Revoked(t.Context(), withID(n))
				if n%100 == 0 {
					b, err := f.MarshalBinary()
					assert.NoError(t, err)
					assert.NoError(t, other.Merge(b))
				}
			}
		})
	}
	all.Wait()
}

func TestFiltersShareWhatTheyRemember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := revoke.Spec{Lifetime: time.Hour, IDs: 1000}
		one, two := newFilter(t, spec), newFilter(t, spec)
		require.NoError(t, one.Revoke("old"))
		<-time.After(time.Hour)
		require.NoError(t, one.Revoke("a"))
		require.NoError(t, two.Revoke("b"))
		b, err := one.MarshalBinary()
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, two.Merge(b))
		}
		assert.Equal(t, 3, two.Len())
		for _, id := range []string{"old", "a", "b"} {
			assert.ErrorIs(t, two.Revoked(t.Context(), withID(id)), auth.ErrRevoked, id)
		}
		assert.NoError(t, one.Revoked(t.Context(), withID("b")))

		<-time.After(time.Hour) // what is merged late lasts no longer
		late := newFilter(t, spec)
		require.NoError(t, late.Merge(b))
		assert.ErrorIs(t, late.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
		assert.NoError(t, late.Revoked(t.Context(), withID("old")))
		<-time.After(time.Hour)
		require.NoError(t, late.Merge(b))
		assert.Zero(t, late.Len())
	})
}

func TestWhatIsNoFilterIsNotMerged(t *testing.T) {
	t.Parallel()
	f := newFilter(t, revoke.Spec{Lifetime: time.Hour, IDs: 1000})
	require.NoError(t, f.Revoke("a"))
	b, err := f.MarshalBinary()
	require.NoError(t, err)
	ahead := append([]byte{}, b...)
	ahead[25]++ // the number of the generation
	for name, b := range map[string][]byte{"nothing": nil, "short": b[:len(b)-1], "long": append(append([]byte{}, b...), 0), "version": append([]byte{9}, b[1:]...), "ahead": ahead} {
		assert.Error(t, newFilter(t, revoke.Spec{Lifetime: time.Hour, IDs: 1000}).Merge(b), name)
	}
	for _, other := range []revoke.Spec{{Lifetime: time.Hour}, {Lifetime: time.Minute, IDs: 1000}, {Lifetime: time.Hour, IDs: 1000, FalsePositives: 0.5}} {
		assert.ErrorContains(t, newFilter(t, other).Merge(b), "another Spec")
	}
}

func FuzzMerge(f *testing.F) {
	filter := newFilter(f, revoke.Spec{Lifetime: time.Hour, IDs: 1, FalsePositives: 0.5})
	require.NoError(f, filter.Revoke("a"))
	b, err := filter.MarshalBinary()
	require.NoError(f, err)
	f.Add([]byte{})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = filter.Merge(b)
		assert.ErrorIs(t, filter.Revoked(t.Context(), withID("a")), auth.ErrRevoked)
	})
}

// The peer is the exact set.
func BenchmarkRevoked(b *testing.B) {
	exact, err := auth.NewRevoked(auth.RevokedSpec{})
	require.NoError(b, err)
	filter := newFilter(b, revoke.Spec{Lifetime: time.Hour})
	for n := range 50_000 {
		require.NoError(b, exact.Revoke(strconv.Itoa(n), time.Now().Add(time.Hour)))
		require.NoError(b, filter.Revoke(strconv.Itoa(n)))
	}
	c := withID("8e03978e-40d5-43e8-bc93-6894a57f9324")
	b.Run("filter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = filter.Revoked(b.Context(), c)
		}
	})
	b.Run("exact", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = exact.Revoked(b.Context(), c)
		}
	})
}
