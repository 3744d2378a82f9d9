package proxy

import "github.com/sluice-go/sluice/pipe"

// A Proxy answers a request. It is an alias, so a plain function of this type is a Proxy:
//
//	func(ctx context.Context, req *Request) (*Response, error)
//
// Its method With(ds ...Decorator) Proxy wraps it; the first decorator is the outermost. The
// contract is that of [pipe.Pipe]. In short: the response is non-nil if and only if the error is
// nil. The caller closes the response. A proxy is safe for concurrent calls. It may change its
// request until it returns, and does not keep it.
type Proxy = pipe.Pipe[*Request, *Response]

// A Decorator wraps a proxy in another one. It is an alias, so a plain function of this type is a
// Decorator:
//
//	func(next Proxy) Proxy
type Decorator = pipe.Decorator[*Request, *Response]

// An Observation is what pipe.Observe reports about a call of a proxy. It is an alias of
// [pipe.Observation] with the fields Name, Request, Response, Err and Duration.
type Observation = pipe.Observation[*Request, *Response]
