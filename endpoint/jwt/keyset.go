package jwt

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-go/sluice/proxy/document"
)

// A key verifies tokens.
type key struct {
	id        string         // "" for none
	verifiers map[string]any // by algorithm; see verifiers
	secret    bool
	thumb     []byte            // of a public key (RFC 7638)
	print     [sha256.Size]byte // two keys with the same print are the same key
	gone      atomic.Bool       // it has left the set
}

// newKey returns a key of these bytes or this public key. Without alg it is for all algorithms that it
// can be used for.
func newKey(id, alg string, material any) (*key, error) {
	all, err := verifiers(material, alg)
	if err != nil {
		return nil, err
	}
	k := &key{id: id, verifiers: all}
	secret, isSecret := material.([]byte)
	if k.secret = isSecret; !isSecret {
		if k.thumb, err = (&jose.JSONWebKey{Key: material}).Thumbprint(crypto.SHA256); err != nil {
			return nil, err
		}
	}
	k.print = sha256.Sum256(fmt.Appendf(nil, "%q %q %x %x", id, alg, secret, k.thumb))
	return k, nil
}

// A keySet is the keys of an issuer at a time. It is not changed.
type keySet struct {
	keys []*key
	byID map[string][]*key
	at   time.Time // when it was fetched
}

func newKeySet(keys []*key) *keySet {
	s := &keySet{byID: map[string][]*key{}}
	seen := map[[sha256.Size]byte]bool{}
	for _, k := range keys {
		if seen[k.print] {
			continue
		}
		seen[k.print] = true
		s.keys = append(s.keys, k)
		if k.id != "" {
			s.byID[k.id] = append(s.byID[k.id], k)
		}
	}
	return s
}

// after makes s the set that follows old. A key that both have stays the same, and one that only old
// has is gone.
func (s *keySet) after(old *keySet) *keySet {
	if old == nil {
		return s
	}
	was := map[[sha256.Size]byte]*key{}
	for _, k := range old.keys {
		was[k.print] = k
	}
	keys := slices.Clone(s.keys)
	for i, k := range keys {
		if same := was[k.print]; same != nil {
			keys[i] = same
			delete(was, k.print)
		}
	}
	for _, k := range was {
		k.gone.Store(true)
	}
	next := newKeySet(keys)
	next.at = s.at
	return next
}

var (
	errUnknownKey = errors.New("no key has the kid of the token")
	errWrongKey   = errors.New("the key that the kid names is not for the alg of the token")
	errTwoKeys    = errors.New("several keys have the kid of the token")
	errNoKeyID    = errors.New("the token has no kid, and there is not exactly one key")
)

// find returns the key for a token, which is verified only by algorithms of the list allowed.
func (s *keySet) find(h header, allowed []string) (*key, error) {
	if h.noKeyID {
		return s.only(h.alg, allowed)
	}
	named := s.byID[h.keyID]
	var found *key
	for _, k := range named {
		switch {
		case k.verifiers[h.alg] == nil:
		case found != nil:
			return nil, errTwoKeys
		default:
			found = k
		}
	}
	switch {
	case len(named) == 0:
		return nil, errUnknownKey
	case found == nil:
		return nil, errWrongKey
	}
	return found, nil
}

// only returns the key for a token that does not say which one.
func (s *keySet) only(alg string, allowed []string) (*key, error) {
	var found *key
	for _, k := range s.keys {
		usable := slices.ContainsFunc(allowed, func(a string) bool { return k.verifiers[a] != nil })
		if usable && found != nil {
			return nil, errNoKeyID
		}
		if usable {
			found = k
		}
	}
	if found == nil || found.verifiers[alg] == nil {
		return nil, errNoKeyID
	}
	return found, nil
}

// parseSet returns the keys of a JWK set (RFC 7517, section 5) that can verify signatures. The others
// are left out: those of an unknown type, for another use, too weak or broken, and private ones. If
// nothing is left, that is an error which says why.
func parseSet(text []byte) ([]*key, error) {
	doc, err := document.Parse(text)
	if err != nil {
		return nil, err
	}
	set := doc.Get(document.PathOf("keys"))
	if doc.Kind() != document.Object || set.Kind() != document.Array {
		return nil, errors.New("not a key set: there is no array of keys")
	}
	var keys []*key
	why := errors.New("the set is empty")
	for i, element := range set.Elements() {
		k, err := parseKey(element)
		if err != nil {
			why = fmt.Errorf("key %d: %w", i+1, err)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no key that can be used: %w", why)
	}
	return keys, nil
}

// private are the members of a JWK that only its owner may know.
var private = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"}

// parseKey returns the key of a JWK (RFC 7517, section 4).
func parseKey(jwk document.Document) (*key, error) {
	if jwk.Kind() != document.Object {
		return nil, errors.New("not an object")
	}
	if err := repeats(jwk); err != nil {
		return nil, err
	}
	var ops []string
	text := map[string]string{}
	for name, value := range jwk.Members() {
		if slices.Contains(private[:], name) {
			return nil, errors.New("the private key is published, so anybody can sign with it")
		}
		switch name {
		case "kty", "use", "alg", "kid":
			if value.Kind() != document.String {
				return nil, fmt.Errorf("its %s is no string", name)
			}
			text[name], _ = value.Text()
		case "key_ops":
			if err := value.Decode(&ops); err != nil {
				return nil, errors.New("its key_ops are no array of strings")
			}
			if !slices.Contains(ops, "verify") {
				return nil, errors.New("its key_ops do not include verify")
			}
		}
	}
	if use, ok := text["use"]; ok && use != "sig" {
		return nil, fmt.Errorf("its use is %.32q", use)
	}
	if alg, ok := text["alg"]; ok {
		if _, known := algorithmOf(alg); !known {
			return nil, fmt.Errorf("its alg is %.32q", alg)
		}
	}
	material, err := materialOf(jwk)
	if err != nil {
		return nil, err
	}
	return newKey(text["kid"], text["alg"], material)
}

// materialOf returns the public key of a JWK, or its secret. Certificates are not looked at.
func materialOf(jwk document.Document) (any, error) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON([]byte(jwk.Keep(keyMembers).String())); err != nil {
		return nil, err
	}
	return k.Key, nil
}

var keyMembers = document.MustPaths("kty", "crv", "x", "y", "n", "e", "k")

// secrets returns how many keys of the set are secrets.
func (s *keySet) secrets() int {
	n := 0
	for _, k := range s.keys {
		if k.secret {
			n++
		}
	}
	return n
}
