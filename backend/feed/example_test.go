package feed_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/feed"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleDecoder() {
	news := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<rss version="2.0"><channel><title>News</title>
			<item><title>One</title><link>http://news.example/1</link></item>
		</channel></rss>`)
	}))
	defer news.Close()

	p := pipe.Check(backend.New(backend.Spec{Name: "news", URL: news.URL, Decode: feed.Decoder{}}))
	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document.Get(document.MustPath("title")))
	fmt.Println(res.Document.Get(document.MustPath("items")))
	// Output:
	// "News"
	// [{"id":"http://news.example/1","url":"http://news.example/1","title":"One"}]
}
