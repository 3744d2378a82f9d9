package proxy_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// The first success wins, even if a failure is quicker. The other calls are cancelled.
func ExampleRace() {
	started, cancelled := make(chan bool), make(chan string, 1)
	broken := pipe.NamedPipe("broken", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 503, Body: io.NopCloser(strings.NewReader("sorry"))}, nil
	})
	near := pipe.NamedPipe("near", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-started
		return &proxy.Response{Status: 200, Body: io.NopCloser(strings.NewReader("from near by"))}, nil
	})
	far := pipe.NamedPipe("far", func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		close(started)
		<-ctx.Done()
		cancelled <- "far: " + ctx.Err().Error()
		return nil, ctx.Err()
	})

	image := proxy.Race(broken, far, near)
	res, _ := image(context.Background(), proxy.NewRequest("GET", "/logo.png"))
	fmt.Println(<-cancelled)
	b, _ := io.ReadAll(res.Body) // the winner's stream stays open until it is closed
	fmt.Println(res.Status, string(b))
	_ = res.Close()

	_, err := image(context.Background(), proxy.NewRequest("POST", "/orders"))
	fmt.Println(proxy.StatusOf(err), err)
	fmt.Print(pipe.PlanOf(image))
	// Output:
	// far: context canceled
	// 200 from near by
	// 500 race: only an idempotent call can race: "POST"
	// ↔ race (3 at once, idempotent methods), in parallel
	//   ↔ broken
	//   ↔ far
	//   ↔ near
}
