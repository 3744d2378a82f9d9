package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// RevokedBy returns a [Revocation] that asks a set of revoked IDs, such as one that several processes
// share. claim is the path of the claim that holds the ID; see [document.ParsePath]. "" is "jti", the ID of
// a token.
//
// has reports whether an ID is in the set. If has fails, the request is refused: the error wraps
// [ErrUnavailable] and has status 503, or is that of the context if the context has ended. If the ID is in
// the set, the error wraps [ErrRevoked]. A caller without the claim is refused too, because nobody could
// revoke its credential. Both of these wrap [ErrInvalidCredentials] and have status 401.
//
// has is called concurrently, with the context of the request, and must return when that ends. RevokedBy
// fails if the claim is not a path or has a wildcard, or if has is nil.
func RevokedBy(claim string, has func(ctx context.Context, id string) (revoked bool, err error)) (Revocation, error) {
	if claim == "" {
		claim = "jti"
	}
	path, err := document.ParsePath(claim)
	switch {
	case err == nil && path.HasWildcard():
		err = errors.New("a path with a wildcard leads to no single id")
	case err == nil && has == nil:
		err = errors.New("the function that asks the set is nil")
	}
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", claim, err)
	}
	return func(ctx context.Context, c *proxy.Caller) error {
		var id string
		if c != nil {
			id, _ = c.Claims.Get(path).Text()
		}
		if id == "" {
			return unauthorized("revoked", fmt.Errorf("there is no claim %s to revoke it by", claim))
		}
		revoked, err := has(ctx, id)
		switch {
		case err != nil && ctx.Err() != nil:
			return &proxy.Error{Op: "revoked", Err: ctx.Err()}
		case err != nil:
			return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "revoked", Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
		case revoked:
			return unauthorized("revoked", ErrRevoked)
		}
		return nil
	}, nil
}
