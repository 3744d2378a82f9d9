package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Tokens verifies the tokens of one issuer. It is an auth.Authenticator, for auth.Require, and is safe
// for concurrent use. [New] makes one.
//
// The caller that it returns has the Scheme "jwt". Its Issuer is the claim iss, and its ID the claim sub,
// or "" without one. Its Roles and Scopes are those that the [Spec] says where to find, and its Claims are
// all claims. Expires is the exp of the token, without the leeway.
type Tokens struct {
	spec        Spec
	leeway      time.Duration
	anyAudience bool
	roles       document.Path
	scopes      document.Path
	now         func() time.Time
	known       *memory // nil remembers none
	proofs      *proofs // nil without DPoP
	step        pipe.Step
}

// A presented is the token of a request, and how it came.
type presented struct {
	token string
	how   carrier
}

// A carrier is where a token was.
type carrier int

const (
	byNone carrier = iota
	byBearer
	byDPoP
	byCookie
)

// Plan returns the step that the tokens have in a plan.
func (t *Tokens) Plan() pipe.Step { return t.step }

// Mark says that the tokens are part of sluice, so that no copy of a request is made for them.
func (t *Tokens) Mark() mark.Type { return mark.TypeOf[*Tokens]() }

// Fault returns an error if t was not made by [New], and nil otherwise.
func (t *Tokens) Fault() error {
	if t == nil || t.spec.Keys == nil {
		return errors.New("jwt: Tokens: they were not made by New")
	}
	return nil
}

// Authenticate returns the caller of a request with a valid token, and nil for a request without a token.
// The package comment says how other requests are refused. It waits only for a fetch of the keys, and for
// no more than nine tenths of the time that ctx has left. Then it returns an error that wraps
// auth.ErrUnavailable, while there is still time for the answer.
func (t *Tokens) Authenticate(ctx context.Context, req *proxy.Request) (*proxy.Caller, error) {
	p, err := t.find(ctx, req)
	if err != nil || p.how == byNone {
		return nil, err
	}
	if len(p.token) > maxToken {
		return nil, invalid(errLong)
	}
	now, sum := t.now(), digestOf(p.token)
	c, err := t.credential(ctx, p.token, sum, now)
	if err != nil {
		return nil, err
	}
	if err := t.holds(ctx, req, p, sum, c, now); err != nil {
		return nil, err
	}
	if t.spec.Revoked != nil {
		if err := t.revoked(ctx, c.caller); err != nil {
			return nil, err
		}
	}
	return c.caller, nil
}

// find returns the token of a request.
func (t *Tokens) find(ctx context.Context, req *proxy.Request) (presented, error) {
	kind, token, err := auth.Authorization(req)
	if err != nil {
		return presented{}, err
	}
	switch {
	case kind == "bearer":
		return presented{token, byBearer}, nil
	case kind == "dpop" && t.proofs != nil:
		return presented{token, byDPoP}, nil
	case t.spec.Cookie == "" || req.Header["Cookie"] == nil:
		return presented{}, nil
	}
	cookies := (&http.Request{Header: req.Header}).CookiesNamed(t.spec.Cookie)
	switch len(cookies) {
	case 0:
		return presented{}, nil
	case 1:
		return presented{cookies[0].Value, byCookie}, auth.OwnOrigin(ctx, req, t.spec.Origins...)
	}
	return presented{}, malformed(errCookies)
}

var errCookies = errors.New("there are several cookies of the name")

// credential returns what a token says, if it is good now.
func (t *Tokens) credential(ctx context.Context, token string, sum digest, now time.Time) (*credential, error) {
	if c := t.known.get(sum); c != nil {
		if _, err := t.spec.Keys.current(); err == nil && !c.key.gone.Load() {
			return c, invalid(c.good(now))
		}
		t.known.forget(sum) // its key is gone, or nobody knows
	}
	c, err := t.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := c.good(now); err != nil {
		return nil, invalid(err)
	}
	t.known.put(sum, c)
	return c, nil
}

// verify returns what a token says that one of the keys has signed.
func (t *Tokens) verify(ctx context.Context, token string) (*credential, error) {
	h, err := parseHeader(token, t.spec.Algorithms)
	if err != nil {
		return nil, invalid(err)
	}
	k, err := t.keyFor(ctx, h)
	if err != nil {
		return nil, err
	}
	payload, err := payloadOf(token, h, k)
	if err != nil {
		return nil, invalid(err)
	}
	c, err := t.credentialOf(payload)
	if err != nil {
		return nil, invalid(err)
	}
	c.key = k
	return c, nil
}

// keyFor returns the key for a token. If there is none, it waits for one fetch at most.
func (t *Tokens) keyFor(ctx context.Context, h header) (*key, error) {
	keys := t.spec.Keys
	for asked := false; ; asked = true {
		set, err := keys.current()
		if err == nil {
			k, missing := set.find(h, t.spec.Algorithms)
			if missing == nil {
				return k, nil
			}
			if missing != errUnknownKey {
				return nil, invalid(missing)
			}
			if asked || keys.static {
				return nil, invalid(fmt.Errorf("%w: %.64q", missing, h.keyID))
			}
		} else if asked || keys.static {
			return nil, unavailable(err)
		}
		switch waited := keys.ask(ctx); {
		case waited == nil:
		case errors.Is(waited, context.Canceled):
			return nil, &proxy.Error{Op: "jwt", Err: waited}
		default:
			return nil, unavailable(fmt.Errorf("%w: %w", auth.ErrUnavailable, waited))
		}
	}
}

// revoked asks the hook of the spec. A panic in it is an error.
func (t *Tokens) revoked(ctx context.Context, caller *proxy.Caller) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = unavailable(fmt.Errorf("%w: Revoked: %w", auth.ErrUnavailable, panicOf(recover())))
		}
	}()
	said := t.spec.Revoked(ctx, caller)
	switch {
	case said == nil:
	case errors.Is(said, auth.ErrInvalidCredentials):
		err = &proxy.Error{Status: http.StatusUnauthorized, Op: "jwt", Err: said}
	case proxy.StatusOf(said) == http.StatusUnauthorized:
		err = &proxy.Error{Status: http.StatusUnauthorized, Op: "jwt", Err: fmt.Errorf("%w: %w", auth.ErrInvalidCredentials, said)}
	case errors.Is(ctx.Err(), context.Canceled):
		err = &proxy.Error{Op: "jwt", Err: ctx.Err()}
	default:
		err = unavailable(fmt.Errorf("%w: Revoked: %w", auth.ErrUnavailable, said))
	}
	returned = true
	return err
}

// panicOf returns the error of a hook that did not return.
func panicOf(v any) error {
	if v == nil {
		return errExit
	}
	return pipe.NewPanicError(fmt.Sprint(v)) // Sprint recovers a panic of its methods
}

// invalid returns the error of a token that is not good, or nil for nil.
func invalid(why error) error {
	if why == nil {
		return nil
	}
	return &proxy.Error{Status: http.StatusUnauthorized, Op: "jwt", Err: fmt.Errorf("%w: %w", auth.ErrInvalidCredentials, why)}
}

func malformed(why error) error {
	return &proxy.Error{Status: http.StatusBadRequest, Op: "jwt", Err: why}
}

// unavailable returns the error of a token that cannot be checked. why wraps auth.ErrUnavailable.
func unavailable(why error) error {
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "jwt", Err: why}
}

// Challenge returns the challenge for a request that was refused (RFC 6750, section 3): "Bearer", with the
// realm if there is one, and with the error "invalid_token", or "invalid_request" for status 400. A request
// without a token gets no error. If the Spec has DPoP, there is also a challenge of the scheme DPoP, which
// names the algorithms. It has the error "invalid_dpop_proof" if the proof was not valid (RFC 9449, section
// 7.1).
func (t *Tokens) Challenge(err error) string {
	problem := ""
	switch status := proxy.StatusOf(err); {
	case err == nil, errors.Is(err, auth.ErrNoCredentials):
	case errors.Is(err, ErrProof):
		problem = "invalid_dpop_proof"
	case status == http.StatusUnauthorized:
		problem = "invalid_token"
	case status == http.StatusBadRequest:
		problem = "invalid_request"
	default:
		return ""
	}
	if t.proofs == nil {
		return t.challenge("Bearer", "error", problem)
	}
	algs := strings.Join(t.proofs.spec.Algorithms, " ")
	if t.proofs.spec.Required {
		return t.challenge("DPoP", "algs", algs, "error", problem)
	}
	if problem == "invalid_dpop_proof" {
		return t.challenge("Bearer") + ", " + t.challenge("DPoP", "algs", algs, "error", problem)
	}
	return t.challenge("Bearer", "error", problem) + ", " + t.challenge("DPoP", "algs", algs)
}

// challenge returns a challenge with those of the params that have a value.
func (t *Tokens) challenge(scheme string, params ...string) string {
	var all []string
	for pair := range slices.Chunk(append([]string{"realm", t.spec.Realm}, params...), 2) {
		if pair[1] != "" {
			all = append(all, pair[0]+`="`+pair[1]+`"`)
		}
	}
	return strings.TrimSuffix(scheme+" "+strings.Join(all, ", "), " ")
}
