package cache_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// same reports whether an answer is the one of next but for what the cache adds.
func same(got, answered *proxy.Response) bool {
	if got == nil || answered == nil {
		return got == answered
	}
	h := got.Header.Clone()
	h.Del("Age")
	h.Del("Cache-Status")
	return got.StatusCode() == answered.StatusCode() && got.Document.String() == answered.Document.String() &&
		fmt.Sprint(h) == fmt.Sprint(answered.Header) && fmt.Sprint(got.Err) == fmt.Sprint(answered.Err)
}

func TestCacheConforms(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]cache.Spec{
		"that keeps nothing":  {},
		"that keeps answers":  {TTL: time.Minute},
		"that keeps them all": {TTL: time.Minute, MaxObject: -1, MaxVariants: -1, StaleIfError: time.Minute, StaleWhileRevalidate: time.Minute},
		"in a store":          {TTL: time.Minute, Store: newStore()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := func() proxy.Decorator {
				spec := spec
				if spec.Store != nil {
					spec.Store = newStore()
				}
				return cache.New(spec).Decorate
			}
			proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: made, Same: same})
			proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: made, Same: same, Response: func() *proxy.Response {
				return &proxy.Response{Header: http.Header{"X-Tag": {"a", "b"}}, Origin: http.Header{"Cache-Control": {"max-age=60"}},
					Document: document.MustParse(`{"id":1}`)}
			}})
			var n atomic.Int64 // no two requests are equal, so that each call must have an answer of its own
			proxytest.Conform(t, nil, proxytest.Options{New: made, Same: same, Request: func() *proxy.Request {
				return proxy.NewRequest("GET", fmt.Sprint("/", n.Add(1)))
			}})
			proxytest.Conform(t, nil, proxytest.Options{New: made, Same: same, Request: func() *proxy.Request { return proxy.NewRequest("POST", "/orders") }})
		})
	}
}
