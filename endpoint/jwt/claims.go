package jwt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A credential is a token that was verified.
type credential struct {
	caller *proxy.Caller
	key    *key
	begins time.Time // not good before; the zero Time is ever
	ends   time.Time // not good from then on
	bound  binding
}

// good returns why the token is not valid now, or nil. The leeway is in its times.
func (c *credential) good(now time.Time) error {
	switch {
	case !now.Before(c.ends):
		return errExpired
	case now.Before(c.begins):
		return errEarly
	}
	return nil
}

var (
	errPayload  = errors.New("the payload of the token is not an object")
	errExpired  = errors.New("the token has expired")
	errEarly    = errors.New("the token is not valid yet: its nbf or iat is in the future")
	errNoExp    = errors.New("the token has no exp")
	errIssuer   = errors.New("the token is of another issuer")
	errAudience = errors.New("the token is for another audience")
)

// The claims that are read by themselves (RFC 7519, section 4.1).
var (
	pathIss   = document.PathOf("iss")
	pathSub   = document.PathOf("sub")
	pathAud   = document.PathOf("aud")
	pathExp   = document.PathOf("exp")
	pathNbf   = document.PathOf("nbf")
	pathIat   = document.PathOf("iat")
	pathCnf   = document.PathOf("cnf")
	pathScope = document.PathOf("scope")
	pathScp   = document.PathOf("scp")
)

// credentialOf returns what a payload says, whether it is valid now or not.
func (t *Tokens) credentialOf(payload []byte) (*credential, error) {
	claims, err := document.Parse(payload)
	if err != nil || claims.Kind() != document.Object {
		return nil, errPayload
	}
	if err := repeats(claims); err != nil {
		return nil, err
	}
	issuer, err := textAt(claims, pathIss, "iss")
	if err != nil {
		return nil, err
	}
	if t.spec.Issuer != AnyIssuer && issuer != t.spec.Issuer {
		return nil, errIssuer
	}
	if err := t.admits(claims.Get(pathAud)); err != nil {
		return nil, err
	}
	id, err := textAt(claims, pathSub, "sub")
	if err != nil {
		return nil, err
	}
	c := &credential{}
	expires, err := t.times(c, claims)
	if err != nil {
		return nil, err
	}
	if c.bound, err = bindingOf(claims.Get(pathCnf)); err != nil {
		return nil, err
	}
	c.caller = &proxy.Caller{Issuer: issuer, ID: id, Scheme: scheme, Claims: claims, Expires: expires,
		Roles: words(claims.Get(t.roles)), Scopes: t.scopesOf(claims)}
	return c, nil
}

// scheme is the Scheme of the callers.
const scheme = "jwt"

// times reads when the token is valid into c, with the leeway, and returns when it expires.
func (t *Tokens) times(c *credential, claims document.Document) (expires time.Time, err error) {
	expires, err = timeAt(claims, pathExp, "exp")
	if err != nil {
		return time.Time{}, err
	}
	if expires.IsZero() {
		return time.Time{}, errNoExp
	}
	notBefore, err := timeAt(claims, pathNbf, "nbf")
	if err != nil {
		return time.Time{}, err
	}
	issued, err := timeAt(claims, pathIat, "iat")
	if err != nil {
		return time.Time{}, err
	}
	if c.begins = notBefore; issued.After(notBefore) {
		c.begins = issued
	}
	if !c.begins.IsZero() {
		c.begins = c.begins.Add(-t.leeway)
	}
	c.ends = expires.Add(t.leeway)
	return expires, nil
}

// textAt returns the claim at a path, which must be a string if it is there.
func textAt(claims document.Document, path document.Path, name string) (string, error) {
	value := claims.Get(path)
	if value.IsZero() {
		return "", nil
	}
	if value.Kind() != document.String {
		return "", fmt.Errorf("the claim %s is no string", name)
	}
	text, _ := value.Text()
	return text, nil
}

// lastTime is the last second of the year 9999.
const lastTime = 253402300799

// timeAt returns the time of a claim, which must be a number of seconds if it is there (RFC 7519,
// section 2), perhaps with a fraction. Of no claim it is the zero Time.
func timeAt(claims document.Document, path document.Path, name string) (time.Time, error) {
	value := claims.Get(path)
	if value.IsZero() {
		return time.Time{}, nil
	}
	if value.Kind() == document.Number {
		text, _ := value.Text()
		if whole, err := strconv.ParseInt(text, 10, 64); err == nil && whole >= 0 && whole <= lastTime {
			return time.Unix(whole, 0), nil
		}
		if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds <= lastTime {
			whole := int64(seconds)
			return time.Unix(whole, int64((seconds-float64(whole))*1e9)), nil
		}
	}
	return time.Time{}, fmt.Errorf("the claim %s is no time", name)
}

// admits returns an error if the audience of a token is not that of the spec.
func (t *Tokens) admits(aud document.Document) error {
	if t.anyAudience {
		return nil
	}
	var named []string
	switch aud.Kind() {
	case document.String:
		text, _ := aud.Text()
		named = append(named, text)
	case document.Array:
		for _, element := range aud.Elements() {
			if element.Kind() != document.String {
				return errors.New("the claim aud has other elements than strings")
			}
			text, _ := element.Text()
			named = append(named, text)
		}
	default:
		return errAudience
	}
	found := 0
	for _, audience := range t.spec.Audience {
		if slices.Contains(named, audience) {
			found++
		}
	}
	if found == 0 || t.spec.AllAudiences && found < len(t.spec.Audience) {
		return errAudience
	}
	return nil
}

// scopesOf returns the scopes of a token (RFC 8693, section 4.2).
func (t *Tokens) scopesOf(claims document.Document) []string {
	if t.spec.Scopes != "" {
		return words(claims.Get(t.scopes))
	}
	if scope := claims.Get(pathScope); !scope.IsZero() {
		return words(scope)
	}
	return words(claims.Get(pathScp))
}

// words returns the strings of an array, or the words of a string between blanks. Anything else has
// none.
func words(d document.Document) []string {
	switch d.Kind() {
	case document.String:
		text, _ := d.Text()
		return strings.Fields(text)
	case document.Array:
		var all []string
		for _, element := range d.Elements() {
			if element.Kind() == document.String {
				text, _ := element.Text()
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
