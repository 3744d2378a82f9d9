package check

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

var (
	// ErrContentType is why [ContentType] refuses a body of another type, one without a type, or one whose
	// type cannot be read. It comes in a [*proxy.Error] of status 415.
	ErrContentType = errors.New("the type of the body is not accepted")

	// ErrContentCoding is why [ContentType] refuses a body that is coded, such as one in gzip. It comes
	// in a [*proxy.Error] of status 415.
	ErrContentCoding = errors.New("the coding of the body is not accepted")
)

// ContentType returns a decorator that admits only bodies of some media types:
//
//	orders.With(check.ContentType("application/json"))
//
// Write a type as in Content-Type, without parameters; "text/*" admits every text. Case does not matter.
// The client's Content-Type may have parameters, but a charset must be UTF-8.
//
// A body is refused if its Content-Type is missing, comes twice, or is not valid by RFC 9110, section
// 8.3.1. A body with a Content-Encoding other than identity is refused too, because nothing in front of a
// pipe decodes it.
//
// A request without a body passes, whatever its headers say. In the Guards of an endpoint the body has not
// arrived, so an announced body counts: a Content-Length above 0, or a chunked body, even if it turns out
// to be empty.
//
// The refusal is a [*proxy.Error] of status 415 that wraps [ErrContentType] or [ErrContentCoding]. As RFC
// 9110, section 15.5.16 says, it tells the client what is accepted: the types in Accept, or identity in
// Accept-Encoding.
//
// The decorator has no state and is safe for concurrent use. No types, or a type that is not a media type,
// are faults in the plan.
func ContentType(types ...string) proxy.Decorator {
	accepted, err := acceptedOf(types)
	if err != nil {
		return proxy.Fault(err)
	}
	accept := http.Header{"Accept": {strings.Join(accepted, ", ")}}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "check", Name: "content type", Detail: strings.Join(accepted, ", "), Source: pipe.Here(),
		Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Validates, Takes: []string{"Content-Type", "Content-Encoding"}}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			switch {
			case !hasBody(req):
			case isCoded(req.Header["Content-Encoding"]):
				return nil, &proxy.Error{Status: http.StatusUnsupportedMediaType, Op: "check", Err: ErrContentCoding,
					Header: http.Header{"Accept-Encoding": {"identity"}}}
			case !accepted.has(req.Header["Content-Type"]):
				return nil, &proxy.Error{Status: http.StatusUnsupportedMediaType, Op: "check", Err: ErrContentType,
					Header: accept.Clone()}
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// hasBody reports whether the request has a body, or one is announced.
func hasBody(req *proxy.Request) bool {
	return req.ContentLength != 0 || req.Body != nil && req.Body != http.NoBody
}

// isCoded reports whether the lines of a Content-Encoding name a coding other than identity.
func isCoded(lines []string) bool {
	for _, line := range lines {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.Trim(coding, " \t"); coding != "" && !field.EqualToken(coding, "identity") {
				return true
			}
		}
	}
	return false
}

// An accepted is a list of media types in lower case, of which "text/*" is every text.
type accepted []string

func acceptedOf(types []string) (accepted, error) {
	if len(types) == 0 {
		return nil, errors.New("check: ContentType: there is no type")
	}
	var errs []error
	var list accepted
	for _, t := range types {
		main, sub, _ := strings.Cut(t, "/")
		if !field.IsToken(main) || !field.IsToken(sub) || main == "*" {
			errs = append(errs, fmt.Errorf("check: ContentType: %q is not a media type, such as application/json", t))
			continue
		}
		list = append(list, strings.ToLower(t))
	}
	return list, errors.Join(errs...)
}

// has reports whether the lines of a Content-Type are one line of an accepted type.
func (a accepted) has(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	if len(a) > 0 && lines[0] == a[0] { // what nearly every client sends
		return true
	}
	media, params, err := mime.ParseMediaType(lines[0])
	if err != nil {
		return false
	}
	if charset, given := params["charset"]; given && !field.EqualToken(charset, "utf-8") {
		return false
	}
	main, _, ok := strings.Cut(media, "/")
	if !ok {
		return false
	}
	for _, t := range a {
		if t == media || t == main+"/*" {
			return true
		}
	}
	return false
}
