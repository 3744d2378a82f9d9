package proxy

import (
	"context"

	"github.com/sluice-go/sluice/internal/call"
)

// Report passes a failure that is part of no returned error to the Report hook of the endpoint or
// agent that ctx belongs to. Without a hook it does nothing. It is safe for concurrent use, and may
// be called after the request was answered.
//
// [Fallback] reports this way why a proxy other than the first one answered. errors.Is finds
// [ErrFallback] in such an error, so that a hook can tell it from that of a request that failed.
func Report(ctx context.Context, err error) { call.Report(ctx, err) }

// Missing reports to the innermost [Encode] around the call that something is missing from the
// answer, and why. A [Response] has Err for that, but a typed value has no place for it:
//
//	rate, err := rates(ctx, req)
//	if err != nil && !proxy.Missing(ctx, err) {
//		return Page{}, err
//	}
//
// Missing returns true if err was collected. It returns false if nobody collects, or if the answer
// has already been made; then the caller must deal with err. A nil err only asks whether errors are
// collected. Missing is safe for concurrent use.
func Missing(ctx context.Context, err error) bool { return call.Missing(ctx, err) }
