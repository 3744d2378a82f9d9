package idempotency_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// same reports whether an answer is the one of next but for what a repeat adds.
func same(got, answered *proxy.Response) bool {
	if got == nil || answered == nil {
		return got == answered
	}
	h := got.Header.Clone()
	h.Del("Idempotent-Replayed")
	return got.StatusCode() == answered.StatusCode() && got.Document.String() == answered.Document.String() &&
		fmt.Sprint(h) == fmt.Sprint(answered.Header) && (got.Err == nil) == (answered.Err == nil)
}

func TestRequireConforms(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]func() idempotency.Answers{
		"in memory":                   func() idempotency.Answers { return idempotency.NewMemory(0) },
		"in Answers of a user":        func() idempotency.Answers { return &hooks{Answers: idempotency.NewMemory(0)} },
		"in a memory without a limit": func() idempotency.Answers { return idempotency.NewMemory(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := func() proxy.Decorator { return idempotency.Require(answers()) }
			var n atomic.Int64 // each request has a key of its own, and so is executed
			proxytest.Conform(t, nil, proxytest.Options{New: made, Recovers: true, Answers: true, Outlives: true, Request: func() *proxy.Request {
				return post(fmt.Sprintf(`"%d"`, n.Add(1)), "{}")
			}})
			proxytest.Conform(t, nil, proxytest.Options{New: made, Recovers: true, Answers: true, Outlives: true, Same: same, Request: func() *proxy.Request {
				return post(`"a"`, "{}")
			}})
		})
	}
}
