package explain_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
)

// The second part of a page is down, and the third was not asked for. The trace says so.
func Example() {
	user := pipe.NamedPipe("user", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 204}, nil
	})
	recs := pipe.NamedPipe("recs", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, errors.New("connection refused")
	})
	ads := pipe.NamedPipe("ads", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 204}, nil
	})
	page := proxy.Merge(
		proxy.Part{Name: "user", Proxy: user},
		proxy.Part{Name: "recs", Proxy: recs, Optional: true},
		proxy.Part{Name: "ads", Proxy: ads, When: func(_ context.Context, req *proxy.Request) bool { return req.Header.Get("Ads") != "" }},
	)

	plan := pipe.PlanOf(page)
	trace := explain.New(plan)
	_, err := pipe.Watched(page, trace.Watch())(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(err, trace.Check(plan))
	fmt.Print(trace)
	// Output:
	// <nil> <nil>
	// ↔ merge (3 parts), in parallel  # 200, skipped: ads, partial: part recs: connection refused
	//   · part user                   # 204
	//     ↔ user                      # 204
	//   · part recs (optional)        # error: connection refused
	//     ↔ recs                      # error: connection refused
	//   · part ads (conditional)      # did not run
	//     ↔ ads                       # did not run
}

// A trace tells of one call what the plan tells of all: what acted first.
func ExampleTrace_Before() {
	round := func(next pipe.Pipe[float64, float64]) pipe.Pipe[float64, float64] {
		call := func(ctx context.Context, x float64) (float64, error) { return next(ctx, x) }
		return pipe.Describe(call, pipe.Step{Kind: "round", Acts: pipe.Out}, next)
	}
	half := pipe.NamedPipe("half", func(_ context.Context, x float64) (float64, error) { return x / 2, nil })
	p := half.With(round)

	trace := explain.New(pipe.PlanOf(p))
	_, _ = pipe.Watched(p, trace.Watch())(context.Background(), 3)
	fmt.Println(trace.Before("half", "round")) // on the way out
	fmt.Println(trace.Before("round", "half"))
	// Output:
	// <nil>
	// explain: before "round", "half": the plan has another order
}
