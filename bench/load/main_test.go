package main

import (
	"context"
	"testing"

	"go.uber.org/goleak"
)

// The program starts itself again in other roles, and so do its tests.
func TestMain(m *testing.M) {
	if played, err := play(context.Background()); played {
		exit(err)
	}
	goleak.VerifyTestMain(m)
}
