package backend

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// A Spec describes one upstream: what is called, what of the client's request goes there, and how
// the answer is read. The zero value of every field but URL is a safe default. A Spec does not say
// how a call behaves in time; decorators do. The caller of New may change the slices and maps of
// its Spec once New has returned.
type Spec struct {
	// Name names the upstream in the plan and in errors. "" shows only the kind of the leaf.
	Name string

	// Method is the method of the upstream call, in upper case. "" means the method of the request,
	// except that a decoded upstream is called with GET for a HEAD request. CONNECT is refused.
	Method string

	// URL is the address, http or https, with placeholders for params of the request:
	//
	//	http://users:8080/v1/users/{id}          a segment
	//	http://users:8080/v1/user-{id}.json      a part of a segment
	//	http://orders:8080/orders?user={id}&all  a value of the query; the others are fixed
	//	http://files:8080/static/{*}             all segments that the route's wildcard matched
	//
	// A placeholder is always one segment or one value, whatever the param holds: the value is
	// escaped for its place and put in once. The name of a placeholder consists of letters, digits,
	// "_", "-" and "."; write a literal brace as %7B or %7D. {*} keeps empty segments and a
	// trailing slash, and stands only for whole segments of a path.
	//
	// A call fails with 502 (Op "resolve") if a value is missing, empty, "." or "..", or contains
	// NUL, CR or LF. The segments of {*} may be empty.
	//
	// A user and password in the URL are sent as basic authentication (RFC 7617) and are never
	// shown.
	URL string

	// Semicolons leaves a semicolon in a value of the path as it is, for upstreams with parameters
	// in their segments, as in /cars;color=red. The default is to escape it as %3B, because many
	// servers take it for the end of a name, and a client could then cut off what follows it.
	Semicolons bool

	// Given names the params that code fills in where no plan can show it, such as a decorator or a
	// function of a flow: placeholders of URL that the route need not provide. What proxy.Bind and
	// flow.Param fill in needs no entry here. "*" is the wildcard rest. New returns an error for a name
	// that URL does not have.
	Given []string

	// Headers names the client's headers that go to the upstream; by default none do. "*" means
	// all, and "-Cookie" beside it takes one back. Some never go, and naming one is an error:
	// hop-by-hop headers, Host and Content-Length. If-* and Range go only with Passthrough.
	// Content-Type and Content-Encoding go with the body, named or not; a Passthrough with "*"
	// sends Content-Type also where the client has sent no body. Headers that code puts into
	// Request.Upstream need no entry here.
	//
	// A header that never goes or is taken back does not go under a twin of its name either. Two
	// names are twins if they are equal, ignoring case, once every byte but letters and digits is
	// "-": X_User and X.User are twins of X-User.
	Headers []string

	// Query names the client's query parameters that go to the upstream, with all their values; by
	// default none do. "*" means all, and "-debug" beside it takes one back. Names are exact. A
	// parameter that URL has is never taken from the client. What code names in
	// Request.UpstreamQuery, as proxy.BindQuery does, needs no entry here.
	Query []string

	// Host is the value of the Host header. "" means the host of URL. A "Host" in Request.Upstream
	// wins.
	Host string

	// Expose names the headers of the upstream's answer that a decoded response carries; by default
	// none. Headers that describe the upstream's payload (Content-*, ETag, Last-Modified and the
	// like) cannot be exposed, because the document replaces that payload. A Passthrough carries
	// all end-to-end headers; there Expose is an error.
	Expose []string

	// Decode makes a Document of the body of the answer. nil means JSON. For a stream see
	// Passthrough.
	Decode Decoder

	// Statuses lists the statuses that are a success, each from 200 to 999 but not 304. nil means
	// 200 to 299 without 206. A 304 is one where code has asked for it; see the package
	// documentation. A 422 whose body a form shows is one: {200, 422} answers with its
	// document and the status 422, and in a merge as a part that is there. A Passthrough passes on
	// every status; there Statuses is an error.
	Statuses []int

	// MapStatus gives upstream statuses that are failures another status for the client, from 400
	// to 599. The package documentation says how the others are mapped. With Passthrough it is an
	// error.
	MapStatus map[int]int

	// PassErrors hands an upstream's failure of 4xx to the client with its body and Content-Type,
	// for upstreams whose failures are written for clients; also as the failure of a required part
	// of a merge, or of a stage. The endpoint does that unless it has a RenderError, which can call
	// endpoint.WritePassed; that says what else the client gets.
	//
	// The whole body is read, up to MaxBytes and within the deadline. If that fails, or if the
	// client gets another status than the upstream sent (as by MapStatus, or a 401 to the gateway),
	// the client gets a problem as without PassErrors. The default hands on nothing of a failure.
	// With Passthrough it is an error.
	PassErrors bool

	// MaxBytes bounds the decoded body, in bytes after decompression. A larger body fails the call
	// and is not read on. 0 means DefaultMaxBytes, negative no limit. It does not apply to a
	// Passthrough.
	MaxBytes int64

	// MaxErrorBytes bounds how many bytes of a failure's body the error keeps, for decorators; see
	// proxy.UpstreamAnswer. 0 means DefaultMaxErrorBytes; a negative value means as many as
	// MaxBytes allows. The call does not wait for bytes that arrive later than 50 ms after the
	// status.
	MaxErrorBytes int64
}

const (
	// DefaultMaxBytes is the bound of a decoded body if [Spec] sets none: 8 MiB.
	DefaultMaxBytes = 8 << 20
	// DefaultMaxErrorBytes is the bound of the body kept in an error if [Spec] sets none: 4 KiB.
	DefaultMaxErrorBytes = 4 << 10
)

// ErrTooLarge is why a call fails, with status 502, if the decoded body is larger than
// Spec.MaxBytes.
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

// check returns all faults of the Spec except those of its URL and its lists.
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
		if s.PassErrors {
			errs = append(errs, s.fault("pass errors: a passthrough passes on every status"))
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

// limit returns the limit that a field sets: zero if value is 0, no limit if it is negative.
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
