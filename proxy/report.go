package proxy

import (
	"context"

	"github.com/sluice-go/sluice/internal/call"
)

// Report hands a failure that is part of no returned error to the Report hook of the endpoint or agent that ctx belongs to.
// Without a hook it does nothing. It is safe for concurrent use, and may be called after the request was answered.
func Report(ctx context.Context, err error) { call.Report(ctx, err) }

// Missing says that something is missing from the answer, and why, to the innermost [Encode] around the call. A typed
// value has no place for that, where a [Response] has Err:
//
//	rate, err := rates(ctx, req)
//	if err != nil && !proxy.Missing(ctx, err) {
//		return Page{}, err
//	}
//
// It reports whether somebody collects. If nobody does, also because the answer is made already, err is the caller's to
// deal with. A nil err only asks. It is safe for concurrent use.
func Missing(ctx context.Context, err error) bool { return call.Missing(ctx, err) }
