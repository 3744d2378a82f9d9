package proxytest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

// Every decorator of sluice keeps the laws.
//
// proves F10
func TestTheDecoratorsOfSluiceConform(t *testing.T) {
	t.Parallel()
	op := func(f func(proxy.Document) (proxy.Document, error)) shape.Op {
		return func(_ context.Context, d proxy.Document) (proxy.Document, error) { return f(d) }
	}
	refuses := op(func(proxy.Document) (proxy.Document, error) { return proxy.Document{}, errors.New("refused") })
	tests := []struct {
		name      string
		decorator proxy.Decorator
		options   proxytest.Options
	}{
		{"policy.Timeout", policy.Timeout(300 * time.Millisecond), proxytest.Options{}},
		{"policy.Timeout, shorter than all else", policy.Timeout(time.Nanosecond), proxytest.Options{Answers: true}},
		{"policy.Limit", policy.Limit(rate.NewLimiter(rate.Inf, 1)), proxytest.Options{}},
		{"policy.Limit of an Allower", policy.Limit(allows(true)), proxytest.Options{}},
		{"policy.Limit that refuses", nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.Limit(rate.NewLimiter(1, 1))
		}}},
		{"policy.Retry", nil, proxytest.Options{New: func() proxy.Decorator { return policy.Retry(policy.Attempts{}) }}},
		{"policy.Retry, eager", nil, proxytest.Options{New: func() proxy.Decorator {
			return policy.Retry(policy.Attempts{Max: 3, Backoff: -1, Budget: policy.NewBudget(-1, 0), Unsafe: true})
		}}},
		{"policy.Retry, once", policy.Retry(policy.Attempts{Max: 1}), proxytest.Options{}},
		{"policy.Retry within policy.Timeout", nil, proxytest.Options{New: func() proxy.Decorator {
			return pipe.Chain(policy.Timeout(time.Second), policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond))
		}}},
		{"proxy.Hold", proxy.Hold(0), proxytest.Options{}},
		{"pipe.Recover", pipe.Recover[*proxy.Request, *proxy.Response], proxytest.Options{Recovers: true}},
		{"pipe.Observe", pipe.Observe(func(context.Context, proxy.Observation) {}), proxytest.Options{}},
		{"pipe.Observe that panics", pipe.Observe(func(_ context.Context, o proxy.Observation) {
			if o.Response != nil && o.Response.Status == http.StatusTeapot {
				panic("a hook")
			}
		}), proxytest.Options{Refused: teapot}},
		{"pipe.Named", pipe.Named("mine", func(next proxy.Proxy) proxy.Proxy { return next }), proxytest.Options{}},
		{"pipe.Chain", pipe.Chain(pipe.Recover, proxy.Hold(0), policy.Timeout(time.Second)), proxytest.Options{}},
		{"shape.SetHeader", shape.SetHeader("X-Tag", "c"), proxytest.Options{}},
		{"shape.RemoveHeader", shape.RemoveHeader("X-Tag"), proxytest.Options{}},
		{"shape.SetResponseHeader", shape.SetResponseHeader("X-Tag", "c"), proxytest.Options{
			Same: func(got, answered *proxy.Response) bool {
				return got.Header.Get("X-Tag") == "c" && got.Document.String() == answered.Document.String()
			}}},
		{"shape.RemoveResponseHeader", shape.RemoveResponseHeader("X-Tag"), proxytest.Options{
			Same: func(got, _ *proxy.Response) bool { return len(got.Header) == 0 }}},
		{"shape.Response", shape.Response(shape.Group("user")), proxytest.Options{Documents: true, Same: isGrouped,
			Refused: func() *proxy.Response { return &proxy.Response{Body: proxytest.NewBody("rows")} }}},
		{"shape.Response whose op fails", shape.Response(refuses), proxytest.Options{Documents: true, Answers: true,
			Refused: func() *proxy.Response { return &proxy.Response{Header: http.Header{}} }}},
		{"shape.Response whose op panics", shape.Response(op(func(d proxy.Document) (proxy.Document, error) {
			if d.String() == "[2]" {
				panic("an op")
			}
			return d.Wrap("user"), nil
		})), proxytest.Options{Documents: true, Same: isGrouped, Refused: func() *proxy.Response {
			d, _ := proxy.ParseDocument([]byte("[2]"))
			return &proxy.Response{Document: d, Header: http.Header{}}
		}}},
		{"shape.Request", shape.Request(shape.Keep("id")), proxytest.Options{}},
		{"proxytest.Recorder", new(proxytest.Recorder).Record, proxytest.Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, tt.decorator, tt.options)
		})
	}
}

func isGrouped(got, answered *proxy.Response) bool {
	return got.Document.String() == answered.Document.Wrap("user").String()
}

// teapot is a response that a hook of these tests panics at.
func teapot() *proxy.Response {
	return &proxy.Response{Status: http.StatusTeapot, Header: http.Header{}, Body: proxytest.NewBody("tea")}
}

// allows is an Allower that always says the same.
type allows bool

func (a allows) Allow() bool { return bool(a) }
