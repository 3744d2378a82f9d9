// Package call has what every call needs, whatever it calls: a context whose clock can be stopped,
// the scope that the call belongs to, branches that run beside it and can be abandoned, and the
// recovery of code that panics or ends its goroutine.
//
// A Go function cannot be stopped from outside. If a callee may ignore its context, its caller
// therefore runs it as a [Branch], on a goroutine of its own, and leaves the branch when the time
// is over. Such a call is abandoned: its panic is recovered, its late result is closed, and its
// [Bound] and its [Scope] count it. When the bound is reached, no further calls begin.
// [Branch.Await] runs one branch, a [Group] several.
//
// What a plan says about a call stands here too: whether it may be repeated ([Repeatable]), whether
// it is certain to answer with a stream ([AlwaysStreams]), and which params nobody gives ([Needs]).
package call
