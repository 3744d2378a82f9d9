// Package call is what a call needs, whatever it calls: a context whose clock can be stopped, the scope that it belongs to,
// branches that run beside it and can be abandoned, and the recovery of code that panics or ends its goroutine.
//
// A Go function cannot be stopped from outside. Where a callee may ignore its context, its caller therefore runs it as a
// [Branch], on a goroutine of its own, and leaves it when the time is over. Such a call is abandoned: its panic is
// recovered, what it returns late is closed, it is counted by its [Bound] and its [Scope], and above the bound no further
// ones begin. [Await] runs one branch, a [Group] several.
package call
