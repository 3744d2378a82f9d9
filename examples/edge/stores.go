package main

import (
	"context"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
)

// stores are what several processes may share: limits, revoked tokens, and answers that are kept.
type stores struct {
	buckets policy.Buckets // nil is memory
	answers idempotency.Answers
	revoked auth.Revocation
	revoke  func(ctx context.Context, jti string, until time.Time) error
	close   func()
}

// newStores returns the stores in a Redis, or in memory without one.
func newStores(redis string) (*stores, error) {
	if redis == "" {
		return inMemory()
	}
	return inRedis(redis), nil
}

func inMemory() (*stores, error) {
	revoked, err := auth.NewRevoked(auth.RevokedSpec{})
	if err != nil {
		return nil, err
	}
	return &stores{
		answers: idempotency.NewMemory(0),
		revoked: whereNamed(revoked.Revoked),
		revoke:  func(_ context.Context, jti string, until time.Time) error { return revoked.Revoke(jti, until) },
		close:   func() {},
	}, nil
}

var pathJTI = document.PathOf("jti")

// whereNamed asks only about tokens that have an id. A token without one cannot be revoked.
func whereNamed(revoked auth.Revocation) auth.Revocation {
	return func(ctx context.Context, c *proxy.Caller) error {
		if c.Claims.Get(pathJTI).IsZero() {
			return nil
		}
		return revoked(ctx, c)
	}
}
