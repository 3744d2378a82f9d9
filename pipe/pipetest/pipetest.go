package pipetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/sluice-go/sluice/pipe"
)

// A Subject is a decorator and what has to be known to try it. The zero value of every field but the first two is the
// strict law.
type Subject[Req, Res any] struct {
	// Decorator is what is tried.
	Decorator pipe.Decorator[Req, Res]

	// New makes the decorator anew for each law, in its bubble, and is used in place of Decorator. It is for decorators with
	// state, such as a limit that one law would use up for the next, or channels and timers. nil uses Decorator.
	New func() pipe.Decorator[Req, Res]

	// Request returns a new request. nil is the zero value, and of a pointer a new value that it points to.
	Request func() Req

	// Response returns what next answers: for each call a new one that is equal to the others. nil is the zero value, and of
	// a pointer a new value that it points to.
	Response func() Res

	// Failure returns what next fails with. nil is an error that nobody knows. Where the decorator acts on certain failures
	// only, as one that tries again, it is one of these.
	Failure func() error

	// Same reports whether got is what a caller should get where next answered so. nil compares with reflect.DeepEqual. A
	// decorator that changes responses has another one.
	Same func(got, answered Res) bool

	// Show returns a response as a message shows it. nil is the format %+v.
	Show func(Res) string

	// Snapshot returns the present content of a request as a value to be compared with reflect.DeepEqual, sharing nothing
	// with it. nil sees changes of no request.
	Snapshot func(Req) any

	// Scribble changes whatever a pipe may change in a request. With Snapshot it tells whether two requests share memory.
	// nil does not try.
	Scribble func(Req)

	// Answers says that the decorator may answer or refuse in place of next: a limit, a cache, a fallback.
	Answers bool

	// Recovers says that the decorator promises to make an error of a panic of next, so that it must not go on.
	Recovers bool

	// Laws are tried beside those of this package.
	Laws []Law[Req, Res]
}

// A Law is something that a decorator must keep.
type Law[Req, Res any] struct {
	Name string // of the subtest

	// Check fails t where s breaks the law. It runs in a bubble, and s has no nil functions but Snapshot and Scribble, and
	// a Decorator of its own. What t is failed with, Fatal included, is reported under the name of the law.
	Check func(t testing.TB, s Subject[Req, Res])
}

// Laws runs the laws against a subject, each as a subtest. It is not to be called in a bubble.
//
// A decorator that calls next on another goroutine must recover there: a panic on one that does not ends the process, and
// no test can prevent that.
func Laws[Req, Res any](t *testing.T, s Subject[Req, Res]) {
	t.Helper()
	if s.Decorator == nil && s.New == nil {
		t.Fatal("pipetest: the subject has neither Decorator nor New")
	}
	for _, law := range all(s) {
		t.Run(law.Name, func(t *testing.T) {
			for _, fault := range law.faults(t, s) {
				t.Error(fault)
			}
		})
	}
}

// Check is Laws for those who write laws and must see them broken: it returns what is broken, nil for nothing, and does
// not fail t. Each line of the error begins with the name of the law.
func Check[Req, Res any](t *testing.T, s Subject[Req, Res]) error {
	var errs []error
	for _, law := range all(s) {
		for _, fault := range law.faults(t, s) {
			errs = append(errs, fmt.Errorf("%s: %s", law.Name, fault))
		}
	}
	return errors.Join(errs...)
}

func all[Req, Res any](s Subject[Req, Res]) []Law[Req, Res] {
	return append([]Law[Req, Res]{
		{"success", success[Req, Res]},
		{"cancellation", cancellation[Req, Res]},
		{"result", result[Req, Res]},
		{"request", request[Req, Res]},
		{"errors", failures[Req, Res]},
		{"panics", panics[Req, Res]},
		{"calls", calls[Req, Res]},
		{"concurrency", concurrency[Req, Res]},
		{"plan", plan[Req, Res]},
	}, s.Laws...)
}

func (l Law[Req, Res]) faults(t *testing.T, s Subject[Req, Res]) []string {
	return inBubble(t, func(t testing.TB) { l.Check(t, s.complete()) })
}

// complete returns the subject with what its zero values stand for.
func (s Subject[Req, Res]) complete() Subject[Req, Res] {
	if s.New != nil {
		s.Decorator = s.New()
	}
	if s.Request == nil {
		s.Request = newOf[Req]
	}
	if s.Response == nil {
		s.Response = newOf[Res]
	}
	if s.Failure == nil {
		s.Failure = func() error { return errNext }
	}
	if s.Same == nil {
		s.Same = func(got, answered Res) bool { return reflect.DeepEqual(got, answered) }
	}
	if s.Show == nil {
		s.Show = func(res Res) string { return fmt.Sprintf("%+v", res) }
	}
	return s
}

var errNext = errors.New("the failure of next")

func newOf[T any]() (v T) {
	if t := reflect.TypeFor[T](); t.Kind() == reflect.Pointer {
		return reflect.New(t.Elem()).Interface().(T)
	}
	return v
}

// isNil reports whether v is the nil of a type that has one.
func isNil[T any](v T) bool {
	switch r := reflect.ValueOf(&v).Elem(); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.Interface:
		return r.IsNil()
	}
	return false
}

func hasNil[T any]() bool {
	var none T
	return isNil(none)
}

// identical reports whether two values are the same pointer.
func identical[T any](a, b T) bool {
	return reflect.TypeFor[T]().Kind() == reflect.Pointer && any(a) == any(b)
}

// A valueKey is of what the caller's context carries.
type valueKey struct{}

func contextOf(value any) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithValue(context.Background(), valueKey{}, value))
}
