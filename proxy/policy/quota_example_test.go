package policy_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

func ExampleQuota() {
	rows := pipe.NamedPipe("rows", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	})
	p := rows.With(policy.Quota(policy.QuotaSpec{
		Name: "plan", Key: policy.ByCaller, Limit: 1000, Window: policy.Month,
		Weight: func(req *proxy.Request) int { // as validation has let it pass
			n, _ := strconv.Atoi(req.Query.Get("rows"))
			return max(n, 1)
		},
		Now: func() time.Time { return time.Date(2027, 2, 27, 0, 0, 0, 0, time.UTC) },
	}))

	for _, n := range []int{600, 600, 400} {
		req := proxy.NewRequest("GET", "/rows")
		req.Query.Set("rows", strconv.Itoa(n))
		req.Caller = &proxy.Caller{ID: "ann"} // as authentication has verified it
		res, err := p(context.Background(), req)
		if err != nil {
			fmt.Println(n, proxy.StatusOf(err), err)
			continue
		}
		fmt.Println(n, res.StatusCode(), res.Header.Get("RateLimit-Policy"), res.Header.Get("RateLimit"))
	}
	// Output:
	// 600 200 "plan";q=1000;w=2419200 "plan";r=400;t=172800
	// 600 429 quota: too many calls in this time
	// 400 200 "plan";q=1000;w=2419200 "plan";r=0;t=172800
}
