package proxytest

import (
	"testing"

	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
)

// Check is Conform, but returns the faults that the laws find.
func Check(t *testing.T, d proxy.Decorator, o ...Options) error {
	return pipetest.Check(t, subjectOf(d, o...))
}
