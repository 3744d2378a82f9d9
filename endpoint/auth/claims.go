package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Claim says where a claim of the caller goes: into a header for upstreams, into a param, or both.
type Claim struct {
	// Path leads to the claim in the Claims of the caller, as in "account.id"; see [document.ParsePath].
	// The claims of an API key, a password and a certificate have "sub", the caller's ID, and "roles" if
	// there are any. A caller without Claims, such as one of your own [Authenticator], has both too: "sub"
	// is its ID, and "roles" its Roles.
	Path string

	// Header is the name of the header that upstreams get, or "". The values of an array are joined
	// by commas.
	Header string

	// Param is the name of the param to set, for the URL of an upstream, or "". Only a string, a number or
	// a bool can become a param.
	Param string

	// List says that the claim is a list: an array, or a string of names separated by blanks, as the claim
	// "scope" of tokens is. Otherwise a string is one value, whatever it contains. A claim that has a Param
	// cannot be a list.
	List bool
}

// Claims returns a decorator that passes claims of the caller on to what is inside:
//
//	auth.Claims(auth.Claim{Path: "sub", Header: "X-User"}, auth.Claim{Path: "account.id", Param: "account"})
//
// A header is set in Upstream, so it is always sent. What the client or code has sent under its name, or
// under a twin of it, is removed, as [shape.SetHeader] does. This is so even if the caller lacks the claim,
// and if there is no caller. So what upstreams get under that name is verified, or they get nothing.
//
// A claim that is absent, null, "" or an empty list sets no header. A Param needs its claim: without it the
// call is refused with a [*proxy.Error] of status 403 that wraps [ErrDenied], and next is not called. The
// call is refused in the same way if a claim cannot be passed on:
//
//   - for a header, a value with other than visible characters and blanks, or with a blank at either
//     end; a comma in an element of a list; an object, or an array in an array;
//   - for a param, a value that is no segment of a path: ".", "..", or one with NUL, CR or LF.
//
// The plan says which params are set. These are faults in the plan: an invalid path; a name that is invalid
// or belongs to the connection or the body; a claim that goes nowhere; and two claims that go to the same
// place.
//
// [shape.SetHeader]: https://pkg.go.dev/github.com/sluice-go/sluice/proxy/shape#SetHeader
func Claims(claims ...Claim) proxy.Decorator {
	c, details, gives, err := newClaims(claims)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "claims", Detail: strings.Join(details, ", "), Source: pipe.Here(), Acts: pipe.In, Gives: gives,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller | pipe.WritesRequest | pipe.Validates, Err: err}
	for _, one := range c {
		if field.Twin(one.header) == "Authorization" {
			step.Effects |= pipe.Credentials
		}
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := c.set(req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// claims are compiled claims.
type claims []claim

type claim struct {
	path          document.Path
	text          string // of the path
	header, param string
	list          bool
}

// newClaims compiles claims, and returns what a plan says of them.
func newClaims(list []Claim) (all claims, details, gives []string, err error) {
	var errs []error
	if len(list) == 0 {
		errs = append(errs, errors.New("auth: Claims: there are no claims"))
	}
	headers, params := map[string]bool{}, map[string]bool{}
	for i, c := range list {
		fault := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("auth: Claims: claim %d (%s): "+format, append([]any{i + 1, c.Path}, args...)...))
		}
		path, err := document.ParsePath(c.Path)
		if err != nil {
			fault("%w", err)
		}
		if c.Header == "" && c.Param == "" {
			fault("it has neither a Header nor a Param")
		}
		if c.Header != "" {
			if err := field.CheckSet(c.Header); err != nil {
				fault("header %q: %w", c.Header, err)
			}
			if twin := field.Twin(c.Header); headers[twin] {
				fault("another claim sets header %s too", twin)
			} else {
				headers[twin] = true
			}
			details = append(details, c.Path+" as "+http.CanonicalHeaderKey(c.Header))
		}
		if c.Param != "" {
			switch {
			case !call.IsParam(c.Param):
				fault("param %q: the name is not a valid placeholder name", c.Param)
			case params[c.Param]:
				fault("another claim sets param %s too", c.Param)
			case c.List, path.HasWildcard():
				fault("a list cannot become param %s", c.Param)
			}
			params[c.Param] = true
			details, gives = append(details, c.Path+" as {"+c.Param+"}"), append(gives, c.Param)
		}
		all = append(all, claim{path, c.Path, http.CanonicalHeaderKey(c.Header), c.Param, c.List})
	}
	return all, details, gives, errors.Join(errs...)
}

// set sets what the claims of a caller say, or returns why it cannot.
func (c claims) set(req *proxy.Request) error {
	for i := range c {
		if c[i].header != "" {
			field.Delete(req.Header, c[i].header)
			field.Delete(req.Upstream, c[i].header)
		}
	}
	var doc document.Document
	if caller := req.Caller; caller != nil {
		if doc = caller.Claims; doc.IsZero() && isText(caller) {
			doc = claimsOf(caller.ID, caller.Roles)
		}
	}
	for i := range c {
		if err := c[i].set(req, doc); err != nil {
			return &proxy.Error{Status: http.StatusForbidden, Op: "claims", Err: fmt.Errorf("%w: claim %s: %w", ErrDenied, c[i].text, err)}
		}
	}
	return nil
}

// isText reports whether ID and Roles of a caller are texts that a document can hold as they are.
func isText(c *proxy.Caller) bool {
	return utf8.ValidString(c.ID) && !slices.ContainsFunc(c.Roles, func(role string) bool { return !utf8.ValidString(role) })
}

// Why a claim cannot be handed on. No error shows its value.
var (
	errNoClaim    = errors.New("the caller does not have it")
	errKind       = errors.New("it is an object, or has one in it")
	errUnwritable = errors.New("it has characters that a header cannot have")
	errNotScalar  = errors.New("it is no string, number or bool")
)

func (c *claim) set(req *proxy.Request, doc document.Document) error {
	value := doc.Get(c.path)
	if c.param != "" {
		text, scalar := value.Text()
		switch {
		case value.IsZero(), value.Kind() == document.Null:
			return errNoClaim
		case !scalar:
			return errNotScalar
		}
		if err := field.CheckSegment(text); err != nil {
			return err
		}
		req.Params.Set(c.param, text)
	}
	if c.header == "" {
		return nil
	}
	text, err := c.fieldValue(value)
	if text == "" || err != nil {
		return err
	}
	if req.Upstream == nil {
		req.Upstream = http.Header{}
	}
	req.Upstream[c.header] = []string{text}
	return nil
}

// fieldValue returns the value of a header, or "" for no header.
func (c *claim) fieldValue(value document.Document) (string, error) {
	switch value.Kind() {
	case document.Absent, document.Null:
		return "", nil
	case document.Object:
		return "", errKind
	case document.Array:
		var elements []string
		for _, element := range value.Elements() {
			text, scalar := element.Text()
			if !scalar {
				return "", errKind
			}
			elements = append(elements, text)
		}
		return joined(elements)
	}
	text, _ := value.Text()
	if c.list {
		return joined(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }))
	}
	if !isWritable(text) {
		return "", errUnwritable
	}
	return text, nil
}

// joined joins the elements of a list that no reader can split in another way.
func joined(elements []string) (string, error) {
	for _, element := range elements {
		if element == "" || strings.Contains(element, ",") || !isWritable(element) {
			return "", errUnwritable
		}
	}
	return strings.Join(elements, ","), nil
}

// isWritable reports whether a header can say a text so that every reader gets that text: visible
// characters and blanks, and no blank at an end, which parsers take away.
func isWritable(s string) bool {
	if s != strings.TrimSpace(s) || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
