package jwt

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// ErrProof is why a request is refused if its DPoP proof is missing or not valid. It comes in a
// [*proxy.Error] of status 401, which also wraps auth.ErrInvalidCredentials.
var ErrProof = errors.New("the DPoP proof is not good")

// A DPoP says how to accept tokens that are bound to a key of the client by the member jkt of their claim
// cnf (RFC 9449). The zero value is safe.
//
// Such a token comes with the scheme DPoP, and with a proof in the field DPoP. The proof is a JWS of type
// "dpop+jwt" that brings its public key, whose thumbprint is jkt. Its claims are the method (htm) and the
// URL (htu) of the request, the hash of the token (ath), the time when the proof was made (iat), and an ID
// that the caller has not used before (jti). The URL is the one that the client used: its scheme and host
// are those of endpoint.ClientOf. Query and fragment do not count.
//
// Each process remembers the proofs that it has seen, to refuse a replay. In a fleet a proof can be used
// once with each process.
type DPoP struct {
	// Algorithms are the values of alg that a proof may have: those of Spec.Algorithms, except HMAC. nil is
	// ES256, EdDSA, PS256 and RS256.
	Algorithms []string

	// Age is how old a proof may be. 0 is 1 min; a negative Age, or one of more than an hour, is a fault.
	// The Leeway of the [Spec] is added to it, and is also how far in the future a proof may be.
	Age time.Duration

	// MaxProofs is how many proofs are remembered. Each is remembered for at least the Age and twice the
	// Leeway, and for at most twice that time. If there is no room for another proof, its request is
	// refused with 503. One caller can fill at most a tenth. 0 is 100,000; a negative MaxProofs is a fault.
	MaxProofs int

	// Required refuses tokens that are not bound to a proof.
	Required bool
}

const (
	defaultAge       = time.Minute
	maxAge           = time.Hour
	defaultMaxProofs = 100_000
	proofField       = "Dpop" // in the form of net/http
)

// A proofs checks the DPoP proofs of a Tokens, and remembers them.
type proofs struct {
	spec   DPoP
	leeway time.Duration
	life   time.Duration // of what is remembered

	mu         sync.Mutex // guards what follows
	turned     time.Time  // when the young ones began
	young, old seen
}

// A seen is the proofs that came in a time.
type seen struct {
	all map[digest]struct{}
	of  map[string]int // how many, by the key of the caller
}

func newSeen() seen { return seen{map[digest]struct{}{}, map[string]int{}} }

func newProofs(s DPoP, leeway time.Duration, f *faults) *proofs {
	s.Algorithms = slices.Clone(s.Algorithms)
	if s.Algorithms == nil {
		s.Algorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}
	}
	if len(s.Algorithms) == 0 {
		f.add("DPoP: the Algorithms are empty")
	}
	for _, name := range s.Algorithms {
		if a, known := algorithmOf(name); !known || a.family == hmacKeys {
			f.add("DPoP: %q is none of the Algorithms that there are for proofs", name)
		}
	}
	if s.Age < 0 || s.Age > maxAge {
		f.add("DPoP: Age is %v, want more than 0 and no more than %v", s.Age, maxAge)
	}
	if s.MaxProofs < 0 {
		f.add("DPoP: MaxProofs is %d, want 1 or more", s.MaxProofs)
	}
	s.Age, s.MaxProofs = or(s.Age, defaultAge), or(s.MaxProofs, defaultMaxProofs)
	return &proofs{spec: s, leeway: leeway, life: s.Age + 2*leeway + time.Second, young: newSeen(), old: newSeen()}
}

// check returns an error unless the request has a new proof for this token.
func (p *proofs) check(ctx context.Context, req *proxy.Request, token digest, c *credential, now time.Time) error {
	lines := req.Header[proofField]
	if len(lines) > 1 {
		return malformed(fmt.Errorf("%w: there are several", ErrProof))
	}
	if len(lines) == 0 {
		return invalid(fmt.Errorf("%w: there is none", ErrProof))
	}
	id, err := p.verify(ctx, req, lines[0], token, c, now)
	if err != nil {
		return invalid(fmt.Errorf("%w: %w", ErrProof, err))
	}
	return p.once(c.caller.Key(), id)
}

// verify returns the jti of a proof that is good but for that.
func (p *proofs) verify(ctx context.Context, req *proxy.Request, proof string, token digest, c *credential, now time.Time) (string, error) {
	h, err := parseHeader(proof, p.spec.Algorithms)
	if err != nil {
		return "", err
	}
	if h.typ != "dpop+jwt" {
		return "", errors.New("its typ is not dpop+jwt")
	}
	k, err := parseKey(h.jwk)
	if err != nil {
		return "", fmt.Errorf("its jwk: %w", err)
	}
	if k.secret || k.verifiers[h.alg] == nil {
		return "", errors.New("its jwk is not for its alg")
	}
	if subtle.ConstantTimeCompare(k.thumb, c.bound.proof) != 1 {
		return "", errors.New("its key is not the one that the token is bound to")
	}
	payload, err := payloadOf(proof, h, k)
	if err != nil {
		return "", err
	}
	claims, err := document.Parse(payload)
	if err != nil || claims.Kind() != document.Object {
		return "", errPayload
	}
	if err := repeats(claims); err != nil {
		return "", err
	}
	return p.claims(ctx, req, claims, token, now)
}

var (
	pathHtm = document.PathOf("htm")
	pathHtu = document.PathOf("htu")
	pathAth = document.PathOf("ath")
	pathJti = document.PathOf("jti")
)

// claims returns the jti of a proof whose claims are those of the request.
func (p *proofs) claims(ctx context.Context, req *proxy.Request, claims document.Document, token digest, now time.Time) (string, error) {
	method, err1 := textAt(claims, pathHtm, "htm")
	target, err2 := textAt(claims, pathHtu, "htu")
	hash, err3 := textAt(claims, pathAth, "ath")
	id, err4 := textAt(claims, pathJti, "jti")
	made, err5 := timeAt(claims, pathIat, "iat")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return "", err
	}
	switch {
	case method != req.Method:
		return "", errors.New("it is for another method")
	case !sameTarget(target, targetOf(ctx, req)):
		return "", errors.New("it is for another URL")
	case subtle.ConstantTimeCompare([]byte(hash), []byte(strict.EncodeToString(token[:]))) != 1:
		return "", errors.New("it is for another token")
	case made.IsZero() || made.After(now.Add(p.leeway)) || made.Before(now.Add(-p.spec.Age-p.leeway)):
		return "", errors.New("it was made too long ago, or in the future")
	case id == "":
		return "", errors.New("it has no jti")
	}
	return id, nil
}

// targetOf returns the URL of a request without its query, as the client knows it.
func targetOf(ctx context.Context, req *proxy.Request) *url.URL {
	path := req.Path
	if r := endpoint.HTTPRequest(ctx); r != nil {
		path = r.URL.EscapedPath() // before anything has changed it
	}
	u := &url.URL{Scheme: req.Scheme, Host: req.Host}
	var err error
	if u.Path, err = url.PathUnescape(path); err == nil {
		u.RawPath = path
	}
	return u
}

// sameTarget reports whether a proof names the URL (RFC 9449, section 4.3).
func sameTarget(htu string, want *url.URL) bool {
	got, err := url.Parse(htu)
	return err == nil && got.User == nil && got.Host != "" && got.Opaque == "" &&
		strings.EqualFold(got.Scheme, want.Scheme) &&
		strings.EqualFold(withoutPort(got), withoutPort(want)) &&
		or(got.EscapedPath(), "/") == or(want.EscapedPath(), "/")
}

// withoutPort returns the host of a URL without the port that its scheme has by default.
func withoutPort(u *url.URL) string {
	switch strings.ToLower(u.Scheme) {
	case "https":
		return strings.TrimSuffix(u.Host, ":443")
	case "http":
		return strings.TrimSuffix(u.Host, ":80")
	}
	return u.Host
}

var (
	errUsed = errors.New("it was used before")
	errFull = errors.New("there is no place to remember another DPoP proof")
)

// once returns an error if the caller has used the proof before, or if it cannot be remembered.
func (p *proofs) once(caller, id string) error {
	sum := digest(sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(caller), caller, id)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn()
	if _, used := p.young.all[sum]; used {
		return invalid(fmt.Errorf("%w: %w", ErrProof, errUsed))
	}
	if _, used := p.old.all[sum]; used {
		return invalid(fmt.Errorf("%w: %w", ErrProof, errUsed))
	}
	most := p.spec.MaxProofs
	if len(p.young.all)+len(p.old.all) >= most || p.young.of[caller]+p.old.of[caller] >= max(most/10, 1) {
		return unavailable(fmt.Errorf("%w: %w", auth.ErrUnavailable, errFull))
	}
	p.young.all[sum] = struct{}{}
	p.young.of[caller]++
	return nil
}

// turn forgets what is too old to matter. The caller holds p.mu.
func (p *proofs) turn() {
	now := time.Now()
	switch since := now.Sub(p.turned); {
	case since < p.life:
		return
	case since < 2*p.life:
		p.old = p.young
	default:
		p.old = newSeen()
	}
	p.young, p.turned = newSeen(), now
}
