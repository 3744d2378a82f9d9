package sign

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

// A Keys is a set of signing keys, and an http.Handler that publishes the public keys. [NewKeys] makes one.
// It is safe for concurrent use.
type Keys struct {
	fault error
	code  bool // of a user may sign
	set   atomic.Pointer[keySet]
}

// A keySet is keys at a time. It is not changed.
type keySet struct {
	first     *signer
	published []byte
}

// NewKeys returns a set of keys. The first key signs; the public keys of all are published. What is wrong
// with the keys is a fault that [Members] shows in the plan: no key, a weak key, a key that does not fit
// its algorithm, a private key whose public half belongs to another key, a secret beside private keys, two
// equal IDs, and a key without an ID beside another key.
func NewKeys(keys ...Key) *Keys {
	k := new(Keys)
	set, code, err := newKeySet(keys)
	if err != nil {
		k.fault = fmt.Errorf("sign: NewKeys: %w", err)
		return k
	}
	k.code = code
	k.set.Store(set)
	return k
}

// Set replaces the keys. Publish a new key before it becomes the first, for as long as readers keep a key
// set. Keep an old key until the last of what it has signed has expired.
//
// The error is what [NewKeys] would refuse, and then the keys stay as they were. It is also an error if one
// of the keys is a signer of your own and none of the previous keys was, because the plan has said that no
// such code runs.
func (k *Keys) Set(keys ...Key) error {
	if err := k.Fault(); err != nil {
		return err
	}
	set, code, err := newKeySet(keys)
	if err == nil && code && !k.code {
		err = errors.New("a signer of your own comes after keys without one")
	}
	if err != nil {
		return fmt.Errorf("sign: Set: %w", err)
	}
	k.set.Store(set)
	return nil
}

func newKeySet(keys []Key) (set *keySet, code bool, err error) {
	var errs []error
	var signers []*signer
	ids := map[string]bool{}
	secrets := 0
	for i, key := range keys {
		fault := func(err error) { errs = append(errs, fmt.Errorf("key %d: %w", i+1, err)) }
		s, err := newSigner(key)
		if err != nil {
			fault(err)
			continue
		}
		if key.ID == "" && len(keys) > 1 {
			fault(errors.New("it has no ID and is not alone"))
		} else if ids[key.ID] {
			fault(fmt.Errorf("another key has its ID %q", key.ID))
		}
		ids[key.ID] = true
		if s.secret != nil {
			secrets++
		}
		code = code || s.code
		signers = append(signers, s)
	}
	if len(keys) == 0 {
		errs = append(errs, errors.New("there are no keys"))
	}
	if secrets > 0 && secrets < len(signers) {
		errs = append(errs, errors.New("there is a secret beside a private key"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, false, err
	}
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, s := range signers {
		if s.secret == nil {
			public.Keys = append(public.Keys, jose.JSONWebKey{Key: s.public, KeyID: s.id, Algorithm: string(s.algorithm), Use: "sig"})
		}
	}
	published, err := json.Marshal(public)
	return &keySet{first: signers[0], published: published}, code, err
}

// Fault returns what is wrong with the keys, joined, or nil.
func (k *Keys) Fault() error {
	switch {
	case k == nil:
		return errors.New("sign: Keys: they are nil")
	case k.fault == nil && k.set.Load() == nil:
		return errors.New("sign: Keys: NewKeys has not made them")
	}
	return k.fault
}

// Sign returns the payload as a JWS in compact form. Its header has alg, typ, and kid if the key has an ID.
// The payload may be any bytes.
func (k *Keys) Sign(payload []byte, typ string) (string, error) {
	if err := k.Fault(); err != nil {
		return "", err
	}
	text, err := k.set.Load().first.sign(payload, typ)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return text, nil
}

// Public returns the set of the public keys as JSON (RFC 7517, section 5), without secrets. The bytes must
// not be changed.
func (k *Keys) Public() []byte {
	if k.Fault() != nil {
		return []byte(`{"keys":[]}`)
	}
	return k.set.Load().published
}

// ServeHTTP answers GET and HEAD with the set of the public keys, which may be cached for five minutes, and
// any other method with 405.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	text := k.Public()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}
