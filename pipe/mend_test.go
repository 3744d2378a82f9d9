package pipe_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
)

// An emptyJoin is an error that joins nothing.
type emptyJoin struct{}

func (emptyJoin) Error() string   { return "nothing joined" }
func (emptyJoin) Unwrap() []error { return nil }

func TestAFaultThatJoinsNothingIsReported(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"nothing joined":        emptyJoin{},
		"%!w(<nil>) %!w(<nil>)": fmt.Errorf("%w %w", error(nil), error(nil)),
		"a and b":               fmt.Errorf("%w and %w", errors.New("a"), errors.New("b")),
	} {
		p := pipe.Check[int, int](nil, err)
		assert.ErrorContains(t, pipe.PlanOf(p).Faults(), want)
	}
}

func TestStepsThatNoPlanCanShowAreFaults(t *testing.T) {
	t.Parallel()
	serve := pipe.Pipe[int, int](nil)
	deep := &pipe.Step{Kind: "deep", State: []int{1}, Steps: []*pipe.Step{nil}}
	plan := pipe.PlanOf(pipe.Describe(serve, pipe.Step{Kind: "mine", Err: errors.New("mine"), Steps: []*pipe.Step{nil, deep, deep}}))
	for _, want := range []string{"mine", "an inner step of mine is nil", "the State of deep cannot be compared", "an inner step of deep is nil"} {
		assert.ErrorContains(t, plan.Faults(), want)
	}
	assert.Contains(t, plan.String()+plan.Verbose()+plan.Mermaid(), "deep")
	_, err := plan.MarshalJSON()
	assert.NoError(t, err)
}
