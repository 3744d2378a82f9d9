package flow

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
)

// These are the limits of an [Each] that is told no others.
const (
	DefaultParallel = 8    // calls at the same time
	DefaultKeys     = 1000 // distinct keys
)

// ErrTooManyKeys is why an [Each] makes no calls: it would make more than it may. It comes in a
// [*proxy.Error] of status 502, because the list is an upstream's. The text of that error says how
// many keys there are, and the limit.
var ErrTooManyKeys = errors.New("too many keys")

// Limits says how many calls an [Each] may make. No Each is without limits: a negative one is a
// fault in the plan.
type Limits struct {
	Parallel int // how many calls run at the same time; 0 is DefaultParallel
	Keys     int // how many distinct keys there may be, each a call; 0 is DefaultKeys
}

// orDefaults returns the limits with the default in place of each 0. Limits that are wrong are
// faults of the node n.
func (l Limits) orDefaults(n *node, what string) Limits {
	l.Parallel = limit(n, what, "Parallel", l.Parallel, DefaultParallel)
	l.Keys = limit(n, what, "Keys", l.Keys, DefaultKeys)
	return l
}

func limit(n *node, what, field string, value, zero int) int {
	if value < 0 {
		n.fault(what, "%s is %d, want 0 or more", field, value)
	}
	if value == 0 {
		return zero
	}
	return value
}

// check returns an error if there are more keys than the limit.
func (l Limits) check(keys int) error {
	if keys <= l.Keys {
		return nil
	}
	return &proxy.Error{Status: http.StatusBadGateway, Err: fmt.Errorf("%w: %d, the limit is %d", ErrTooManyKeys, keys, l.Keys)}
}

// String describes the limits in a plan.
func (l Limits) String() string {
	return fmt.Sprintf("%d at once, at most %d keys", l.Parallel, l.Keys)
}
