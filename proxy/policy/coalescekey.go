package policy

import (
	"context"
	"crypto/sha256"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/keys"
	"github.com/sluice-go/sluice/proxy"
)

// A flightKey is the SHA-256 of what tells calls apart: nobody can make two requests whose keys are
// the same, and a long request takes no more memory than a short one.
type flightKey [sha256.Size]byte

// keyOf returns the key of a call.
func (c *coalesce) keyOf(ctx context.Context, req *proxy.Request) (flightKey, error) {
	p := make(keys.Parts, 0, 1<<10)
	p.Text(req.Method)
	p.Target(req)
	p.Flag(call.Described(ctx)) // then leaves answer in another way
	if c.spec.Key == nil {
		p.Client(req, req.Header, &c.taken)
		return sha256.Sum256(p), nil
	}
	key, err := keyFor(ctx, "coalesce", c.spec.Key, req)
	if err != nil {
		return flightKey{}, err
	}
	p.Text(key)
	if c.byCaller {
		p.Caller(req.Caller)
	}
	return sha256.Sum256(p), nil
}
