package balance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Resolver names the hosts of a service. It is never asked twice at the same time by one pool.
//
// It may be code of yours: a panic is its error, and one that ignores its context is left after
// 5 s and asked again when it has returned. An error, or an answer without hosts, changes nothing
// for a pool that has hosts; but an error that wraps [ErrWithdrawn] leaves it none. What is wrong
// with one host leaves that out and is in the Err of [Pool.State]. Of two hosts of one address, the
// first of the lower priority counts.
type Resolver interface {
	Resolve(ctx context.Context) ([]Host, error)
}

// ResolverFunc makes a function a [Resolver].
type ResolverFunc func(ctx context.Context) ([]Host, error)

// Resolve calls f.
func (f ResolverFunc) Resolve(ctx context.Context) ([]Host, error) {
	if f == nil {
		return nil, errors.New("the ResolverFunc is nil")
	}
	return f(ctx)
}

// Hosts is a [Resolver] that always names the same hosts, for weights and priorities:
//
//	balance.Hosts{{Address: "10.0.0.1:8080", Weight: 3}, {Address: "10.0.0.2:8080"}}
//
// A pool has them from the start. What is wrong with one of them is a fault of [New].
type Hosts []Host

// Static returns the hosts of these addresses, as in Static("10.0.0.1:8080", "10.0.0.2:8080").
func Static(hosts ...string) Hosts {
	h := make(Hosts, len(hosts))
	for i, address := range hosts {
		h[i].Address = address
	}
	return h
}

// Resolve returns h.
func (h Hosts) Resolve(context.Context) ([]Host, error) { return h, nil }

// String returns "static".
func (h Hosts) String() string { return "static" }

// fault returns what is wrong with the hosts, joined.
func (h Hosts) fault() error {
	if len(h) == 0 {
		return errors.New("there are no hosts")
	}
	var errs []error
	seen := map[string]bool{}
	for _, host := range h {
		errs = append(errs, host.check())
		if seen[host.Address] {
			errs = append(errs, fmt.Errorf("host %q is there twice", host.Address))
		}
		seen[host.Address] = true
	}
	if len(h) > MaxHosts {
		errs = append(errs, fmt.Errorf("there are %d hosts, want at most %d", len(h), MaxHosts))
	}
	return errors.Join(errs...)
}

// accept returns the hosts of an answer that a pool can use, by priority and address, and what is
// wrong with the others.
func accept(answer []Host) ([]Host, error) {
	var (
		hosts []Host
		wrong error
		bad   int
	)
	for _, h := range answer {
		if err := h.check(); err != nil {
			if bad++; wrong == nil {
				wrong = err
			}
			continue
		}
		if h.Weight == 0 {
			h.Weight = 1
		}
		h.Address = strings.ToLower(h.Address)
		hosts = append(hosts, h)
	}
	if bad > 1 {
		wrong = fmt.Errorf("%w, and %d more are wrong", wrong, bad-1)
	}
	slices.SortStableFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Address, b.Address))
	})
	seen := make(map[string]bool, len(hosts))
	hosts = slices.DeleteFunc(hosts, func(h Host) bool {
		again := seen[h.Address]
		seen[h.Address] = true
		return again
	})
	if len(hosts) > MaxHosts {
		wrong = errors.Join(wrong, fmt.Errorf("%d hosts, of which %d are used", len(hosts), MaxHosts))
		hosts = slices.Clone(hosts[:MaxHosts])
	}
	return hosts, wrong
}
