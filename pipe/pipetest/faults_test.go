package pipetest_test

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

func ExampleFaults() {
	broken := pipe.Check(pipe.Pipe[int, int](nil), errors.New("no address"))
	fmt.Println(pipetest.Faults(pipe.PlanOf(broken.With(pipe.Fault[int, int](errors.New("no key"))))))
	// Output:
	// no key
	// no address
}
