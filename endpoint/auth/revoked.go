package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/due"
	"github.com/sluice-go/sluice/proxy"
)

var (
	// ErrRevoked is why a request is refused if its credential was revoked. It comes in a [*proxy.Error] of
	// status 401 that also wraps [ErrInvalidCredentials].
	ErrRevoked = errors.New("the credential was revoked")

	// ErrRevokedFull is why [Revoked.Revoke] fails: the set holds as many IDs as it has room for.
	ErrRevokedFull = errors.New("auth: there is no room for more revoked ids")
)

// A Revocation says whether the credential of a caller was revoked. It returns nil if not, and an error
// that wraps [ErrRevoked] if so. Any other error says that it cannot tell, which denies too. Authenticators
// take a Revocation as a hook and ask it for every request; [Revoked.Revoked] is one. It is safe for
// concurrent use. A rule can apply one to any authenticator:
//
//	auth.Allow(func(ctx context.Context, req *proxy.Request) error { return revoked.Revoked(ctx, req.Caller) })
type Revocation = func(ctx context.Context, c *proxy.Caller) error

// DefaultMaxRevoked is how many ids a [Revoked] holds by default.
const DefaultMaxRevoked = 100_000

// A RevokedSpec describes a [Revoked].
type RevokedSpec struct {
	// Claim is the path of the claim that identifies a credential or, with "sub", its owner; see
	// document.ParsePath. "" is "jti", the ID of a token.
	Claim string

	// Max is the most IDs that are held at a time; each takes some 200 bytes. 0 is [DefaultMaxRevoked], and
	// a negative Max is no limit.
	Max int
}

// Revoked is an exact set of revoked credentials in the memory of this process. A credential in it is
// revoked until its time is over; no other one is. It is safe for concurrent use.
type Revoked struct {
	ask Revocation
	max int

	mu    sync.RWMutex // guards what follows
	until map[[sha256.Size]byte]*due.Item[[sha256.Size]byte]
	ends  due.Queue[[sha256.Size]byte]
}

// NewRevoked returns an empty set. It fails if the claim is not a path, or has a wildcard.
func NewRevoked(s RevokedSpec) (*Revoked, error) {
	if s.Max == 0 {
		s.Max = DefaultMaxRevoked
	}
	r := &Revoked{max: s.Max, until: map[[sha256.Size]byte]*due.Item[[sha256.Size]byte]{}}
	var err error
	if r.ask, err = RevokedBy(s.Claim, r.has); err != nil {
		return nil, fmt.Errorf("auth: NewRevoked: %w", err)
	}
	return r, nil
}

// Revoke revokes the credentials whose claim is id, until the given time: that at which the credential
// expires, and is refused anyway. The zero Time is forever. A time in the past has no effect, and of two
// times for one ID the later one counts.
//
// If the set is full, the error is [ErrRevokedFull] and nothing was revoked: no ID is forgotten before its
// time. An empty ID is an error, and so is a set that NewRevoked has not made.
func (r *Revoked) Revoke(id string, until time.Time) error {
	switch {
	case id == "":
		return errors.New("auth: Revoke: the id is empty")
	case r.ask == nil:
		return fmt.Errorf("auth: Revoke: %w", errUnmade)
	}
	now := time.Now()
	if !until.IsZero() && !now.Before(until) {
		return nil
	}
	key := sha256.Sum256([]byte(id))
	r.mu.Lock()
	defer r.mu.Unlock()
	for ended := r.ends.Next(now); ended != nil; ended = r.ends.Next(now) {
		delete(r.until, ended.Value)
	}
	if known := r.until[key]; known != nil {
		if !known.Until().IsZero() && (until.IsZero() || until.After(known.Until())) {
			r.ends.Move(known, until)
		}
		return nil
	}
	if r.max > 0 && len(r.until) >= r.max {
		return ErrRevokedFull
	}
	r.until[key] = r.ends.Add(key, until)
	return nil
}

// Revoked returns an error that wraps [ErrRevoked] if the credential of a caller was revoked; it is a
// [Revocation]. A caller without the claim is refused too, because nobody could revoke its credential: that
// error wraps [ErrInvalidCredentials]. Both have status 401.
func (r *Revoked) Revoked(ctx context.Context, c *proxy.Caller) error {
	if r.ask == nil {
		return unauthorized("revoked", errUnmade)
	}
	return r.ask(ctx, c)
}

var errUnmade = errors.New("NewRevoked has not made the set")

// has reports whether an id was revoked.
func (r *Revoked) has(_ context.Context, id string) (bool, error) {
	key := sha256.Sum256([]byte(id))
	r.mu.RLock()
	defer r.mu.RUnlock()
	entry := r.until[key]
	return entry != nil && !entry.Over(time.Now()), nil
}
