package proxy

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/sluice-go/sluice/pipe"
)

// Fault returns a decorator to use in place of one that cannot be made:
//
//	if n < 1 {
//		return proxy.Fault(fmt.Errorf("house: Slots: n is %d, want 1 or more", n))
//	}
//
// The proxy that it wraps is not called: every call fails with err. The plan carries err, so the
// endpoint, router or agent that serves the proxy refuses it at startup, and reports err together
// with all other faults. See [pipe.Fault].
func Fault(err error) Decorator { return pipe.Fault[*Request, *Response](err) }

// faults collects what is wrong with the wiring of one combinator, for the Err of its step.
type faults struct {
	what string // as in "Merge (page)"
	errs []error
}

func faultsOf(what, name string) *faults { return &faults{what: what + inBrackets(name)} }

func (f *faults) add(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("proxy: "+f.what+": "+format, args...))
}

func (f *faults) err() error { return errors.Join(f.errs...) }

// numbered returns the number of an element of a list, from its index, and its name if it has
// another than that number, as in "part 2 (user)".
func numbered(noun string, i int, name string) string {
	n := strconv.Itoa(i + 1)
	if name == n {
		name = ""
	}
	return noun + " " + n + inBrackets(name)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}
