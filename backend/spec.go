package backend

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// A Spec describes one upstream: what is called, what of the client's request goes there, and how the answer is read.
// The zero value of every field but URL is a safe default. How a call behaves in time is not in a Spec; that is what
// decorators are for. Who made a Spec may change its slices and maps once New has returned.
type Spec struct {
	// Name is the upstream's in the plan and in errors. "" shows the kind alone.
	Name string

	// Method is what the upstream is called with, in upper case. "" is the method of the request, except that a HEAD of
	// which the answer is decoded asks with GET. CONNECT is refused.
	Method string

	// URL is the address, http or https, with placeholders for params of the request:
	//
	//	http://users:8080/v1/users/{id}          a segment
	//	http://users:8080/v1/user-{id}.json      a part of a segment
	//	http://orders:8080/orders?user={id}&all  a value of the query; the others are fixed
	//	http://files:8080/static/{*}             all segments that the route's wildcard stands for
	//
	// A placeholder is one segment or one value, whatever the param holds: it is escaped by its place and put in once. A
	// name consists of letters, digits, "_", "-" and "."; a literal brace is written %7B or %7D. {*} keeps empty segments
	// and a trailing slash, and stands for whole segments of a path only.
	//
	// A value that is empty, "." or "..", or that holds NUL, CR or LF, and one that is missing, fails the call with 502
	// (Op "resolve"); in {*} a segment may be empty.
	//
	// User and password in the URL go as basic authentication (RFC 7617) and are never shown.
	URL string

	// Given names the params that code fills in, such as a function of a flow: placeholders of URL that the route need not
	// have. "*" is the wildcard rest. A name that URL does not have is an error of New.
	Given []string

	// Headers names the client's headers that go to the upstream, none by default. "*" is all, and "-Cookie" beside it
	// takes one back. Hop-by-hop headers, Host and the framing of a body never go, named or not, and If-* and Range only
	// by Passthrough. What code puts in Request.Upstream needs no name here.
	//
	// What never goes and what is taken back does not go under the name of a twin either: one that is equal, without regard
	// to case, once every byte but letters and digits is "-", as X_User and X.User are twins of X-User.
	Headers []string

	// Query names the client's query parameters that go to the upstream, none by default, with all their values. "*" is
	// all, and "-debug" beside it takes one back. Names are exact. A parameter that URL has is never the client's.
	Query []string

	// Host is what the upstream is told in the Host header. "" is the host of URL. A "Host" in Request.Upstream wins.
	Host string

	// Expose names the headers of the upstream's answer that a decoded response carries, none by default. What describes
	// the upstream's payload (Content-*, ETag, Last-Modified and the like) cannot be exposed: the payload is ours. A
	// Passthrough carries all end-to-end headers, and Expose is then an error.
	Expose []string

	// Decode makes a Document of the answer's body. nil is JSON; see Passthrough for a stream.
	Decode Decoder

	// Statuses are those of a success, each from 200 to 999, without 304. nil is 200 to 299 without 206. With
	// Passthrough every status is passed on, and Statuses is an error.
	Statuses []int

	// MapStatus gives upstream statuses that are failures another status for the client, from 400 to 599. Those it does
	// not name are mapped as in the package documentation. With Passthrough it is an error.
	MapStatus map[int]int

	// MaxBytes bounds the decoded body, in bytes after decompression; a larger one fails the call and is not read on. 0
	// is DefaultMaxBytes, negative is no limit. It does not apply to a Passthrough.
	MaxBytes int64

	// MaxErrorBytes bounds how much of a failure's body is kept in the error, for decorators; see
	// proxy.UpstreamAnswer. 0 is DefaultMaxErrorBytes, negative is as much as MaxBytes allows. What has not come 50 ms
	// after the status is not waited for.
	MaxErrorBytes int64
}

const (
	// DefaultMaxBytes bounds a decoded body when [Spec] says nothing: 8 MiB.
	DefaultMaxBytes = 8 << 20
	// DefaultMaxErrorBytes bounds the body that the error of a failure keeps when [Spec] says nothing: 4 KiB.
	DefaultMaxErrorBytes = 4 << 10
)

// ErrTooLarge is why a decoded body above Spec.MaxBytes fails the call, with status 502.
var ErrTooLarge = errors.New("the body is too large")

// fault returns an error about the Spec that names the backend.
func (s *Spec) fault(format string, args ...any) error {
	if s.Name == "" {
		return fmt.Errorf("backend: "+format, args...)
	}
	return fmt.Errorf("backend "+printable(s.Name)+": "+format, args...)
}

// streams reports whether the answer is passed on as it comes.
func (s *Spec) streams() bool { return s.Decode == Passthrough }

// check joins everything that is wrong with the Spec beside its URL and lists.
func (s *Spec) check() []error {
	var errs []error
	switch {
	case s.Method == http.MethodConnect:
		errs = append(errs, s.fault("method: CONNECT makes a tunnel, which is not served"))
	case s.Method != "" && (!field.IsToken(s.Method) || s.Method != strings.ToUpper(s.Method)):
		errs = append(errs, s.fault("method: %q is not a method in upper case", s.Method))
	}
	if s.Host != "" && !isHost(s.Host) {
		errs = append(errs, s.fault("host: %q is not a host", s.Host))
	}
	if s.streams() {
		if s.Statuses != nil {
			errs = append(errs, s.fault("statuses: a passthrough passes on every status"))
		}
		if s.MapStatus != nil {
			errs = append(errs, s.fault("map status: a passthrough passes on every status"))
		}
		if s.Expose != nil {
			errs = append(errs, s.fault("expose: a passthrough carries all headers"))
		}
		return errs
	}
	for _, status := range s.Statuses {
		if status < 200 || status > 999 || status == http.StatusNotModified {
			errs = append(errs, s.fault("statuses: %d cannot be a success, want 200 to 999 without 304", status))
		}
	}
	for _, from := range sortedKeys(s.MapStatus) {
		to := s.MapStatus[from]
		if from < 100 || from > 999 || to < 400 || to > 599 {
			errs = append(errs, s.fault("map status: %d to %d, want a status to one of 400 to 599", from, to))
		}
		if s.succeeds(from) {
			errs = append(errs, s.fault("map status: %d is a success", from))
		}
	}
	return errs
}

// succeeds reports whether a decoded answer with this status is a success.
func (s *Spec) succeeds(status int) bool {
	if s.Statuses != nil {
		return slices.Contains(s.Statuses, status)
	}
	return status >= 200 && status <= 299 && status != http.StatusPartialContent
}

// limit returns the value of a field for which 0 is the default and negative no limit.
func limit(value, zero int64) int64 {
	switch {
	case value == 0:
		return zero
	case value < 0:
		return maxInt64
	}
	return value
}

const maxInt64 = 1<<63 - 1
