package lend_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/lend"
)

// fill writes to all of what was borrowed, and returns it.
func fill(b []byte, with byte) []byte {
	b = b[:cap(b)]
	for i := range b {
		b[i] = with
	}
	return b
}

// poisoned reports whether memory went back.
func poisoned(b []byte) bool { return b[0] == 0xFF && b[len(b)-1] == 0xFF }

// It is not parallel: others must not borrow what it looks at.
func TestMemoryOfEachSizeIsLentAndGoesBack(t *testing.T) {
	for _, n := range []int{1, 1023, 1024, 1025, 4096, 20_001, 128<<10 + 1, lend.Most - 1, lend.Most} {
		var a lend.Arena
		b := a.Bytes(n)
		require.Empty(t, b)
		require.Equal(t, n, cap(b))
		b = fill(b, 'a')
		a.End(true)
		assert.True(t, poisoned(b), "%d bytes", n)
	}
}

func TestNothingGoesBackUnlessAllIsOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(*lend.Arena)
	}{
		{"the answer is not whole", func(a *lend.Arena) { a.End(false) }},
		{"something goes on", func(a *lend.Arena) { a.Lose(); a.End(true) }},
		{"a call is under way", func(a *lend.Arena) { a.Begin(); a.End(true); a.Done() }},
		{"a second end", func(a *lend.Arena) { a.End(false); a.End(true) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a lend.Arena
			b := fill(a.Bytes(2000), 'a')
			tt.end(&a)
			assert.Equal(t, fill(make([]byte, 2000), 'a'), b)
		})
	}
}

func TestWhatIsTooLargeIsNotLent(t *testing.T) {
	t.Parallel()
	var a lend.Arena
	b := fill(a.Bytes(lend.Most+1), 'a')
	a.End(true)
	assert.False(t, poisoned(b))
}

// After its end an arena still gives memory, which is nobody else's.
func TestAnArenaThatHasEndedMakesNewMemory(t *testing.T) {
	t.Parallel()
	var a lend.Arena
	a.End(true)
	b := fill(a.Bytes(5000), 'a')
	a.End(true)
	assert.False(t, poisoned(b))
	b = fill(a.Grow(b[:5000], 6000), 'b')
	assert.Equal(t, byte('b'), b[5999])
}

// It is not parallel: others must not borrow what it looks at.
func TestGrowKeepsWhatIsThereAndTakesTheOldMemoryBack(t *testing.T) {
	var a lend.Arena
	small := append(a.Bytes(1000), "some text"...)
	other := append(a.Bytes(1000), "other text"...)
	large := a.Grow(small, 3000)
	assert.Equal(t, "some text", string(large))
	assert.Equal(t, 3000, cap(large))
	assert.True(t, poisoned(small))
	assert.Equal(t, "other text", string(other))
	a.End(true)
	assert.True(t, poisoned(large))
	assert.True(t, poisoned(other))
}

func TestNoArenaMakesNewMemory(t *testing.T) {
	t.Parallel()
	a := lend.Of(context.Background())
	require.Nil(t, a)
	a.Begin()
	b := append(a.Bytes(10), "text"...)
	b = a.Grow(b, 20)
	a.Lose()
	a.Done()
	assert.Equal(t, "text", string(b))
	assert.Equal(t, 20, cap(b))
}

// Exchanges that run at once, each with calls that run at once, never share memory.
func TestExchangesNeverShareMemory(t *testing.T) {
	t.Parallel()
	var exchanges sync.WaitGroup
	for i := range 8 {
		exchanges.Go(func() {
			for range 100 {
				var a lend.Arena
				var calls sync.WaitGroup
				for j := range 4 {
					calls.Go(func() {
						a.Begin()
						defer a.Done()
						text := fmt.Sprintf("%d %d", i, j)
						b := append(a.Bytes(100), text...)
						b = a.Grow(b, 2000)
						assert.Equal(t, text, string(b))
					})
				}
				calls.Wait()
				a.End(true)
			}
		})
	}
	exchanges.Wait()
}
