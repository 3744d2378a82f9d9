package proxy

import "github.com/sluice-go/sluice/pipe"

// Fault returns what stands in the place of a decorator that cannot be made:
//
//	if n < 1 {
//		return proxy.Fault(fmt.Errorf("house: Slots: n is %d, want 1 or more", n))
//	}
//
// The proxy that it wraps is not called: every call fails with err. The plan carries err, so whoever serves the proxy
// refuses it at startup, beside all else that is wrong. See [pipe.Fault].
func Fault(err error) Decorator { return pipe.Fault[*Request, *Response](err) }
