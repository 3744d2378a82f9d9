package call

import (
	"context"
	"io"
)

// Open opens the body of a request again with get, which may be code of a user, as [Guard] calls
// it: no longer than ctx. What get opens late is closed.
func Open(ctx context.Context, bound *Bound, get func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	return Guard(ctx, bound, closeOpened, get)
}

func closeOpened(body io.ReadCloser) error {
	if body == nil {
		return nil
	}
	return body.Close()
}

// Opening makes the GetBody of a request open bodies as [Open] does, until restore is called. It is
// for a request that is cloned and belongs to the caller; the clone has the GetBody of then.
func Opening(ctx context.Context, bound *Bound, getBody *func() (io.ReadCloser, error)) (restore func()) {
	get := *getBody
	if get == nil {
		return func() {}
	}
	*getBody = func() (io.ReadCloser, error) { return Open(ctx, bound, get) }
	return func() { *getBody = get }
}
