// Package pipetest has the laws that every decorator of a [pipe.Pipe] must keep, whatever its requests and responses are.
//
//	func TestLoggedKeepsTheLaws(t *testing.T) {
//		pipetest.Laws(t, pipetest.Subject[int, string]{Decorator: logged})
//	}
//
// Each law is a subtest that runs in a bubble of testing/synctest of its own: time is fake, so that waiting costs nothing,
// and a goroutine that is left is seen. Run the tests with -race: some ways to break a law are only seen there.
//
// # Laws
//
//   - success: where next answers, the caller gets that answer; next sees the values of the caller's context, and a
//     decorator that is used twice keeps the two pipes apart.
//   - cancellation: a call ends at the moment its context does, and so does the context of next.
//   - result: there is a response or an error, never both and never neither, and next may break that without a crash.
//   - request: what the caller gave is not kept or written once the call has returned, even if next still runs. That it is
//     not read either is seen with -race.
//   - errors: errors.Is finds the failure of next.
//   - panics: a panic or runtime.Goexit of next ends the call in one way or another, and only that call.
//   - calls: next is called as often as the plan declares, and without [pipe.CallsMany] at most once.
//   - concurrency: calls that run at once do not mix.
//   - plan: the plan shows what is inside and what it does, has no faults, and making it runs nothing.
//
// In each of them no goroutine is left, and a decorator that declares [pipe.HonoursContext] returns at the end of its
// context even if next does not.
//
// Package proxy/proxytest has these laws and more for decorators of proxies.
package pipetest
