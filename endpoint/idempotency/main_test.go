package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// post returns a POST of a body with a key, as the client spells it.
func post(key, body string) *proxy.Request {
	req := proxy.NewRequest(http.MethodPost, "/orders")
	req.Host, req.Pattern = "shop.example", "/orders"
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	req.SetBody("application/json", []byte(body))
	return req
}

// An upstream answers with the number of the call.
type upstream struct {
	calls atomic.Int64
	do    proxy.Proxy // nil answers
}

// proxy returns the upstream as a leaf.
func (u *upstream) proxy() proxy.Proxy {
	return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		n := u.calls.Add(1)
		if u.do != nil {
			return u.do(ctx, req)
		}
		return &proxy.Response{Status: http.StatusCreated, Header: http.Header{"Location": {fmt.Sprint("/orders/", n)}},
			Document: document.MustParse(fmt.Sprintf(`{ "id":%d }`, n))}, nil
	}, pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal | pipe.HonoursContext | pipe.NotIdempotent, Takes: []string{}})
}

// An outcome is what a client gets, as a text.
func outcome(res *proxy.Response, err error) string {
	if err != nil {
		return fmt.Sprintf("%d %v", proxy.StatusOf(err), err)
	}
	defer res.Close()
	return fmt.Sprintf("%d %v %v", res.StatusCode(), res.Document, res.Header)
}

// hooks are Answers of a user, of which some methods are the hooks.
type hooks struct {
	idempotency.Answers
	claim   func(ctx context.Context, key string, claim []byte, lease time.Duration) ([]byte, error)
	keep    func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error)
	release func(ctx context.Context, key string, claim []byte) error
}

func (h *hooks) Claim(ctx context.Context, key string, claim []byte, lease time.Duration) ([]byte, error) {
	if h.claim != nil {
		return h.claim(ctx, key, claim, lease)
	}
	return h.Answers.Claim(ctx, key, claim, lease)
}

func (h *hooks) Keep(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
	if h.keep != nil {
		return h.keep(ctx, key, claim, value, ttl)
	}
	return h.Answers.Keep(ctx, key, claim, value, ttl)
}

func (h *hooks) Release(ctx context.Context, key string, claim []byte) error {
	if h.release != nil {
		return h.release(ctx, key, claim)
	}
	return h.Answers.Release(ctx, key, claim)
}

// dialling is a transport whose dialErrors are those of package net.
type dialling struct{ http.RoundTripper }

func (d dialling) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := d.RoundTripper.RoundTrip(r)
	if _, ok := errors.AsType[*dialError](err); ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return res, err
}

func (dialling) HonoursContext() bool { return true }

// reports are the failures that an endpoint reports.
type reports struct {
	mu  sync.Mutex
	all []error
}

func (r *reports) add(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err)
}

func (r *reports) list() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}
