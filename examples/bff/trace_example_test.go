package main

import (
	"context"
	"fmt"
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

// What one request of the home page did, place by place of its plan: the canary was asked, each
// product once, and the loyalty service is down. Check holds the trace to the plan.
func Example_trace() {
	upstreams, urls := hosts{}, map[string]string{}
	for _, name := range names {
		upstreams[name], urls[name] = services[name](), "http://"+name
	}
	upstreams["loyalty"] = http.NotFoundHandler()
	s, err := newShop(backend.HTTP{Transport: upstreams}, urls)
	if err != nil {
		fmt.Println(err)
		return
	}

	plan := pipe.PlanOf(s.home)
	trace := explain.New(plan)
	req := proxy.NewRequest("GET", "/home/42")
	req.Params.Set("id", "42")
	req.Header.Set("X-Recommender", "next")
	if _, err := pipe.Watched(s.home, trace.Watch())(context.Background(), req); err != nil {
		fmt.Println(err)
	}
	fmt.Print(trace)
	fmt.Println("the law:", trace.Check(plan))
	fmt.Println("user before orders:", trace.Before("backend users", "backend orders"))
	// Output:
	// ← encode (main.home)                                                                 # 200, partial: backend loyalty: status: upstream answered 404
	//   ↔ flow (5 calls, critical path user → orders → products), in order                 # ok
	//     · fork, in parallel
	//       · chain, in order
	//         · call user                                                                  # ok
	//           ← decode (main.user)                                                       # ok
	//             ↔ timeout (500ms)                                                        # 200
	//               ↔ backend users (http://users/users/{id})                              # 200
	//         · fork, in parallel
	//           · chain, in order
	//             → then orders (gives account)                                            # ok
	//               ← decode ([]main.order)                                                # ok
	//                 ↔ timeout (500ms)                                                    # 200
	//                   ↔ backend orders (http://orders/accounts/{account}/orders)         # 200
	//             → each products (8 at once, at most 1000 keys, gives product, optional)  # ok
	//               ← decode (main.product)                                                # ok; ok
	//                 ↔ timeout (500ms)                                                    # 200; 200
	//                   ↔ backend products (http://products/products/{product})            # 200; 200
	//           → then loyalty (gives account, optional)                                   # error: backend loyalty: status: upstream answered 404
	//             ← decode (main.loyalty)                                                  # error: backend loyalty: status: upstream answered 404
	//               ← response, in order                                                   # error: backend loyalty: status: upstream answered 404
	//                 ↔ timeout (500ms)                                                    # error: backend loyalty: status: upstream answered 404
	//                   ↔ backend loyalty (http://loyalty/members/{account}, xml)          # error: backend loyalty: status: upstream answered 404
	//                 ← target (member)                                                    # did not run
	//                 ← rename (@level → level)                                            # did not run
	//       · call recommendations (optional)                                              # ok
	//         ← decode (main.recs)                                                         # ok
	//           ← static (on error: model, items)                                          # 200
	//             → split recommender (by key, X-Recommender may name one), one of         # 200, variant: next
	//               · variant stable (weight 95)                                           # did not run
	//                 ↔ timeout (500ms)                                                    # did not run
	//                   ↔ backend recs (http://recs/for/{id})                              # did not run
	//               · variant next (weight 5)                                              # 200
	//                 ↔ timeout (500ms)                                                    # 200
	//                   ↔ backend recs (http://recs/next/for/{id})                         # 200
	//     ← join                                                                           # ok
	// the law: <nil>
	// user before orders: <nil>
}
