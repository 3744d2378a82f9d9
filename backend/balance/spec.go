package balance

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// A Spec describes a [Pool]. Resolver is required; the zero values of all other fields are safe.
type Spec struct {
	// Name is the name of the pool in plans and errors. "" shows only the kind, and one that is not
	// printable is a fault.
	Name string

	// Resolver names the hosts.
	Resolver Resolver

	// Pick is how a call gets its host. The zero Picker is [PowerOfTwo].
	Pick Picker

	// Transport is what each host gets a copy of when it comes: an *h1.Transport or an *http.Transport,
	// whose later changes have no effect. nil is backend.NewDefaultTransport. The copy dials the host in
	// place of the address of the URL, with the Dial or DialContext of Transport if it has one.
	//
	// Another type is a fault. In an *http.Transport, also in that of a Fallback, a Proxy, Dial, DialTLS
	// or DialTLSContext would decide itself where to connect, and is a fault, as is HTTP/2 that was
	// configured with golang.org/x/net/http2: its connections would be shared. So is the Address of an
	// *h1.Transport. A dialer that sluice did not make is code of yours, and the pool then does not say
	// that it honours contexts; see backend.HTTP.
	Transport http.RoundTripper

	// Refresh is how long it takes until the resolver is asked again, a tenth more or less. 0 is
	// 30 s; if it is negative, the hosts stay those of the first answer. Less than 100 ms is a fault.
	// After a failure it is asked sooner: after 100 ms, and each time twice as long up to Refresh.
	Refresh time.Duration

	// Wait is how long calls wait for the first answer of the resolver, counted from the first call.
	// 0 is 5 s; if it is negative, they wait for as long as their context lasts.
	Wait time.Duration

	// Failures is how many failures in a row eject a host. 0 is 5, negative is none.
	Failures int

	// FailureRatio is the share of the calls of a host within Window that must fail to eject it,
	// more than 0 and at most 1. 0 is 0.5, and a negative ratio never does.
	FailureRatio float64

	// MinCalls is how many calls of a host within Window there must be for FailureRatio to count. 0
	// is 20, and negative is 1.
	MinCalls int

	// Window is the time whose calls count, in ten equal steps. 0 is 10 s; negative is a fault.
	Window time.Duration

	// Ejection is how long a host is ejected for the first time; for the second it is twice, and so
	// on. 0 is 10 s; negative is a fault.
	Ejection time.Duration

	// MaxEjection is how long a host is ejected at most. 0 is 5 min, or Ejection if that is longer;
	// negative is no limit. Less than Ejection is a fault.
	MaxEjection time.Duration

	// MaxEjected is the share of all hosts that may be ejected at a time, rounded down to whole
	// hosts, at most 1. So by default a host that is alone is never ejected. A host that is down
	// takes none of that. 0 is 0.5, negative is no limit.
	MaxEjected float64

	// Panic is the share of the hosts of a priority that must be up for the pool to keep to those,
	// at most 1. If no priority has as many, all hosts are used. 0 is 0.5; if it is negative, a
	// priority with one host that is up is enough.
	Panic float64

	// SlowStart is how long it takes until a host that is back, or that comes later than the first
	// ones, gets its full share. It begins with a tenth. 0 is 10 s, negative is none.
	SlowStart time.Duration

	// Probe asks the hosts whether they are well, while [Pool.Run] runs. nil asks none.
	Probe *Probe

	// OnChange is called after the state of a host has changed, if it is not nil. The calls follow
	// each other in the order of the changes, and no lock is held: it may ask the pool for its
	// state. The call that has changed the state waits for it, but no longer than 500 ms, nor than
	// its context lasts; of what changes while OnChange blocks, the first 1,000 are told when it has
	// returned. If it panics, that is reported and changes nothing; see proxy.Report.
	OnChange func(Change)
}

const (
	defaultRefresh     = 30 * time.Second
	defaultWait        = 5 * time.Second
	defaultFailures    = 5
	defaultRatio       = 0.5
	defaultMinCalls    = 20
	defaultWindow      = 10 * time.Second
	defaultEjection    = 10 * time.Second
	defaultMaxEjection = 5 * time.Minute
	defaultMaxEjected  = 0.5
	defaultPanic       = 0.5
	defaultSlowStart   = 10 * time.Second
)

// minInterval is how often the resolver and the hosts may be asked: less is a number without its unit.
const minInterval = 100 * time.Millisecond

// ejects reports whether failures can eject a host.
func (s *Spec) ejects() bool { return s.Failures > 0 || s.FailureRatio > 0 }

// A Factory makes a pool from a Spec. This package's own is FactoryFunc(balance.New). Another
// factory can add what every pool of an organization should have.
type Factory interface {
	New(Spec) (*Pool, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (*Pool, error)

// New calls f. A nil f is a fault.
func (f FactoryFunc) New(s Spec) (*Pool, error) {
	if f == nil {
		err := errors.New("balance: FactoryFunc: the function is nil")
		return &Pool{fault: err, spec: Spec{Name: s.Name}, source: pipe.Here()}, err
	}
	return f(s)
}

// where is how errors name the pool and the package.
func (s *Spec) where() string { return "balance: " + s.label() }

// label is how errors name the pool.
func (s *Spec) label() string {
	switch {
	case s.Name == "":
		return "pool"
	case !printable(s.Name):
		return "pool " + strconv.Quote(s.Name)
	}
	return "pool " + s.Name
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// fault returns what is wrong with the spec, joined, each with the name of the pool.
func (s *Spec) fault() error {
	var errs []error
	note := func(err error) {
		for _, err := range call.Joined(err) {
			errs = append(errs, fmt.Errorf("%s: %w", s.where(), err))
		}
	}
	if !printable(s.Name) {
		note(errors.New("the Name has characters that are not printable"))
	}
	note(resolverFault(s.Resolver))
	note(s.Pick.fault())
	note(transportFault(s.Transport))
	check := func(fine bool, field string, value any, want string) {
		if !fine {
			note(fmt.Errorf("%s is %v, want %s", field, value, want))
		}
	}
	check(s.Refresh <= 0 || s.Refresh >= minInterval, "Refresh", s.Refresh, "100ms or more")
	check(s.FailureRatio <= 1, "FailureRatio", s.FailureRatio, "more than 0 and at most 1")
	check(s.Window >= 0, "Window", s.Window, "more than 0")
	check(s.Ejection >= 0, "Ejection", s.Ejection, "more than 0")
	ejection := cmp.Or(s.Ejection, defaultEjection)
	check(s.MaxEjection <= 0 || s.MaxEjection >= ejection, "MaxEjection", s.MaxEjection, fmt.Sprintf("the Ejection of %v or more", ejection))
	check(s.MaxEjected <= 1, "MaxEjected", s.MaxEjected, "at most 1")
	check(s.Panic <= 1, "Panic", s.Panic, "at most 1")
	if s.Probe != nil {
		note(s.Probe.fault())
	}
	return errors.Join(errs...)
}

func resolverFault(r Resolver) error {
	switch r := r.(type) {
	case nil:
		return errors.New("the Resolver is nil")
	case ResolverFunc:
		if r == nil {
			return errors.New("the ResolverFunc is nil")
		}
	case Hosts:
		return r.fault()
	case dns:
		return r.fault()
	case srv:
		return r.fault()
	}
	if call.IsNil(r) {
		return errors.New("the Resolver is a nil pointer")
	}
	return nil
}

// transportFault returns what keeps a transport from being that of each host.
func transportFault(rt http.RoundTripper) error {
	switch t := rt.(type) {
	case nil:
		return nil
	case *http.Transport:
		return netHTTPFault(t)
	case *h1.Transport:
		return h1Fault(t)
	}
	return fmt.Errorf("the Transport is a %T, want an *h1.Transport or an *http.Transport", rt)
}

func h1Fault(t *h1.Transport) error {
	if t == nil {
		return errors.New("the Transport is a nil pointer")
	}
	var errs []error
	if t.Address != "" {
		errs = append(errs, errors.New("the Transport has an Address, which would choose the host"))
	}
	switch f := t.Fallback.(type) {
	case nil:
	case *http.Transport:
		errs = append(errs, netHTTPFault(f))
	default:
		errs = append(errs, fmt.Errorf("the Fallback of the Transport is a %T, want an *http.Transport", f))
	}
	return errors.Join(errs...)
}

func netHTTPFault(t *http.Transport) error {
	if t == nil {
		return errors.New("the Transport is a nil pointer")
	}
	var errs []error
	refuse := func(set bool, field string) {
		if set {
			errs = append(errs, fmt.Errorf("the Transport has a %s, which would choose the host", field))
		}
	}
	refuse(t.Proxy != nil, "Proxy")
	//lint:ignore SA1019 who still sets it has to know
	refuse(t.Dial != nil, "Dial")
	//lint:ignore SA1019 as above
	refuse(t.DialTLS != nil, "DialTLS")
	refuse(t.DialTLSContext != nil, "DialTLSContext")
	if len(t.Clone().TLSNextProto) > 0 {
		errs = append(errs, errors.New("the Transport has a TLSNextProto, whose connections all hosts would share"))
	}
	return errors.Join(errs...)
}

func (s Spec) withDefaults() Spec {
	s.Refresh = cmp.Or(s.Refresh, defaultRefresh)
	s.Wait = cmp.Or(s.Wait, defaultWait)
	s.Failures = cmp.Or(s.Failures, defaultFailures)
	s.FailureRatio = cmp.Or(s.FailureRatio, defaultRatio)
	s.MinCalls = max(cmp.Or(s.MinCalls, defaultMinCalls), 1)
	s.Window = cmp.Or(s.Window, defaultWindow)
	s.Ejection = cmp.Or(s.Ejection, defaultEjection)
	s.MaxEjection = cmp.Or(s.MaxEjection, max(defaultMaxEjection, s.Ejection))
	s.MaxEjected = cmp.Or(s.MaxEjected, defaultMaxEjected)
	s.Panic = cmp.Or(s.Panic, defaultPanic)
	s.SlowStart = max(cmp.Or(s.SlowStart, defaultSlowStart), 0)
	if s.Probe != nil {
		probe := s.Probe.withDefaults()
		s.Probe = &probe
	}
	return s
}
