package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Rule says whether a request may pass: it returns nil, or an error that says why not. Any function of
// this type is a Rule; [Allow] says what becomes of its error. It must not change the request, and must be
// safe for concurrent use. The plan shows the rules of [Scope], [AnyScope], [Role], [AnyRole] and [ClaimIs]
// with their names.
type Rule func(ctx context.Context, req *proxy.Request) error

// Scope returns a rule that requires all of these scopes in the caller's credential. If one is missing, the
// client is told all of them, as RFC 6750, section 3.1 says:
//
//	WWW-Authenticate: Bearer error="insufficient_scope", scope="orders:write"
//
// These are faults in the plan: no scopes, and a scope that is not valid by RFC 6749, section 3.3.
func Scope(scopes ...string) Rule { return scopeRule("scope", (*proxy.Caller).HasScope, all, scopes) }

// AnyScope is [Scope] for a credential that has at least one of the scopes.
func AnyScope(scopes ...string) Rule {
	return scopeRule("any scope of", (*proxy.Caller).HasScope, slices.ContainsFunc[[]string], scopes)
}

// Role returns a rule that requires a caller with all of these roles. No roles, or a role that is "", are
// faults in the plan.
func Role(roles ...string) Rule { return needs("role", (*proxy.Caller).HasRole, all, roles, nil, nil) }

// AnyRole is [Role] for a caller who has at least one of the roles.
func AnyRole(roles ...string) Rule {
	return needs("any role of", (*proxy.Caller).HasRole, slices.ContainsFunc[[]string], roles, nil, nil)
}

// ClaimIs returns a rule that requires a caller with a claim that is one of these values, or an array that
// contains one of them. A number or bool is compared as the credential spells it. An invalid path (see
// [document.ParsePath]) and no values are faults in the plan.
func ClaimIs(path string, values ...string) Rule {
	p, err := document.ParsePath(path)
	has := func(c *proxy.Caller, want string) bool {
		value := c.Claims.Get(p)
		if text, scalar := value.Text(); scalar {
			return text == want
		}
		for _, element := range value.Elements() {
			if text, scalar := element.Text(); scalar && text == want {
				return true
			}
		}
		return false
	}
	return needs("claim "+path+" is", has, slices.ContainsFunc[[]string], values, nil, err)
}

// all reports whether every name is as is says.
func all(names []string, is func(string) bool) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !is(name) })
}

func scopeRule(what string, has func(*proxy.Caller, string) bool, of func([]string, func(string) bool) bool, scopes []string) Rule {
	var errs []error
	for _, scope := range scopes {
		if strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			errs = append(errs, fmt.Errorf("%q is no scope", scope))
		}
	}
	header := http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", scope="` + strings.Join(scopes, " ") + `"`}}
	return needs(what, has, of, scopes, header, errors.Join(errs...))
}

// needs returns a rule that needs a caller who has what names say, of tells how many of them. header
// goes to a client that lacks it.
func needs(what string, has func(*proxy.Caller, string) bool, of func([]string, func(string) bool) bool, names []string,
	header http.Header, err error,
) Rule {
	names = slices.Clone(names)
	if len(names) == 0 {
		err = errors.Join(err, errors.New("there are no names"))
	}
	if slices.Contains(names, "") {
		err = errors.Join(err, errors.New("a name is empty"))
	}
	text := strings.TrimSpace(what + " " + strings.Join(names, " "))
	lacks := fmt.Errorf("%w: it needs %s", ErrDenied, text)
	return describing(text, err, func(_ context.Context, req *proxy.Request) error {
		switch c := req.Caller; {
		case c == nil:
			e := &proxy.Error{Status: http.StatusUnauthorized, Err: ErrNoCredentials}
			if header != nil { // the rule is one of RFC 6750
				e.Header = http.Header{"Www-Authenticate": {"Bearer"}}
			}
			return e
		case !of(names, func(name string) bool { return has(c, name) }):
			return &proxy.Error{Status: http.StatusForbidden, Err: lacks, Header: header.Clone()}
		}
		return nil
	})
}

// describing returns a rule that can say what it is. It must not be inlined: all rules that it returns
// have the same code, by which described knows them, so that planning never calls code of a user. Package
// pipe describes pipes in this way.
//
//go:noinline
func describing(text string, err error, rule Rule) Rule {
	return func(ctx context.Context, req *proxy.Request) error {
		if d, asked := ctx.(*description); asked {
			d.text, d.err = text, err
			return nil
		}
		return rule(ctx, req)
	}
}

// A description is the context in which a rule says what it is.
type description struct {
	context.Context
	text string
	err  error
}

// described returns what a rule of this package is, and what is wrong with it. For another function
// it returns "".
func (r Rule) described() (text string, err error) {
	if reflect.ValueOf(r).Pointer() != reflect.ValueOf(describing("", nil, nil)).Pointer() {
		return "", nil
	}
	d := description{Context: context.Background()}
	_ = r(&d, nil)
	return d.text, d.err
}
