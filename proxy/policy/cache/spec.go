package cache

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-go/sluice/internal/field"
)

// A Spec describes a [Cache]. The zero value is ready to use.
type Spec struct {
	// Name is the name of the cache in the plan, in errors and in the Cache-Status of answers. Caches
	// that share a Store need different names. "" is "sluice".
	Name string

	// Store is where answers are kept. nil is a [Memory] of its own, of 64 MiB.
	Store Store

	// TTL is how long an answer is fresh that says nothing about that, if its status is one that
	// HTTP allows it for: 200, 203, 204, 300, 301, 308, 404, 405, 410, 414 or 501. The answer of a
	// merge has no header of an upstream, so that only with a TTL it is kept at all. 0 keeps no such
	// answer, but for those with a Last-Modified, which are fresh for a tenth of their age, 24 h at
	// most. The age of an upstream's answer counts from its Date, which is in whole seconds: one that
	// comes just after the next second began is a second old, and so is stale with a shorter TTL.
	TTL time.Duration

	// StaleWhileRevalidate and StaleIfError are how long an answer may be given after it was fresh
	// (RFC 5861), where it says nothing about that itself: while it is asked for again, and if that
	// fails. 0 is no such time.
	StaleWhileRevalidate time.Duration
	StaleIfError         time.Duration

	// Targets are names of fields such as CDN-Cache-Control that speak to this cache (RFC 9213). The
	// first one that an answer has, and that can be read, counts in place of Cache-Control and
	// Expires.
	Targets []string

	// Tags is the name of the field in which answers list their tags, between spaces or commas, such
	// as Cache-Tag; see [Cache.PurgeTag]. An answer with more than 64 is not kept. "" is none.
	Tags string

	// StoreCookies keeps answers with a Set-Cookie, if they may be kept otherwise. Every client then
	// gets the same cookie.
	StoreCookies bool

	// MaxObject is the size of the largest Document or stream that is kept, in bytes. 0 is 1 MiB, and
	// a negative MaxObject is no limit.
	MaxObject int

	// MaxVariants is how many answers to one request are kept that differ by what Vary names. 0 is
	// 16, and a negative MaxVariants is no limit. Of too many the oldest goes.
	MaxVariants int

	// MaxCalls is how many calls are shared at a time. 0 is 10,000, and a negative MaxCalls is no
	// limit. A call above the limit is not shared.
	MaxCalls int

	// MaxRevalidations is how many answers are asked for in the background at a time, by [Cache.Run].
	// 0 is 16, and a negative MaxRevalidations is none: the first caller then waits.
	MaxRevalidations int

	// Timeout is how long a call in the background may take. 0 is 10 s, and a negative Timeout is a
	// fault, because nothing else ends such a call.
	Timeout time.Duration
}

const (
	defaultName          = "sluice"
	defaultMaxObject     = 1 << 20
	defaultMaxVariants   = 16
	defaultMaxCalls      = 10_000
	defaultRevalidations = 16
	defaultTimeout       = 10 * time.Second
)

func (s Spec) withDefaults() Spec {
	if s.Name == "" {
		s.Name = defaultName
	}
	if s.MaxObject == 0 {
		s.MaxObject = defaultMaxObject
	}
	if s.MaxVariants == 0 {
		s.MaxVariants = defaultMaxVariants
	}
	if s.MaxCalls == 0 {
		s.MaxCalls = defaultMaxCalls
	}
	if s.MaxRevalidations == 0 {
		s.MaxRevalidations = defaultRevalidations
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	s.Targets = slices.Clone(s.Targets)
	for i, name := range s.Targets {
		s.Targets[i] = http.CanonicalHeaderKey(name)
	}
	s.Tags = http.CanonicalHeaderKey(s.Tags)
	return s
}

// where is how faults name the cache.
func (s Spec) where() string {
	if s.Name == "" {
		return "cache: New"
	}
	return "cache: New (" + s.Name + ")"
}

// fault returns what is wrong with the spec, joined, or nil.
func (s Spec) fault() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", s.where(), fmt.Errorf(format, args...)))
	}
	if s.Name != "" && !field.IsToken(s.Name) {
		fault("Name is %q, want a token such as items", s.Name)
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"TTL", s.TTL}, {"StaleWhileRevalidate", s.StaleWhileRevalidate}, {"StaleIfError", s.StaleIfError}, {"Timeout", s.Timeout}} {
		if t.d < 0 {
			fault("%s is %v, want 0 or more", t.name, t.d)
		}
	}
	for _, name := range s.Targets {
		if !field.IsToken(name) {
			fault("Targets: %q is not the name of a header", name)
		}
	}
	if s.Tags != "" && !field.IsToken(s.Tags) {
		fault("Tags: %q is not the name of a header", s.Tags)
	}
	return errors.Join(errs...)
}
