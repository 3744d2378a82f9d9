package proxy_test

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// Resources that are released on Close outlive the call that took them, like the body of a stream.
// The last one taken is released first.
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
