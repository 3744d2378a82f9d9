package pipetest

import (
	"io"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
)

// Explain calls p once with the context of t, and returns what ran, place by place of the plan:
//
//	trace := pipetest.Explain(t, page, proxy.NewRequest("GET", "/users/7"))
//	t.Log(trace)
//	assert.NoError(t, trace.Before("auth", "backend"))
//
// It fails t if the trace breaks the law of [explain.Trace.Check]. It closes a response that can be
// closed, and leaves it to the test what the call returned: the first of the trace's Entries has the
// status and the error.
func Explain[Req, Res any](t testing.TB, p pipe.Pipe[Req, Res], req Req) *explain.Trace {
	t.Helper()
	p = pipe.Described(p)
	plan := pipe.PlanOf(p)
	trace := explain.New(plan)
	res, err := pipe.Watched(p, trace.Watch())(t.Context(), req)
	if c, ok := any(res).(io.Closer); ok && err == nil {
		_ = c.Close()
	}
	if err := trace.Check(plan); err != nil {
		t.Errorf("the plan does not show what ran:\n%v\n%v", err, trace)
	}
	return trace
}
