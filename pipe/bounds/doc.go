// Package bounds tells from a plan what one call of it can cost at most: how many calls of each
// leaf, and how long until the answer. Nothing is run for it.
//
//	b := bounds.Of(pipe.PlanOf(item))
//	fmt.Print(b)
//
// prints, for an upstream behind a Retry of three tries and a Timeout of 300 ms for each:
//
//	at most 3 calls
//	  backend items: 3
//	answers within 20.9s
//
// It takes 20.9 s because Retry obeys a Retry-After of up to 10 s after each try.
//
// A bound is only as good as what the steps tell, in the fields Calls, AtOnce, Within and Waits of
// [pipe.Step] and in their effects. Where one tells nothing, there is no bound, and the result says
// because of which step: a function that nobody described may call as often as it likes, and a
// backend takes all the time that its context has.
//
// Not counted are the time in which code computes, and the half second that a policy waits where a
// body that nobody gets blocks in Close.
package bounds
