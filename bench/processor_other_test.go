//go:build !unix

package bench_test

import (
	"testing"
	"time"
)

// processorTime skips b: there is no portable way to ask for the time of a process.
func processorTime(b *testing.B) time.Duration {
	b.Skip("the processor time is not known here")
	return 0
}
