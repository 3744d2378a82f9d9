package proxy

import "github.com/sluice-go/sluice/pipe"

// A Proxy answers a request. It is an alias, so a plain function of this type is one:
//
//	func(ctx context.Context, req *Request) (*Response, error)
//
// It has the method With(ds ...Decorator) Proxy, which wraps it, the first decorator outermost. The contract is that
// of [pipe.Pipe]. In short: the response is non-nil if and only if the error is nil; the caller closes the response; a
// proxy is safe for concurrent calls, may change its request until it returns, and does not keep it.
type Proxy = pipe.Pipe[*Request, *Response]

// A Decorator wraps a proxy in another one. It is an alias, so a plain function of this type is one:
//
//	func(next Proxy) Proxy
type Decorator = pipe.Decorator[*Request, *Response]

// An Observation is what pipe.Observe reports of a proxy. It is an alias of [pipe.Observation] with the fields Name,
// Request, Response, Err and Duration.
type Observation = pipe.Observation[*Request, *Response]
