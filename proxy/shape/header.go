package shape

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrHeader is why a header field cannot be set or removed: its name is not valid, its value has a
// control character, or it belongs to the connection and not to the message.
var ErrHeader = errors.New("invalid header field")

// SetHeader returns a decorator that sets a header of the request for the upstreams inside. It sets
// the header in Upstream, so it is always sent.
//
// SetHeader removes everything that the client sent under that name or a twin of it. Two names are
// twins if they are equal, ignoring case, once every byte other than a letter or digit is replaced
// by "-". Some upstreams take X_User or X.User for X-User.
//
// It is a fault in the plan that wraps [ErrHeader] if the name is not valid (RFC 9110, section
// 5.1), if the value has a control character, or if the field belongs to the connection, such as
// Transfer-Encoding, Content-Length or Alt-Svc. The plan shows only the name, because the value may
// be a secret.
func SetHeader(name, value string) proxy.Decorator {
	key := http.CanonicalHeaderKey(name)
	effects := pipe.WritesRequest
	if field.Twin(key) == "Authorization" {
		effects |= pipe.Credentials
	}
	return onRequest("set-header", key, effects, settable(name, value), func(req *proxy.Request) {
		removeHeader(req, key)
		if req.Upstream == nil {
			req.Upstream = http.Header{}
		}
		req.Upstream[key] = []string{value}
	})
}

// RemoveHeader returns a decorator that removes a header of the request for everything inside. It
// removes the fields that the client sent and those that code set, under the name and its twins
// (see [SetHeader]). An invalid name is a fault in the plan that wraps [ErrHeader].
func RemoveHeader(name string) proxy.Decorator {
	key := http.CanonicalHeaderKey(name)
	return onRequest("remove-header", key, pipe.WritesRequest, named(name), func(req *proxy.Request) { removeHeader(req, key) })
}

// SetResponseHeader returns a decorator that sets a header of every response of next. An error is
// not a response and stays as it is.
//
// SetResponseHeader removes the fields that the response has under a twin of the name (see
// [SetHeader]). The response gets a header map of its own, so a shared map stays as it was. If the
// answer is a document, the endpoint itself sets the headers that describe the payload, so
// Content-Type and similar headers have an effect only on streams. The faults are those of
// [SetHeader].
func SetResponseHeader(name, value string) proxy.Decorator {
	key := http.CanonicalHeaderKey(name)
	return onResponse("set-response-header", key, []error{settable(name, value)}, func(res *proxy.Response) {
		res.Header = without(res.Header, key)
		res.Header[key] = []string{value}
	})
}

// RemoveResponseHeader returns a decorator that removes a header of every response of next, under
// the name and its twins. The response gets a header map of its own, as in [SetResponseHeader]. An
// invalid name is a fault in the plan that wraps [ErrHeader].
func RemoveResponseHeader(name string) proxy.Decorator {
	key := http.CanonicalHeaderKey(name)
	return onResponse("remove-response-header", key, []error{named(name)}, func(res *proxy.Response) {
		res.Header = without(res.Header, key)
	})
}

// onRequest returns a decorator that changes requests with f, or if err is not nil, one that fails.
func onRequest(kind, key string, effects pipe.Effects, err error, f func(*proxy.Request)) proxy.Decorator {
	step := pipe.Step{Mark: mark.Borrows(), Kind: kind, Detail: key, Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | effects}
	if err != nil {
		return broken(step, err)
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			f(req)
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// onResponse returns a decorator that changes responses with f, or if an error is not nil, one that
// fails.
func onResponse(kind, key string, errs []error, f func(*proxy.Response)) proxy.Decorator {
	step := pipe.Step{Mark: mark.Borrows(), Kind: kind, Detail: key, Source: pipe.Here(), Acts: pipe.Out, Effects: pipe.CallsOnce | pipe.PassesOn}
	if errors.Join(errs...) != nil {
		return broken(step, errs...)
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			if err == nil && res != nil {
				f(res)
			}
			return res, err
		}
		return pipe.Describe(serve, step, next)
	}
}

// broken returns a decorator in place of one that cannot be made, as [proxy.Fault] does, but with
// the step of the decorator.
func broken(step pipe.Step, errs ...error) proxy.Decorator {
	step.Err = faultsOf(step.Kind, errs...)
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe[*proxy.Request, *proxy.Response](nil, step, next)
	}
}

// removeHeader removes a header and its twins.
func removeHeader(req *proxy.Request, key string) {
	field.Delete(req.Header, key)
	field.Delete(req.Upstream, key)
}

// without returns a copy of h without a field and its twins. The copy shares the values of h.
func without(h http.Header, key string) http.Header {
	c := make(http.Header, len(h)+1)
	for name, values := range h {
		if !field.AreTwins(name, key) {
			c[name] = values
		}
	}
	return c
}

// named returns what is wrong with a name, or nil.
func named(name string) error {
	if !field.IsToken(name) {
		return fmt.Errorf("%w: %q is not a name", ErrHeader, name)
	}
	return nil
}

// settable returns why a field cannot be set, or nil. Fields about the connection or the framing
// are up to the code that writes to the connection, so backends and endpoints drop them anyway.
func settable(name, value string) error {
	if err := named(name); err != nil {
		return err
	}
	if twin := field.Twin(name); field.HopByHop(twin) || twin == "Content-Length" {
		return fmt.Errorf("%w: %s belongs to the connection", ErrHeader, twin)
	}
	if !field.IsValue(value) {
		return fmt.Errorf("%w: the value of %s has a control character", ErrHeader, name)
	}
	return nil
}
