package lend_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
)

func TestMain(m *testing.M) {
	lend.Poison = true
	goleak.VerifyTestMain(m)
}
