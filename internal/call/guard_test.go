package call_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
)

// An answer counts how often it is closed.
type answer struct{ closed int }

func (a *answer) Close() error {
	if a != nil {
		a.closed++
	}
	return nil
}

// proves M19
func TestCheckedHoldsAPipeToItsContract(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	both := new(answer)
	res, err := call.Checked(both, boom)
	assert.Nil(t, res)
	assert.Same(t, boom, err)
	assert.Equal(t, 1, both.closed, "a response beside an error is closed")

	_, err = call.Checked[*answer](nil, nil)
	assert.Equal(t, call.ErrNoResponse, err)
	_, err = call.Checked[*answer](nil, boom)
	assert.Same(t, boom, err)
	good := new(answer)
	res, err = call.Checked(good, nil)
	assert.Same(t, good, res)
	assert.NoError(t, err)
	assert.Zero(t, good.closed)
}

func TestEndedTellsPanicAndGoexitApart(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, call.PanicOf("bug"), "panic: bug")
	assert.EqualError(t, call.PanicOf(nil), "panic: runtime.Goexit was called")
	assert.True(t, call.Panicked(fmt.Errorf("part x: %w", call.PanicOf("bug"))))
	assert.False(t, call.Panicked(errors.New("bug")))
}
