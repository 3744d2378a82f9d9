package policy

import (
	"context"
	"maps"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A spare is what a retry keeps of a request for further tries.
type spare struct {
	of     *proxy.Request // the request itself if next does not change it, else nil
	header http.Header    // that of the request
	copy   *proxy.Request // nil until it is needed, or if the body cannot be replayed
}

// keep returns what further tries need of the request. It copies the request only if next may change
// it. In calls that are described, a leaf may take over the map of the headers, so that is copied.
func (r *retry) keep(ctx context.Context, req *proxy.Request) spare {
	switch {
	case r.writes:
		return spare{copy: spareOf(req)}
	case r.taken && call.Described(ctx):
		return spare{of: req, header: maps.Clone(req.Header)}
	}
	return spare{of: req, header: req.Header}
}

// request returns a request from which copies can be made, or nil if the body cannot be replayed.
// Nobody may read the body of the request itself: it belongs to the first try.
func (s *spare) request() *proxy.Request {
	if s.copy == nil && s.of != nil && s.of.Replayable() {
		bare := *s.of
		bare.Header = s.header
		s.copy = &bare
	}
	return s.copy
}
