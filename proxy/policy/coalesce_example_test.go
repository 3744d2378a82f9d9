package policy_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// Callers that ask for an article in the same language at the same time share one call. Each of them
// has a second of its own, and Retry tries again for all of them.
func ExampleCoalesce() {
	language := func(_ context.Context, req *proxy.Request) (string, error) {
		return req.Header.Get("Accept-Language"), nil
	}
	articles := proxytest.Answer(200, `{"title":"News"}`).Proxy().With(
		policy.Timeout(time.Second),
		policy.Coalesce(policy.CoalesceSpec{Key: pipe.NamedPipe("language", language)}),
		policy.Retry(policy.Attempts{}),
	)
	fmt.Print(pipe.PlanOf(articles))

	res, err := articles(context.Background(), proxy.NewRequest("GET", "/articles/1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	// Output:
	// ↔ timeout (1s)
	//   ↔ coalesce (by language, 10000 keys, up to 1048576 bytes)
	//     ↔ retry (3 tries of idempotent methods)
	//       ↔ upstream (200)
	// {"title":"News"}
}
