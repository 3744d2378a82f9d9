package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
)

// hosts is a transport to upstreams in this process, by their names.
type hosts map[string]http.Handler

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h[r.URL.Host].ServeHTTP(w, r)
	return w.Result(), nil
}

func (hosts) HonoursContext() bool { return true }

// What one request of the page did, place by place of its plan. Check holds it to the plan.
func Example_trace() {
	upstreams := hosts{
		"users":  answer(`{"id":%q,"name":"Ada Lovelace"}`),
		"orders": answer(`[{"id":"o-1","total":12.50}]%.0s`),
		"recs":   http.NotFoundHandler(), // an optional part
	}
	page := newPage(backend.HTTP{Transport: upstreams}, "http://users", "http://orders", "http://recs", io.Discard)

	plan := pipe.PlanOf(page)
	trace := explain.New(plan)
	req := proxy.NewRequest("GET", "/users/42/page")
	req.Params.Set("id", "42")
	if _, err := pipe.Watched(page, trace.Watch())(context.Background(), req); err != nil {
		fmt.Println(err)
	}
	fmt.Print(trace)
	fmt.Println("the law:", trace.Check(plan))
	fmt.Println("audit before orders:", trace.Before("audit", "backend orders"))
	// Output:
	// ↔ audit                                                        # 200
	//   → limit (100/s, burst 20)                                    # 200
	//     ↔ merge (3 parts), in parallel                             # 200, partial: backend recs: status: upstream answered 404
	//       · part user                                              # 200
	//         ↔ timeout (300ms)                                      # 200
	//           ↔ backend user (http://users/users/{id})             # 200
	//       · part orders                                            # 200
	//         ← group (orders)                                       # 200
	//           ↔ timeout (300ms)                                    # 200
	//             ↔ backend orders (http://orders/orders?user={id})  # 200
	//       · part recs (optional)                                   # error: backend recs: status: upstream answered 404
	//         ← response, in order                                   # error: backend recs: status: upstream answered 404
	//           ↔ retry (2 tries of idempotent methods)              # error: backend recs: status: upstream answered 404
	//             ↔ timeout (300ms)                                  # error: backend recs: status: upstream answered 404
	//               ↔ backend recs (http://recs/for/{id})            # error: backend recs: status: upstream answered 404
	//           ← keep (items.*.id)                                  # did not run
	//           ← group (recs)                                       # did not run
	// the law: <nil>
	// audit before orders: <nil>
}
