package jwt

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
)

// A Keys is the key set (JWKS) of an issuer: a set at a URL, or keys from [StaticKeys] or [ParseKeys].
//
//	keys := &jwt.Keys{URL: "https://id.example/jwks.json"}
//
// [Keys.Run] fetches the set at once, and again every Refresh. While it runs, a token with an unknown kid
// starts a fetch too, at most one in 10 s. All such tokens wait for a fetch that is under way, each until
// its own context ends, and no token waits for a second fetch. Between two of these fetches a token with an
// unknown kid is refused at once.
//
// If a fetch fails, the keys stay as they are. A fetch fails if the answer has a status other than 200,
// redirects, has more than 256 KiB, or is a set without a usable key. Keys in the set are left out if they
// are of an unknown type, for encryption, too weak or broken. So are secrets and private keys, because what
// is published is not secret. After a failure the next fetch is 1 s later, then 2 s, and so on up to 30 s.
//
// Times are measured by a clock that never jumps. The fields must not be changed once the Keys are in use.
// A Keys must not be copied, and its methods are safe for concurrent use. Several [Tokens] may share it.
type Keys struct {
	// URL is where the set is, by http or https. Whoever can change what the URL answers can sign tokens,
	// so use https. A user or password in the URL is a fault.
	URL string

	// Transport makes the requests. nil is a transport of its own, made by backend.NewTransport. Redirects
	// are not followed, and there are no cookies and no proxy, unless Transport adds them.
	Transport http.RoundTripper

	// Refresh is the time from a successful fetch to the next one. 0 is 10 min, and less than 1 s is a
	// fault.
	Refresh time.Duration

	// Keep is how long the keys stay valid after the last successful fetch. 0 is an hour, a negative Keep
	// is forever, and less than Refresh is a fault. After that time no token is valid, because nobody knows
	// which keys have been withdrawn.
	Keep time.Duration

	// Timeout is how long a fetch may take, including the body. 0 is 5 s, and a negative Timeout is a
	// fault.
	Timeout time.Duration

	// OnError, unless nil, is called with the error of each fetch that fails. It must return soon, because
	// Run makes no fetch in the meantime. A panic in it has no effect.
	OnError func(error)

	static bool
	fault  error // of the constructor
	set    atomic.Pointer[keySet]

	mu      sync.Mutex // guards what follows
	running bool
	wake    chan struct{} // tells Run of a fetch that a token has asked for; nil unless it runs
	flight  *flight       // the fetch that is under way, or that Run is about to make; nil for none
	asked   time.Time     // when a token has last asked for a fetch
	err     error         // of the last fetch; nil if it has succeeded
	left    int           // fetches that Run has gone on without
}

const (
	defaultRefresh = 10 * time.Minute
	defaultKeep    = time.Hour
	defaultTimeout = 5 * time.Second
)

// A Key is one key of [StaticKeys].
type Key struct {
	// ID is the kid of the tokens that the key verifies. Tokens without kid are verified with the key only
	// if it is the only one.
	ID string

	// Algorithm is the only algorithm that the key is used for, as in "PS256". "" is all algorithms that
	// the type of the key allows.
	Algorithm string

	// Public is an *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey.
	Public crypto.PublicKey

	// Secret is the secret of HMAC, in place of Public. It must be at least as long as the hash. Do not use
	// a password: anybody who has a token can try passwords at leisure. It must not be changed afterwards.
	Secret []byte
}

// StaticKeys returns keys that stay the same; Run has nothing to do for them. A key that cannot be used is
// a fault, and so is a secret beside a public key: see [Keys.Fault].
func StaticKeys(keys ...Key) *Keys {
	var all []*key
	var errs []error
	for i, k := range keys {
		material, err := any(k.Public), error(nil)
		switch {
		case k.Public != nil && k.Secret != nil:
			err = errors.New("it has both a Public and a Secret")
		case k.Secret != nil:
			material = k.Secret
		case k.Public == nil:
			err = errNoKey
		}
		if _, bytes := k.Public.([]byte); bytes {
			err = errors.New("its Public is a []byte")
		}
		var made *key
		if err == nil {
			made, err = newKey(k.ID, k.Algorithm, material)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("jwt: StaticKeys: key %d: %w", i+1, err))
			continue
		}
		all = append(all, made)
	}
	if len(keys) == 0 {
		errs = append(errs, errors.New("jwt: StaticKeys: there are no keys"))
	}
	return static("StaticKeys", all, errs...)
}

// ParseKeys returns the keys of a JWK set in JSON (RFC 7517), which stay the same. Keys that cannot be used
// are left out, as from a set at a URL, but secrets (kty oct) are used. A set without a usable key is a
// fault, and so is a secret beside a public key: see [Keys.Fault].
func ParseKeys(set []byte) *Keys {
	keys, err := parseSet(set)
	if err != nil {
		err = fmt.Errorf("jwt: ParseKeys: %w", err)
	}
	return static("ParseKeys", keys, err)
}

func static(what string, keys []*key, errs ...error) *Keys {
	k := &Keys{static: true}
	set := newKeySet(keys)
	if set.secrets() != 0 && set.secrets() != len(set.keys) {
		errs = append(errs, fmt.Errorf("jwt: %s: there is a secret beside a public key", what))
	}
	k.fault = errors.Join(errs...)
	k.set.Store(set)
	return k
}

// Fault returns what is wrong with the keys, joined, or nil. [New] refuses keys with a fault.
func (k *Keys) Fault() error {
	switch {
	case k == nil:
		return errors.New("jwt: Keys: they are nil")
	case k.static:
		return k.fault
	}
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("jwt: Keys: "+format, args...)) }
	u, err := url.Parse(k.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		fault("the URL is not one of http or https with a host") // the text of the error has the URL, and perhaps a password
	case u.User != nil:
		fault("the URL has a user")
	}
	if k.Refresh != 0 && k.Refresh < time.Second {
		fault("Refresh is %v, want 1 s or more", k.Refresh)
	}
	if k.Keep > 0 && k.Keep < k.refresh() {
		fault("Keep is %v, want Refresh (%v) or more", k.Keep, k.refresh())
	}
	if k.Timeout < 0 {
		fault("Timeout is %v, want more than 0", k.Timeout)
	}
	if r := reflect.ValueOf(k.Transport); r.Kind() == reflect.Pointer && r.IsNil() {
		fault("the Transport is a nil pointer")
	}
	return errors.Join(errs...)
}

func (k *Keys) refresh() time.Duration { return or(k.Refresh, defaultRefresh) }
func (k *Keys) timeout() time.Duration { return or(k.Timeout, defaultTimeout) }

func (k *Keys) keep() time.Duration {
	if k.Keep == 0 {
		return max(defaultKeep, k.refresh())
	}
	return k.Keep
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Ready returns nil while there are keys to verify tokens with. Otherwise its error wraps
// auth.ErrUnavailable and says why there are none. It does not wait.
func (k *Keys) Ready(context.Context) error {
	_, err := k.current()
	return err
}

// current returns the set, if it is good.
func (k *Keys) current() (*keySet, error) {
	set := k.set.Load()
	switch {
	case k.static && k.fault != nil:
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, k.fault)
	case set == nil:
		return nil, k.unavailable("there are no keys yet")
	case !k.static && k.keep() > 0 && time.Since(set.at) > k.keep():
		return nil, k.unavailable("the keys are too old")
	}
	return set, nil
}

// unavailable returns why there are no keys.
func (k *Keys) unavailable(why string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return fmt.Errorf("%w: %s: %w", auth.ErrUnavailable, why, k.err)
	case !k.running:
		return fmt.Errorf("%w: %s: jwt.Keys.Run does not run", auth.ErrUnavailable, why)
	}
	return fmt.Errorf("%w: %s", auth.ErrUnavailable, why)
}

// where is what a plan says about where the keys are from.
func (k *Keys) where() string {
	if k.static {
		return fmt.Sprintf("%d static keys", len(k.set.Load().keys))
	}
	u, err := url.Parse(k.URL)
	if err != nil {
		return "keys of a URL"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", "" // there may be secrets in it
	return "keys of " + u.String()
}
