package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fault is what is wrong with a service. The zero fault is none.
type fault struct {
	Latency time.Duration // before each answer
	Errors  float64       // the share of requests that is answered with 503
	Hang    bool          // no request is answered until the next change
	Crash   bool          // nobody listens, and all connections are closed
	Cut     bool          // answers end in their middle
}

// parseFault reads a fault from a query such as latency=300ms&errors=0.5&hang=1&crash=1&cut=1.
func parseFault(query string) (fault, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fault{}, err
	}
	var f fault
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := f.set(name, values[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(errs) > 0 {
		return fault{}, errors.Join(errs...)
	}
	return f, nil
}

func (f *fault) set(name string, values []string) (err error) {
	if len(values) != 1 {
		return errors.New("there is more than one value")
	}
	value := values[0]
	switch name {
	case "latency":
		if f.Latency, err = time.ParseDuration(value); err == nil && f.Latency < 0 {
			err = errors.New("want 0 or more")
		}
	case "errors":
		if f.Errors, err = strconv.ParseFloat(value, 64); err == nil && !(f.Errors >= 0 && f.Errors <= 1) {
			err = errors.New("want a share from 0 to 1")
		}
	case "hang":
		f.Hang, err = strconv.ParseBool(value)
	case "crash":
		f.Crash, err = strconv.ParseBool(value)
	case "cut":
		f.Cut, err = strconv.ParseBool(value)
	default:
		err = errors.New("there is no such fault")
	}
	return err
}

// String returns the faults as a reader of the view wants them, and "" if there are none.
func (f fault) String() string {
	var parts []string
	if f.Latency > 0 {
		parts = append(parts, "latency "+f.Latency.String())
	}
	if f.Errors > 0 {
		parts = append(parts, fmt.Sprintf("errors %.0f %%", 100*f.Errors))
	}
	for _, p := range []struct {
		name string
		is   bool
	}{{"hang", f.Hang}, {"crash", f.Crash}, {"cut", f.Cut}} {
		if p.is {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, ", ")
}
