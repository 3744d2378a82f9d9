package shape

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrStatus is why a status cannot be mapped: it is outside 200 to 599.
var ErrStatus = errors.New("invalid status")

// MapStatus returns a decorator that changes the status of the responses and errors of next:
//
//	shape.MapStatus(map[int]int{http.StatusNotFound: http.StatusBadGateway})
//
// A response, including a stream, gets the status that its own is mapped to. Everything else of it
// stays.
//
// The status of an error is that of [proxy.StatusOf]. The error is wrapped in a [*proxy.Error] of
// the new status, with the Retry-After of the inner error and no other header. errors.Is finds what
// it found before. An error stays an error: if it is mapped to less than 400, it stays as it is.
// Only a response can become 200.
//
// A status is mapped once. Decorators and combinators outside, such as a retry or a merge, see the
// new status. A status outside 200 to 599 is a fault in the plan that wraps [ErrStatus]. MapStatus
// copies pairs. Without pairs, it returns next as it is.
func MapStatus(pairs map[int]int) proxy.Decorator {
	pairs = maps.Clone(pairs)
	var texts []string
	var errs []error
	for _, from := range slices.Sorted(maps.Keys(pairs)) {
		to := pairs[from]
		texts = append(texts, fmt.Sprintf("%d → %d", from, to))
		for _, status := range [...]int{from, to} {
			if status < 200 || status > 599 {
				errs = append(errs, fmt.Errorf("%w: %d", ErrStatus, status))
			}
		}
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "map-status", Detail: strings.Join(texts, ", "), Source: pipe.Here(), Acts: pipe.Out,
		Effects: pipe.CallsOnce | pipe.PassesOn}
	if errs != nil {
		return broken(step, errs...)
	}
	return func(next proxy.Proxy) proxy.Proxy {
		if len(pairs) == 0 {
			return next
		}
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			to, mapped := pairs[proxy.Status(res, err)]
			switch {
			case !mapped:
			case err != nil && to >= 400:
				call.Discard(ctx, res) // nil unless next broke its contract
				return nil, &proxy.Error{Status: to, Op: "map-status", Err: err, Header: retryAfter(err)}
			case err == nil && res != nil:
				res.Status = to
			}
			return res, err
		}
		return pipe.Describe(serve, step, next)
	}
}

// retryAfter returns the Retry-After of an error, the only header that is valid with any status
// (RFC 9110, section 10.2.3).
func retryAfter(err error) http.Header {
	for e, ok := errors.AsType[*proxy.Error](err); ok; e, ok = errors.AsType[*proxy.Error](e.Err) {
		if values := e.Header["Retry-After"]; len(values) > 0 {
			return http.Header{"Retry-After": slices.Clone(values)}
		}
	}
	return nil
}
