package call

import (
	"context"
	"io"
)

// Open opens the body of a request again. get is code of a user, so it runs on a goroutine of its
// own, unless no user's function runs in the call (see [Described]), and is abandoned if it
// outlives ctx: Open then returns the error of ctx, and what get opens late is closed. It refuses
// with [ErrAbandoned] where too many calls are abandoned.
func Open(ctx context.Context, bound *Bound, get func() (io.ReadCloser, error)) (io.ReadCloser, error) {
	if Described(ctx) {
		return get()
	}
	if bound.Full() {
		return nil, ErrAbandoned
	}
	o := &opening{get: get}
	o.branch = Branch[io.ReadCloser]{Ctx: ctx, Task: o, Bound: bound, Close: closeOpened}
	return o.branch.Await()
}

// An opening is one call of Open.
type opening struct {
	branch Branch[io.ReadCloser]
	get    func() (io.ReadCloser, error)
}

// Do opens the body.
func (o *opening) Do(context.Context) (io.ReadCloser, error) { return o.get() }

// Arrived does nothing, because the caller waits.
func (o *opening) Arrived() {}

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
