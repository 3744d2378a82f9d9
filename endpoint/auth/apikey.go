package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A KeyDigest is the SHA-256 of an API key. A store keeps the digest and not the key, so a copy of the
// store is of no use to a thief. A key must have at least 128 random bits, as those of [NewKey] have: a key
// that can be guessed can be found from its digest.
type KeyDigest [sha256.Size]byte

// DigestOf returns the digest of a key.
func DigestOf(key string) KeyDigest { return sha256.Sum256([]byte(key)) }

// NewKey returns a new key, to be shown to its owner once, and the digest to be stored.
func NewKey() (key string, digest KeyDigest) {
	key = rand.Text()
	return key, DigestOf(key)
}

// String returns the digest in hex, as [ParseKeyDigest] reads it.
func (d KeyDigest) String() string { return hex.EncodeToString(d[:]) }

// ParseKeyDigest returns the digest for 64 hex digits, such as sha256sum prints for a key.
func ParseKeyDigest(s string) (KeyDigest, error) {
	var d KeyDigest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, errors.New("auth: a digest of a key has 64 hex digits") // s may be a key
	}
	return KeyDigest(b), nil
}

// An APIKeyStore finds API keys by their digests. It is safe for concurrent use, and returns when ctx ends.
// [Keys] is a store in memory.
//
// If it has a method Fault() error, the error that method returns is a fault in the plan.
type APIKeyStore interface {
	// APIKey returns the caller of the key with this digest, or nil and no error if there is none. The
	// Caller must not be changed afterwards; [APIKey.Caller] makes one. An error means that the store
	// cannot tell, and the request is refused with 503.
	APIKey(ctx context.Context, digest KeyDigest) (*proxy.Caller, error)
}

// MaxAPIKey is the most bytes that an API key may have.
const MaxAPIKey = 512

// APIKeys returns an [Authenticator] for API keys, which clients send in X-Api-Key. [APIKeysWith] can use
// another header.
//
// A key is looked up by its digest, so the time of a lookup tells nothing about other keys. A key that is
// unknown, expired, empty or longer than [MaxAPIKey] bytes is refused with 401. Two lines of the header are
// refused with 400. A key in the query is not read, because a query ends up in logs and in Referer.
//
// The Scheme of the caller is "api-key". The challenge is `ApiKey header="X-Api-Key"`; that scheme is not
// registered. A nil store is a fault in the plan.
func APIKeys(store APIKeyStore) Authenticator { return APIKeysWith(APIKeySpec{Store: store}) }

// An APIKeySpec describes an authenticator of API keys; see [APIKeysWith].
type APIKeySpec struct {
	// Store knows the keys. nil is a fault in the plan.
	Store APIKeyStore

	// Header is the name of the header in which clients send their key; "" is X-Api-Key. It cannot be
	// Authorization or Cookie, which have a syntax of their own, nor a header of the connection or of the
	// body. Such a name is a fault in the plan.
	Header string
}

// APIKeysWith is [APIKeys] with another header.
func APIKeysWith(s APIKeySpec) Authenticator {
	if s.Header == "" {
		s.Header = "X-Api-Key"
	}
	a := &apiKeys{store: s.Store, header: http.CanonicalHeaderKey(s.Header)}
	var errs []error
	switch f, ok := s.Store.(interface{ Fault() error }); {
	case call.IsNil(s.Store):
		errs = append(errs, errors.New("auth: APIKeys: the store is nil"))
	case ok:
		errs = append(errs, f.Fault())
	}
	err := field.CheckSet(a.header)
	if a.header == "Authorization" || a.header == "Cookie" {
		err = errors.New("it has a syntax of its own")
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("auth: APIKeys: header %q: %w", a.header, err))
	}
	a.step = pipe.Step{Kind: "api-key", Detail: a.header, Source: pipe.Here(), Takes: []string{a.header}, Err: errors.Join(errs...)}
	if !mark.On(s.Store) {
		a.step.Effects |= pipe.Opaque
	}
	a.challenge = `ApiKey header="` + a.header + `"`
	return a
}

type apiKeys struct {
	store     APIKeyStore
	header    string
	challenge string
	step      pipe.Step
}

// Mark says that the authenticator is ours.
func (*apiKeys) Mark() mark.Type { return mark.TypeOf[*apiKeys]() }

func (a *apiKeys) Plan() pipe.Step { return a.step }

func (a *apiKeys) Challenge(error) string { return a.challenge }

func (a *apiKeys) Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error) {
	lines := req.Header[a.header]
	switch {
	case len(lines) == 0:
		return nil, nil
	case len(lines) > 1:
		return nil, &proxy.Error{Status: http.StatusBadRequest, Op: "api key", Err: errTwoKeys}
	case lines[0] == "" || len(lines[0]) > MaxAPIKey:
		return nil, unauthorized("api key", errKeyLength)
	}
	caller, err := a.store.APIKey(ctx, DigestOf(lines[0]))
	switch {
	case err != nil:
		return nil, &proxy.Error{Status: http.StatusServiceUnavailable, Op: "api key", Err: unavailable(err)}
	case caller == nil:
		return nil, unauthorized("api key", errUnknownKey)
	case !caller.Expires.IsZero() && !time.Now().Before(caller.Expires):
		return nil, unauthorized("api key", errExpired)
	}
	return caller, nil
}

var (
	errTwoKeys    = errors.New("the request has several keys")
	errKeyLength  = errors.New("the key is empty or too long")
	errUnknownKey = errors.New("nobody has the key")
	errExpired    = errors.New("it has expired")
)

// unauthorized returns the error of a credential that is not good.
func unauthorized(op string, why error) error {
	return &proxy.Error{Status: http.StatusUnauthorized, Op: op, Err: fmt.Errorf("%w: %w", ErrInvalidCredentials, why)}
}
