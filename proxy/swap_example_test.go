package proxy_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A proxy is replaced while a stream of the old one is still being read.
func ExampleSwap() {
	version := func(name string) proxy.Proxy {
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: io.NopCloser(strings.NewReader("rows of " + name))}, nil
		})
	}
	read := func(res *proxy.Response) {
		b, _ := io.ReadAll(res.Body)
		fmt.Println(string(b))
		_ = res.Close()
	}
	state := func(drained <-chan struct{}) {
		select {
		case <-drained:
			fmt.Println("drained")
		default:
			fmt.Println("in flight")
		}
	}

	swap := proxy.NewSwap(version("v1"))
	rows := swap.Proxy().With(pipe.Recover)
	before, _ := rows(context.Background(), proxy.NewRequest("GET", "/rows"))

	drained, err := swap.Store(version("v2"))
	if err != nil {
		fmt.Println(err) // v1 stays
		return
	}
	after, _ := rows(context.Background(), proxy.NewRequest("GET", "/rows"))
	read(after)
	state(drained)
	read(before)
	state(drained)
	fmt.Print(pipe.PlanOf(rows))
	// Output:
	// rows of v2
	// in flight
	// rows of v1
	// drained
	// ← recover
	//   · swap (may be swapped)
	//     ↔ v2
}
