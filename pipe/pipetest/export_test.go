package pipetest

import (
	"testing"
	"time"
)

// CheckWithin is Check, but a law cannot end if its bubble stands still for the given time.
func CheckWithin[Req, Res any](t *testing.T, s Subject[Req, Res], still time.Duration) error {
	return check(t, s, still)
}
