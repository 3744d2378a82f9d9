package auth_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleEndWithToken() {
	feed := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		events, feed := io.Pipe()
		go func() {
			<-ctx.Done() // there is never an event
			_ = feed.CloseWithError(ctx.Err())
		}()
		return &proxy.Response{Body: events}, nil
	}).With(auth.EndWithToken)

	req := proxy.NewRequest("GET", "/feed")
	req.Caller = &proxy.Caller{ID: "ada", Expires: time.Now().Add(10 * time.Millisecond)}
	res, err := feed(context.Background(), req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	_, err = io.ReadAll(res.Body)
	fmt.Println(proxy.StatusOf(err), err)
	// Output:
	// 401 auth: the credential of the caller has expired
}
