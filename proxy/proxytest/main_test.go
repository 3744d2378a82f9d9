package proxytest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// A failures is a test that keeps its failures.
type failures struct {
	testing.TB

	mu   sync.Mutex
	text strings.Builder
}

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(&f.text, format+"\n", args...)
}

func (f *failures) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(f)
}

// failed returns the failures of run.
func failed(run func(t testing.TB)) string {
	f := new(failures)
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(f) {
				panic(v)
			}
		}()
		run(f)
	}()
	return strings.TrimSuffix(f.text.String(), "\n")
}
