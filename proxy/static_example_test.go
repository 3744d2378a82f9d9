package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// Static fills in after the merge and before the outer shaping, which cannot tell static members
// from others.
func ExampleStatic() {
	document := func(text string) document.Document {
		d, _ := document.Parse([]byte(text))
		return d
	}
	user := pipe.NamedPipe("user", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document(`{"name":"Ada"}`)}, nil
	})
	offers := pipe.NamedPipe("offers", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, errors.New("connection refused")
	})

	page := proxy.Merge(
		proxy.Part{Name: "user", Proxy: user},
		proxy.Part{Name: "offers", Proxy: offers, Optional: true},
	).With(
		shape.Response(shape.Group("page")),
		proxy.Static(proxy.OnIncomplete, document(`{"name":"?","offers":[]}`)),
	)
	res, err := page(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(proxy.StatusOf(err), err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// {"page":{"name":"Ada","offers":[]}}
	// missing: part offers: connection refused
	// ← response, in order
	//   ← static (on incomplete: name, offers)
	//     ↔ merge (2 parts), in parallel
	//       · part user
	//         ↔ user
	//       · part offers (optional)
	//         ↔ offers
	//   ← group (page)
}
