package balance

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
)

// An upload watches the body of a request, which is most often that of a client.
type upload struct {
	replays bool // it is in memory, or can be opened again
	getBody func() (io.ReadCloser, error)
	eof     atomic.Bool // it was sent in full
	broken  atomic.Bool // reading it has failed
}

// uploadOf returns nil for a request without a body.
func uploadOf(req *http.Request) *upload {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	return &upload{replays: req.GetBody != nil, getBody: req.GetBody}
}

// request returns a copy of the request whose body is watched.
func (u *upload) request(req *http.Request) *http.Request {
	req = req.WithContext(req.Context())
	req.Body = &uploadBody{upload: u, body: req.Body}
	if u.getBody != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := u.getBody()
			if err != nil {
				u.broken.Store(true)
				return nil, err
			}
			return &uploadBody{upload: u, body: body}, nil
		}
	}
	return req
}

// toBlame reports whether the body, and not the host, may be why the call has failed.
func (u *upload) toBlame(ctx context.Context) bool {
	return u.broken.Load() || ctx.Err() != nil && !u.replays && !u.eof.Load()
}

type uploadBody struct {
	upload *upload
	body   io.ReadCloser
	closed atomic.Bool
}

// Mark says that no code of a user runs in it, if none does in the body.
func (b *uploadBody) Mark() mark.Type {
	if b == nil || !call.GuardsItself(b.body) {
		return mark.Type{}
	}
	return mark.TypeOf[*uploadBody]()
}

// InMemory reports whether reading it cannot block.
func (b *uploadBody) InMemory() bool { return call.IsInMemory(b.body) }

// Read reads the body of the request.
func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		b.upload.eof.Store(true)
	case !b.closed.Load(): // else the transport has given it up
		b.upload.broken.Store(true)
	}
	return n, err
}

// Close closes the body of the request.
func (b *uploadBody) Close() error {
	b.closed.Store(true)
	return b.body.Close()
}
