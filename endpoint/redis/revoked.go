package redis

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
	shared "github.com/sluice-go/sluice/proxy/policy/redis"
)

// A Revoked is a set of revoked IDs in Redis: a token that one process revokes is refused by all. It is
// safe for concurrent use.
//
// A look-up costs one script. The key of an ID is the prefix, "revoked:" and a hash of the ID; it expires
// when the token does.
type Revoked struct {
	server      *shared.Server
	fault       error
	ask         auth.Revocation
	revoke, has *goredis.Script
}

var (
	//go:embed revoke.lua
	revokeScript string
	//go:embed revoked.lua
	revokedScript string
)

// NewRevoked returns the set of revoked IDs in the Redis of s. What is wrong with s is a fault: see
// [Revoked.Fault].
func NewRevoked(s Spec) *Revoked {
	r := &Revoked{server: s.server(), revoke: goredis.NewScript(revokeScript), has: goredis.NewScript(revokedScript)}
	var err error
	if r.ask, err = auth.RevokedBy(s.Claim, r.isRevoked); err != nil {
		err = fmt.Errorf("redis: NewRevoked: %w", err)
	}
	r.fault = errors.Join(err, r.server.Fault())
	return r
}

// Fault returns what is wrong with the spec, or nil. While there is a fault, every caller is refused.
func (r *Revoked) Fault() error { return r.fault }

// Waits returns the longest time that a call takes; a negative time is no limit.
func (r *Revoked) Waits() time.Duration { return r.server.Waits() }

// Revoke revokes the token with an ID, until the given time: that at which the token expires, and is
// refused anyway. The zero Time is forever. A time in the past has no effect, and of two times for one ID
// the later one counts. The time is measured by the clock of this process.
//
// An empty ID is an error. If Redis fails, the token may be revoked or not, and Revoke can be called again.
// The error wraps [ErrPaused] if Redis was not asked, and is that of ctx if ctx has ended.
func (r *Revoked) Revoke(ctx context.Context, id string, until time.Time) error {
	if id == "" {
		return errors.New("redis: Revoke: the id is empty")
	}
	var left int64 // 0 is for good
	switch d := time.Until(until); {
	case until.IsZero(), d > century:
	case d <= 0:
		return nil
	default:
		left = millis(d)
	}
	_, err := shared.Ask(ctx, r.server, func(ctx context.Context, c goredis.UniversalClient) (int, error) {
		return r.revoke.Run(ctx, c, r.keys(id), left).Int()
	})
	return err
}

// century is a time that is as good as for good.
const century = 100 * 365 * 24 * time.Hour

// Revoked returns an error that wraps auth.ErrRevoked if the token of a caller was revoked; it is an
// auth.Revocation. A caller without the claim is refused too, with auth.ErrInvalidCredentials. Both
// have status 401. If Redis cannot tell, the error wraps auth.ErrUnavailable and has status 503.
func (r *Revoked) Revoked(ctx context.Context, c *proxy.Caller) error {
	if r.fault != nil {
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "revoked", Err: fmt.Errorf("%w: %w", auth.ErrUnavailable, r.fault)}
	}
	return r.ask(ctx, c)
}

// isRevoked reports whether Redis has an id.
func (r *Revoked) isRevoked(ctx context.Context, id string) (bool, error) {
	n, err := shared.Ask(ctx, r.server, func(ctx context.Context, c goredis.UniversalClient) (int, error) {
		return r.has.Run(ctx, c, r.keys(id)).Int()
	})
	if err == nil && n != 0 && n != 1 {
		err = errReply
	}
	return n == 1, err
}

var errReply = errors.New("redis: the script has answered something else than 0 or 1")

// keys returns the key in Redis of an id. 192 bits of SHA-256 are enough that nobody finds two ids with
// the same one.
func (r *Revoked) keys(id string) []string {
	hash := sha256.Sum256([]byte(id))
	return []string{r.server.Prefix() + "revoked:" + base64.RawURLEncoding.EncodeToString(hash[:24])}
}
