package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

const (
	// AnyIssuer as Spec.Issuer says that the claim iss is not checked: a token of any issuer is valid if a
	// key of the set has signed it. The plan says "any issuer".
	AnyIssuer = "*"

	// AnyAudience as the only element of Spec.Audience says that the claim aud is not checked: a token for
	// another service is valid here too. The plan says "any audience".
	AnyAudience = "*"
)

// A Spec describes a [Tokens]. Keys, Issuer, Audience and Algorithms are required; the zero values of
// all other fields are safe.
type Spec struct {
	Keys *Keys // what tokens are verified with

	// Issuer is what the claim iss must be, or [AnyIssuer].
	Issuer string

	// Audience is what the claim aud must name: one of these or, with AllAudiences, all of them. aud may
	// name others too. [AnyAudience] as the only element allows any.
	Audience     []string
	AllAudiences bool

	// Algorithms are the values of alg that a token may have: HS256, HS384, HS512, RS256, RS384, RS512,
	// PS256, PS384, PS512, ES256, ES384, ES512, EdDSA. Those of HMAC (HS) are for secrets, and the others
	// for public keys; both together are a fault.
	Algorithms []string

	// Leeway is how far the clock of the issuer may be off, for exp, nbf and iat. 0 is 10 s, and a negative
	// Leeway allows nothing. More than 5 min is a fault.
	Leeway time.Duration

	// Roles is the path of the claim with the roles of the caller, as document.ParsePath reads it, such as
	// "realm_access.roles". The claim is an array of strings, or a string of words separated by blanks;
	// anything else gives no roles. "" is "roles".
	Roles string

	// Scopes is the path of the claim with the scopes, in the same form. "" is "scope", or "scp" in a token
	// without "scope".
	Scopes string

	// Cookie is the name of a cookie that may hold the token, for a request without a token in
	// Authorization. With a cookie, a request that may change something, or that asks for another protocol
	// such as WebSocket, must come from the same origin: see auth.OwnOrigin. Otherwise it is refused with
	// 403. "" reads no cookie.
	Cookie string

	// Origins are other origins whose pages may make such requests with the cookie, written as browsers do:
	// "https://shop.example.com". Whoever controls such an origin acts for everyone who visits it. Name the
	// origin in CORS too, so that its pages can read the answers. nil is none. Origins without a Cookie,
	// and a text that is not an origin, are faults.
	Origins []string

	// Realm is the realm of the challenges (RFC 9110, section 11.5), in printable ASCII without quotes and
	// backslashes. "" is none.
	Realm string

	// DPoP says how tokens that are bound to a key of the client are accepted (RFC 9449). nil refuses them.
	DPoP *DPoP

	// Revoked, unless nil, is asked for each request with a valid token. It is an auth.Revocation, such as
	// the method Revoked of auth.Revoked. It returns nil for a token that was not revoked. An error that
	// wraps auth.ErrInvalidCredentials, as auth.ErrRevoked comes with, or that has status 401, says that
	// the token was revoked. With any other error, or a panic, the request is refused with 503, because
	// nobody knows. Revoked must return when its context ends.
	Revoked func(context.Context, *proxy.Caller) error

	// Remember is how many verified tokens are remembered. 0 is 10,000, and with a negative Remember none
	// is.
	Remember int

	// Now is the clock for the times in tokens and proofs, and for nothing else. nil is time.Now.
	Now func() time.Time
}

const (
	defaultLeeway   = 10 * time.Second
	maxLeeway       = 5 * time.Minute
	defaultRemember = 10_000
)

// New returns an authenticator for the tokens of a spec. The error joins all that is wrong with the spec.
func New(s Spec) (*Tokens, error) {
	f := &faults{}
	s.check(f)
	t := &Tokens{spec: s, leeway: or(s.Leeway, defaultLeeway), now: s.Now, roles: f.path("Roles", or(s.Roles, "roles")),
		scopes: f.path("Scopes", or(s.Scopes, "scope"))}
	t.spec.Audience, t.spec.Algorithms, t.spec.Origins = slices.Clone(s.Audience), slices.Clone(s.Algorithms), slices.Clone(s.Origins)
	t.anyAudience = len(s.Audience) == 1 && s.Audience[0] == AnyAudience
	if t.now == nil {
		t.now = time.Now
	}
	t.leeway = max(t.leeway, 0)
	if s.Remember >= 0 {
		t.known = newMemory(or(s.Remember, defaultRemember))
	}
	if s.DPoP != nil {
		t.proofs = newProofs(*s.DPoP, t.leeway, f)
	}
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	t.step = t.describe()
	return t, nil
}

// A faults collects what is wrong with a spec.
type faults struct{ errs []error }

func (f *faults) add(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("jwt: New: "+format, args...))
}

func (f *faults) path(field, text string) document.Path {
	p, err := document.ParsePath(text)
	if err != nil {
		f.add("%s: %w", field, err)
	}
	return p
}

func (s *Spec) check(f *faults) {
	if err := s.Keys.Fault(); err != nil {
		f.errs = append(f.errs, err)
	}
	if s.Issuer == "" {
		f.add("there is no Issuer; AnyIssuer says that any will do")
	}
	if len(s.Audience) == 0 {
		f.add("there is no Audience; AnyAudience says that any will do")
	}
	if slices.Contains(s.Audience, "") {
		f.add("an Audience is empty")
	}
	if len(s.Audience) > 1 && slices.Contains(s.Audience, AnyAudience) {
		f.add("AnyAudience stands beside another Audience")
	}
	s.checkAlgorithms(f)
	if s.Leeway > maxLeeway {
		f.add("Leeway is %v, want %v or less", s.Leeway, maxLeeway)
	}
	if s.Cookie != "" && !isCookieName(s.Cookie) {
		f.add("Cookie %q is no name of a cookie", s.Cookie)
	}
	if s.Cookie == "" && len(s.Origins) > 0 {
		f.add("there are Origins and no Cookie")
	}
	for _, origin := range s.Origins {
		if err := auth.CheckOrigin(origin); err != nil {
			f.add("Origins: %q: %w", origin, err)
		}
	}
	if strings.ContainsFunc(s.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		f.add("Realm %q has other characters than printable ASCII, or a quote or backslash", s.Realm)
	}
}

func (s *Spec) checkAlgorithms(f *faults) {
	if len(s.Algorithms) == 0 {
		f.add("there are no Algorithms")
	}
	secret, public := 0, 0
	for _, name := range s.Algorithms {
		a, known := algorithmOf(name)
		switch {
		case !known:
			f.add("%q is none of the Algorithms that there are", name)
		case a.family == hmacKeys:
			secret++
		default:
			public++
		}
	}
	if secret > 0 && public > 0 {
		f.add("the Algorithms are for secrets and for public keys: a public key could be taken for a secret")
	}
	if s.Keys == nil || s.Keys.Fault() != nil || secret+public == 0 {
		return
	}
	switch set := s.Keys.set.Load(); {
	case !s.Keys.static && secret > 0:
		f.add("HMAC needs a secret, and the keys of a URL are none")
	case s.Keys.static && !slices.ContainsFunc(set.keys, func(k *key) bool {
		return slices.ContainsFunc(s.Algorithms, func(a string) bool { return k.verifiers[a] != nil })
	}):
		f.add("no key is for one of the Algorithms")
	}
}

// isCookieName reports whether a name is a token (RFC 6265, section 4.1.1).
func isCookieName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) })
}

// describe returns the step of the tokens in a plan.
func (t *Tokens) describe() pipe.Step {
	s := &t.spec
	step := pipe.Step{Mark: mark.Borrows(), Kind: "jwt", Source: pipe.Here(), Acts: pipe.In, State: t, Takes: []string{"Authorization"},
		Effects: pipe.Terminal | pipe.Authenticates | pipe.Stateful}
	notes := []string{s.Keys.where(), "issuer " + s.Issuer, "audience " + strings.Join(s.Audience, either(s.AllAudiences, " and ", " or ")),
		strings.Join(s.Algorithms, " ")}
	if s.Issuer == AnyIssuer {
		notes[1] = "any issuer"
	}
	if t.anyAudience {
		notes[2] = "any audience"
	}
	if s.Cookie != "" {
		notes = append(notes, strings.Join(append([]string{"cookie " + s.Cookie}, s.Origins...), " also from "))
		step.Takes = append(step.Takes, "Cookie", "Origin", "Upgrade")
	}
	if t.proofs != nil {
		notes = append(notes, either(s.DPoP.Required, "DPoP only", "DPoP"))
		step.Takes = append(step.Takes, proofField)
	}
	if s.Revoked != nil {
		notes = append(notes, "asks whether revoked")
	}
	if s.Revoked != nil || s.Now != nil {
		step.Effects |= pipe.Opaque // the user's code may wait although it must not
	} else {
		step.Effects |= pipe.HonoursContext
	}
	if !s.Keys.static {
		step.Waits = s.Keys.timeout() + graceTime // for one fetch
	}
	step.Detail = strings.Join(notes, ", ")
	return step
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
