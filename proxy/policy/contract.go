package policy

import "github.com/sluice-go/sluice/proxy"

// open reports whether there is something left to read: the response is a stream.
func open(res *proxy.Response) bool { return res.Body != nil || res.Upgrade != nil }
