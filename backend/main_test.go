package backend_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}
