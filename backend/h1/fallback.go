package h1

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
)

// fallback returns Fallback, or nil for what cannot be one.
func (t *Transport) fallback() http.RoundTripper {
	if _, ok := t.Fallback.(*Transport); ok || call.IsNil(t.Fallback) {
		return nil
	}
	return t.Fallback
}

// fallBack has Fallback make a call.
func (t *Transport) fallBack(ctx context.Context, req *http.Request) (*http.Response, error) {
	if ctx != req.Context() {
		req = req.WithContext(ctx)
	}
	return t.fallback().RoundTrip(req)
}

// refuses returns why a call is not made.
func (t *Transport) refuses(ctx context.Context, req *http.Request) error {
	switch {
	case req.URL == nil:
		return errNoURL
	case req.Header == nil:
		return errNoHeader
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case req.URL.Scheme == "http", req.URL.Scheme == "https":
		return check(req)
	case t.fallback() == nil:
		return fmt.Errorf("unsupported protocol scheme %.64q", req.URL.Scheme)
	}
	return nil
}
