package main

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The program starts itself again in other roles, and so do its tests.
func TestMain(m *testing.M) {
	if played, err := play(context.Background()); played {
		exit(err)
	}
	if os.Getenv("GORACE") == "" { // under the race detector each process sleeps for a second at its end
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	goleak.VerifyTestMain(m)
}
