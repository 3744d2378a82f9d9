package pipetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// A Subject is a decorator and what the laws need to know to test it. Apart from Decorator and New,
// the zero value of every field means the strict law.
type Subject[Req, Res any] struct {
	// Decorator is the decorator under test.
	Decorator pipe.Decorator[Req, Res]

	// New makes a new decorator for each law, in the bubble of the law, and is used instead of
	// Decorator. Set it for a decorator with state, such as a limit that one law would use up for
	// the next, or with channels or timers. If New is nil, all laws use Decorator.
	New func() pipe.Decorator[Req, Res]

	// Context returns the context that the calls of the laws derive theirs from, with the values
	// that the decorator needs, such as who the caller is. It must not end. nil means
	// context.Background.
	Context func() context.Context

	// Request returns a new request. nil means the zero value of Req or, if Req is a pointer, a
	// pointer to a new zero value.
	Request func() Req

	// Response returns the answer of next: a new one for each call, equal to the others. nil means
	// the zero value of Res or, if Res is a pointer, a pointer to a new zero value.
	Response func() Res

	// Failure returns the error that next fails with. nil means an error that no decorator knows.
	// If the decorator acts only on certain failures, as one that retries does, Failure must return
	// one of these.
	Failure func() error

	// Lent returns a response, as Response does, and the memory that it is made of: at least 32 bytes
	// of text, which nothing else refers to. The law of borrowing overwrites them once the call is
	// over. If Lent is nil, that law is not tested.
	Lent func() (Res, []byte)

	// Same reports whether got is what the caller should get when next answered with answered. nil
	// compares them with reflect.DeepEqual. A decorator that changes responses needs its own Same.
	Same func(got, answered Res) bool

	// Show formats a response for messages. nil means the format %+v.
	Show func(Res) string

	// Snapshot returns the current content of a request as a value for reflect.DeepEqual that
	// shares no memory with the request. If Snapshot is nil, changes of requests are not detected.
	Snapshot func(Req) any

	// Scribble changes everything that a pipe may change in a request. Together with Snapshot it
	// shows whether two requests share memory. If Scribble is nil, the laws do not test that.
	Scribble func(Req)

	// Answers says that the decorator may answer or refuse a call itself, without next, as a limit,
	// a cache or a fallback does.
	Answers bool

	// Recovers says that the decorator promises to turn a panic of next into an error. The panic
	// must then not continue.
	Recovers bool

	// Outlives says that a call of next goes on when its caller leaves, until the deadline of the
	// caller's context. It is for a decorator that keeps the outcome of the call.
	Outlives bool

	// Laws are tested in addition to the laws of this package.
	Laws []Law[Req, Res]
}

// A Law is a rule that a decorator must keep.
type Law[Req, Res any] struct {
	Name string // of the subtest

	// Check fails t if s breaks the law. It runs in a bubble. s has a Decorator of its own, and its
	// functions are not nil, except New, Snapshot, Scribble and Lent. The failures of t, including
	// those of Fatal, are reported under the name of the law.
	Check func(t testing.TB, s Subject[Req, Res])

	unwatched bool // it is not tested for calls that are watched: who watches may keep what it sees
}

// Laws runs the laws against a subject, each as a subtest. Do not call Laws in a bubble.
//
// A law that cannot end, because a lock is held while next runs or a channel is not of its bubble,
// fails after 5 s of real time. Its goroutines are left, and the laws after it are not tested.
//
// A decorator that calls next on another goroutine must recover there: an unrecovered panic on such
// a goroutine ends the process, and no test can prevent that.
func Laws[Req, Res any](t *testing.T, s Subject[Req, Res]) {
	t.Helper()
	if s.Decorator == nil && s.New == nil {
		t.Fatal("pipetest: the subject has neither Decorator nor New")
	}
	stuck := false
	for _, law := range all(s) {
		if stuck {
			t.Logf("pipetest: %s and what follows are not tested", law.Name)
			return
		}
		t.Run(law.Name, func(t *testing.T) {
			var faults []string
			faults, stuck = law.broken(t, s, stallTime)
			for _, fault := range faults {
				t.Error(fault)
			}
		})
	}
}

// Check is Laws for authors of laws, who must see them broken. It does not fail t. It returns the
// faults that the laws found, or nil. The text of each fault begins with the name of its law.
func Check[Req, Res any](t *testing.T, s Subject[Req, Res]) error { return check(t, s, stallTime) }

func check[Req, Res any](t *testing.T, s Subject[Req, Res], still time.Duration) error {
	var errs []error
	for _, law := range all(s) {
		faults, stuck := law.broken(t, s, still)
		for _, fault := range faults {
			errs = append(errs, fmt.Errorf("%s: %s", law.Name, fault))
		}
		if stuck {
			break
		}
	}
	return errors.Join(errs...)
}

func all[Req, Res any](s Subject[Req, Res]) []Law[Req, Res] {
	return append([]Law[Req, Res]{
		{Name: "success", Check: success[Req, Res]},
		{Name: "cancellation", Check: cancellation[Req, Res]},
		{Name: "result", Check: result[Req, Res]},
		{Name: "request", Check: request[Req, Res]},
		{Name: "errors", Check: failures[Req, Res]},
		{Name: "panics", Check: panics[Req, Res]},
		{Name: "calls", Check: calls[Req, Res]},
		{Name: "concurrency", Check: concurrency[Req, Res]},
		{Name: "plan", Check: plan[Req, Res]},
	}, append([]Law[Req, Res]{{Name: "borrowing", Check: borrows[Req, Res], unwatched: true}}, s.Laws...)...)
}

// faults returns what breaks the law, and whether its bubble stands still for the given time. Then
// the bubble is left as it is, and no other law can be tested with the same decorator.
func (l Law[Req, Res]) faults(t *testing.T, s Subject[Req, Res], still time.Duration) (faults []string, stuck bool) {
	return inBubble(t, still, func(t testing.TB) { l.Check(t, s.complete()) })
}

// complete returns the subject with defaults for its nil functions.
func (s Subject[Req, Res]) complete() Subject[Req, Res] {
	if s.New != nil {
		s.Decorator = s.New()
	}
	if s.Context == nil {
		s.Context = context.Background
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

// isNil reports whether v is nil. It is false for a type without nil.
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

// A valueKey is the key of the value that the caller's context carries.
type valueKey struct{}

func (s Subject[Req, Res]) context(value any) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithValue(s.Context(), valueKey{}, value))
}
