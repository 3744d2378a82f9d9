package policy

import "github.com/sluice-go/sluice/proxy"

// open reports whether the response is a stream, so that something is left to read.
func open(res *proxy.Response) bool { return res.Body != nil || res.Upgrade != nil }
