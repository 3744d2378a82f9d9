//go:build unix

package bench_test

import (
	"syscall"
	"testing"
	"time"
)

// processorTime returns the user and system time of the process.
func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
