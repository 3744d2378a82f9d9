package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// An APIKey describes one API key.
type APIKey struct {
	Digest KeyDigest // of the key; see [DigestOf]
	Name   string    // who has it: the ID of the caller
	Roles  []string  // what the caller is; nil is none
	Scopes []string  // what the key may be used for; nil is none

	// Expires is when the key ends; the zero Time is never.
	Expires time.Time
}

// Caller returns the caller that the key identifies: its ID is the Name, its Scheme is "api-key", and its
// Claims are "sub", the Name, and "roles" if there are any.
func (k APIKey) Caller() *proxy.Caller {
	return &proxy.Caller{ID: k.Name, Scheme: "api-key", Roles: slices.Clone(k.Roles), Scopes: slices.Clone(k.Scopes), Expires: k.Expires,
		Claims: claimsOf(k.Name, k.Roles)}
}

// claimsOf returns the claims of a credential that says who the caller is, and its roles.
func claimsOf(id string, roles []string) document.Document {
	doc, _ := document.Of(struct { // texts can always be encoded
		Sub   string   `json:"sub"`
		Roles []string `json:"roles,omitempty"`
	}{id, roles})
	return doc
}

// Keys is an [APIKeyStore] in memory. It holds digests, never keys. It is safe for concurrent use.
type Keys struct {
	callers atomic.Pointer[map[KeyDigest]*proxy.Caller]
	fault   error
}

// NewKeys returns a store of these keys. What [Keys.Replace] would return as an error is a fault in the
// plan of any decorator that uses the store.
func NewKeys(keys ...APIKey) *Keys {
	k := new(Keys)
	k.fault = k.Replace(keys...)
	return k
}

// Replace replaces all keys of the store at once, for all requests that come afterwards. The error joins
// what is wrong: a key without a Name or a Digest, and two keys with the same Digest. Then the store stays
// as it was. Several keys with one Name are one caller, as while a key is being renewed.
func (k *Keys) Replace(keys ...APIKey) error {
	callers := make(map[KeyDigest]*proxy.Caller, len(keys))
	var errs []error
	for i, key := range keys {
		if key.Name == "" {
			errs = append(errs, fmt.Errorf("auth: Keys: key %d has no Name", i+1))
		}
		if key.Digest == (KeyDigest{}) || key.Digest == DigestOf("") {
			errs = append(errs, fmt.Errorf("auth: Keys: key %d (%s) has no Digest", i+1, key.Name))
		}
		if other := callers[key.Digest]; other != nil {
			errs = append(errs, fmt.Errorf("auth: Keys: key %d (%s) is that of %s too", i+1, key.Name, other.ID))
		}
		callers[key.Digest] = key.Caller()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	k.callers.Store(&callers)
	return nil
}

// APIKey returns the caller of a key.
func (k *Keys) APIKey(_ context.Context, digest KeyDigest) (*proxy.Caller, error) {
	callers := k.callers.Load()
	if callers == nil {
		return nil, nil
	}
	return (*callers)[digest], nil
}

// Fault returns what is wrong with the keys of [NewKeys].
func (k *Keys) Fault() error { return k.fault }

// Mark says that the store is ours.
func (*Keys) Mark() mark.Type { return mark.TypeOf[*Keys]() }
