// Package explain tells what one call of a pipe did, place by place of its plan:
//
//	trace := explain.New(pipe.PlanOf(p))
//	_, err := pipe.Watched(p, trace.Watch())(ctx, req)
//	fmt.Print(trace)
//
// prints the plan with what each step returned and decided. [Trace.Check] holds a trace to the law
// that a plan is: what ran is in it, and ran in its order. In tests, pipetest.Explain does all of
// that.
package explain
