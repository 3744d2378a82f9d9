package pipetest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain ignores the goroutines that decorators of the tests leave behind on purpose.
func TestMain(m *testing.M) {
	const here = "github.com/sluice-go/sluice/pipe/pipetest_test."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(here+"await"), goleak.IgnoreAnyFunction(here+"take"),
		goleak.IgnoreAnyFunction(here+"sleepForADay"))
}
