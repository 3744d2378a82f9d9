package proxy_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// What is released on Close outlives the call that took it, as the body of a stream does. The last is released first.
func ExampleResponse_OnClose() {
	res := &proxy.Response{Body: io.NopCloser(strings.NewReader("rows"))}
	res.OnClose(func() { fmt.Println("give the slot back") })
	res.OnClose(func() { fmt.Println("cancel the context") })

	rows, _ := io.ReadAll(res.Body)
	fmt.Printf("%s\n", rows)
	res.Close()
	res.Close() // has no effect
	// Output:
	// rows
	// cancel the context
	// give the slot back
}
