package cache_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

func ExampleCache_Decorate() {
	articles := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("the upstream is asked")
		return &proxy.Response{
			Document: document.MustParse(`{"title":"News"}`),
			Origin:   http.Header{"Cache-Control": {"max-age=60"}}, // as a backend sets it
		}, nil
	}

	cached := cache.New(cache.Spec{}) // give it to adapter.Run too
	article := proxy.Proxy(articles).With(cached.Decorate)
	ask := func() {
		res, err := article(context.Background(), proxy.NewRequest("GET", "/articles/7"))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Close()
		fmt.Println(res.Document, res.Header.Get("Cache-Status")[:11])
	}
	ask()
	ask()
	_ = cached.Purge(context.Background(), "/articles/7")
	ask()
	fmt.Println(cached.Stats().Hits, "hit")
	// Output:
	// the upstream is asked
	// {"title":"News"} sluice; fwd
	// {"title":"News"} sluice; hit
	// the upstream is asked
	// {"title":"News"} sluice; fwd
	// 1 hit
}
