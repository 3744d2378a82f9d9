package policy_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A wild body does something in Close.
type wild struct {
	*body
	end func()
}

func (w wild) Close() error {
	_ = w.body.Close()
	w.end()
	return nil
}

// reports collects what a scope reports.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) scope() *call.Scope {
	return &call.Scope{Report: func(_ context.Context, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}}
}

var errClose = errors.New("bug in Close")

// proves T3, T4
func TestRetryGoesOnWhereCloseOfAFailedResponsePanics(t *testing.T) {
	t.Parallel()
	failures := map[string]func(b io.ReadCloser) (*proxy.Response, error){
		"a stream of a failure": func(b io.ReadCloser) (*proxy.Response, error) { return &proxy.Response{Status: 503, Body: b}, nil },
		"OnClose of a stream": func(b io.ReadCloser) (*proxy.Response, error) {
			res := &proxy.Response{Status: 503, Body: newBody("busy")}
			res.OnClose(func() { _ = b.Close() })
			return res, nil
		},
	}
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []wild
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				if len(all) == 2 {
					return &proxy.Response{Status: 201}, nil
				}
				all = append(all, wild{newBody("busy"), func() { panic(errClose) }})
				return failure(all[len(all)-1])
			}).With(policy.Retry(eager(3)))
			r := &reports{}
			scope := r.scope()
			res, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			assert.Equal(t, 201, res.Status)
			for _, b := range all {
				assert.EqualValues(t, 1, b.closes.Load())
			}
			require.Len(t, r.errs, 2)
			assert.ErrorContains(t, r.errs[0], "bug in Close")
			assert.True(t, call.Panicked(r.errs[0]))
			assert.Zero(t, scope.Abandoned())
		})
	}
}
