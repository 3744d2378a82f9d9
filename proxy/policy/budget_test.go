package policy_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// further makes failing calls and returns how many further tries there were.
func further(t *testing.T, p proxy.Proxy, calls int) int {
	t.Helper()
	tries := 0
	for range calls {
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
		if err.Error() == "retry: 2 tries: "+errReset.Error() {
			tries++
		} else {
			assert.ErrorIs(t, err, policy.ErrBudget)
		}
	}
	return tries
}

// proves T5
func TestRetryKeepsToItsBudgetByDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := fails(errReset).With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1}))
		assert.InDelta(t, 210, further(t, p, 1000), 1, "a fifth of the calls, and ten")
		<-time.After(2 * time.Second)
		assert.InDelta(t, 20+20, further(t, p, 100), 1, "and ten a second")
		<-time.After(time.Hour)
		assert.InDelta(t, 100+200, further(t, p, 1000), 1, "of ten seconds at most")
	})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		budget func() *policy.Budget
		want   int // further tries for 100 calls
	}{
		{"a share of the calls", func() *policy.Budget { return policy.NewBudget(0.25, 0) }, 25},
		{"more than one for each call", func() *policy.Budget { return policy.NewBudget(2, 0) }, 100},
		{"by time alone", func() *policy.Budget { return policy.NewBudget(0, 3) }, 3},
		{"none", func() *policy.Budget { return policy.NewBudget(0, 0) }, 0},
		{"the zero value", func() *policy.Budget { return new(policy.Budget) }, 0},
		{"without bound", func() *policy.Budget { return policy.NewBudget(-1, 0) }, 100},
		{"without bound, by time", func() *policy.Budget { return policy.NewBudget(0, -1) }, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := fails(errReset).With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1, Budget: tt.budget()}))
				assert.Equal(t, tt.want, further(t, p, 100))
			})
		})
	}
}

func TestPoliciesShareABudgetThatTheyAreGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := policy.NewBudget(0, 4)
		a := policy.Attempts{Max: 2, Backoff: -1, Budget: budget}
		one, two := fails(errReset).With(policy.Retry(a)), fails(errReset).With(policy.Retry(a))
		assert.Equal(t, 3, further(t, one, 3))
		assert.Equal(t, 1, further(t, two, 3))

		same := policy.Retry(policy.Attempts{Max: 2, Backoff: -1})
		one, two = fails(errReset).With(same), fails(errReset).With(same)
		assert.Equal(t, 12, further(t, one, 12))
		assert.Less(t, further(t, two, 12), 12, "one value, one budget")
		own := fails(errReset).With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1}))
		assert.Equal(t, 12, further(t, own, 12))
	})
}

func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(fails(errReset))
	p := upstream.With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1, Budget: policy.NewBudget(0.5, 0)}))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 250 {
				_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
			}
		})
	}
	all.Wait()
	assert.InDelta(t, 3000, calls.Load(), 10)
	assert.LessOrEqual(t, calls.Load(), int32(3000))
}
