// Package pipetest has the laws that every decorator of a [pipe.Pipe] must keep, whatever its types
// of request and response are.
//
//	func TestLoggedKeepsTheLaws(t *testing.T) {
//		pipetest.Laws(t, pipetest.Subject[int, string]{Decorator: logged})
//	}
//
// Each law is a subtest that runs in its own bubble of testing/synctest: time is fake, so waiting
// costs nothing, and a goroutine that is left behind is detected. Run the tests with -race: some
// broken laws are only detected there.
//
// # Laws
//
//   - success: if next answers, the caller gets that answer. next sees the values of the caller's
//     context. A decorator that is used twice keeps the two pipes apart.
//   - cancellation: a call ends at the moment its context does, and so does the context of next.
//   - result: a call returns a response or an error, never both and never neither. If next breaks
//     this rule, the decorator does not crash.
//   - request: the decorator neither keeps nor writes the caller's request once the call has
//     returned, even if next still runs. With -race, reading it is detected too.
//   - errors: errors.Is finds the failure of next.
//   - panics: a panic or runtime.Goexit of next ends the call in one way or another, and only that
//     call.
//   - calls: next is called as often as the plan declares, and without [pipe.CallsMany] at most
//     once.
//   - concurrency: calls that run at once do not mix.
//   - answers: a decorator that declares [pipe.PassesOn] answers with what next answered, in the
//     same pointer if it is one, and with nothing else.
//   - plan: the plan shows the inner pipe and how often it is called, and has no faults. Making the
//     pipe runs nothing. A decorator that answers every call of this law without next may show
//     next only as a branch of several.
//   - borrowing: a decorator that declares [pipe.Borrows], so that its plan lends, returns after every
//     call of next that it has made, and keeps no part of a response. Once a call is over, the memory
//     of its responses is overwritten. A later call must not answer with it, and nothing may refer to
//     it any more: not a field, a goroutine, a timer or a cache. The law sees neither a copy, which is
//     allowed, nor what a sync.Pool holds, nor, without -race, a goroutine that reads and ends.
//     Subject.Lent makes the responses.
//
// Each law but the last is tested again while all calls are watched, because a watch must change
// nothing, and what runs must be what the plan shows; see [explain.Trace.Check].
//
// No law judges the key of a cache: which requests get the same answer is known only to its author.
//
// No law may leave a goroutine behind. A lock that is held while next runs stops fake time: then the
// law fails that meets it, after 5 s of real time, and the laws after it are not tested. A decorator
// that declares [pipe.HonoursContext] must return at the end of its context even if next does not.
//
// Package proxy/proxytest has these laws and more for decorators of proxies.
package pipetest
