package pipetest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain leaves the goroutines out that decorators of the tests leave on purpose.
func TestMain(m *testing.M) {
	const here = "github.com/sluice-go/sluice/pipe/pipetest_test."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(here+"await"), goleak.IgnoreAnyFunction(here+"take"),
		goleak.IgnoreAnyFunction(here+"sleepForADay"))
}
