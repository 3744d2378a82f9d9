// Package told knows what a client is told about an error in addition to its status. Endpoints render
// that, and package idempotency keeps it.
package told

import (
	"net/http"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Members returns the members that err gives the problem of a status.
func Members(err error, status int) document.Document {
	e := telling(err, status, func(e *proxy.Error) bool { return !e.Members.IsZero() })
	if e == nil || e.Members.Kind() != document.Object {
		return document.Document{}
	}
	return e.Members
}

// Header returns the fields that err gives the answer of a status, or nil.
func Header(err error, status int) http.Header {
	if e := telling(err, status, func(e *proxy.Error) bool { return len(e.Header) > 0 }); e != nil {
		return e.Header
	}
	return nil
}

// telling searches err, as errors.As does, for the outermost error that has this status and tells
// something.
func telling(err error, status int, tells func(*proxy.Error) bool) *proxy.Error {
	for err != nil {
		if e, ok := err.(*proxy.Error); ok && e.Status == status && tells(e) {
			return e
		}
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				if found := telling(err, status, tells); found != nil {
					return found
				}
			}
			return nil
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return nil
		}
	}
	return nil
}

// Passed returns the answer that an upstream has written for clients, if it gives err its status.
// It looks where proxy.StatusOf does: at the outermost error with a status, and of joined errors at
// the first, for none of them is a 5xx.
func Passed(err error) (answer *proxy.UpstreamAnswer) {
	status := proxy.StatusOf(err)
	if status > 499 || status == proxy.StatusClientGone {
		return nil
	}
	defer func() {
		if v := recover(); v != nil { // a method of a user's error
			answer = nil
		}
	}()
	for err != nil {
		if e, ok := err.(*proxy.Error); ok && e.Status == status {
			if _, passed := e.Err.(mark.Passed); passed && e.Upstream != nil && e.Upstream.Status == status {
				return e.Upstream
			}
			return nil
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = firstOf(e.Unwrap())
		default:
			return nil
		}
	}
	return nil
}

// firstOf returns the first of joined errors that is one.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
