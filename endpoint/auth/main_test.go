package auth_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

func answers(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

// get returns a request with these header fields, given as names and values.
func get(fields ...string) *proxy.Request {
	req := proxy.NewRequest("GET", "/orders")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	return req
}

// An inside is what stands inside of a decorator under test. It keeps the request that it got.
type inside struct {
	calls atomic.Int32
	req   *proxy.Request
}

func (i *inside) proxy(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
	i.calls.Add(1)
	i.req = req
	return &proxy.Response{Status: http.StatusOK}, nil
}

// through calls the decorators with a request, and returns what came through, nil for nothing.
func through(ctx context.Context, req *proxy.Request, decorators ...proxy.Decorator) (*proxy.Request, error) {
	var in inside
	_, err := proxy.Proxy(in.proxy).With(decorators...)(ctx, req)
	return in.req, err
}

// faultsOf returns what is wrong in the plan of a decorator.
func faultsOf(ds ...proxy.Decorator) error {
	var errs []error
	for step := range pipe.PlanOf(proxy.Proxy(answers).With(ds...)).All() {
		if step.Err != nil {
			errs = append(errs, step.Err)
		}
	}
	return errors.Join(errs...)
}

// headerOf returns the header that an error has for clients.
func headerOf(t *testing.T, err error) http.Header {
	t.Helper()
	e, ok := errors.AsType[*proxy.Error](err)
	require.True(t, ok, "%v", err)
	return e.Header
}

// withCaller is a decorator that says who calls.
func withCaller(c *proxy.Caller) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Caller = c
			return next(ctx, req)
		}
	}
}

// claiming returns a caller with these claims.
func claiming(claims string) *proxy.Caller {
	return &proxy.Caller{ID: "ada", Scheme: "jwt", Claims: document.MustParse(claims)}
}

// constant returns a proxy that always answers with res.
func constant(res *proxy.Response) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return res, nil }
}
