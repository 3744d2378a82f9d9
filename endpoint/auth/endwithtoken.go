package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrExpired is why [EndWithToken] ends a stream or a tunnel. It comes in a [*proxy.Error] of status
// 401.
var ErrExpired = errors.New("the credential of the caller has expired")

// EndWithToken is a decorator that ends the stream or the tunnel of a response when the caller's credential
// expires. Without it a WebSocket or a feed of events lasts for as long as both ends like. It stands inside
// [Require], which finds the caller:
//
//	endpoint.Spec{Guards: []proxy.Decorator{auth.Require(tokens), auth.EndWithToken}, Proxy: feed}
//
// At Caller.Expires the context of next ends, and a read of the body or the connection returns an error
// that wraps [ErrExpired]. If the answer has begun, the endpoint then resets the client's connection, so a
// stream that was cut never looks complete. A response that comes after that time, as within the leeway of
// a token, is refused if it is a stream or a tunnel.
//
// An answer that is no stream is not touched, nor is one for a caller whose credential does not expire, or
// for a request without a caller. EndWithToken keeps no state, and is safe for concurrent use.
func EndWithToken(next proxy.Proxy) proxy.Proxy {
	next = pipe.Described(next)
	bound := call.NewBound(0)
	serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		caller := req.Caller
		if caller == nil || caller.Expires.IsZero() {
			return next(ctx, req)
		}
		life := call.Cancellable(ctx)
		held := false
		defer func() {
			if !held { // next has failed or panicked, or its answer is no stream
				life.Cancel()
			}
		}()
		res, err := call.Checked(next(life, req))
		if err != nil || res.Body == nil && res.Upgrade == nil {
			return res, err
		}
		left := time.Until(caller.Expires)
		if left <= 0 {
			call.Discard(ctx, res)
			return nil, expired()
		}
		e := &ending{life: life}
		e.wrap(bound, res)
		held = true
		timer := time.AfterFunc(left, e.end)
		res.OnClose(func() {
			timer.Stop()
			life.Cancel()
		})
		return res, nil
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "end-with-token", Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller}, next)
}

func expired() error {
	return &proxy.Error{Status: http.StatusUnauthorized, Op: "auth", Err: ErrExpired}
}

// An ending ends what a response carries when the time of its caller is over.
type ending struct {
	life *call.Clock // of the call inside
	over atomic.Bool
	conn io.Closer // the connection of an upgrade, or nil
}

// wrap puts what knows the end in front of what the response carries. Code of a user that does not
// return from Read at the end is left.
func (e *ending) wrap(bound *call.Bound, res *proxy.Response) {
	if res.Body != nil {
		res.Body = &endingBody{ending: e, body: call.NewBody(e.life, bound, res.Body)}
	}
	if rw := res.Upgrade; rw != nil {
		e.conn = rw
		res.Upgrade = &endingConn{endingBody{ending: e, body: call.NewBody(e.life, bound, rw)}, rw}
	}
}

func (e *ending) end() {
	e.over.Store(true)
	e.life.Cancel()
	if e.conn != nil {
		call.Discard(context.Background(), e.conn) // else nothing would end its Read
	}
}

// An endingBody is a body, or the half of a connection that is read.
type endingBody struct {
	*ending
	body io.ReadCloser
}

// Read reads until the end, after which its error is ErrExpired.
func (b *endingBody) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, expired()
	}
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF && b.over.Load() {
		err = expired()
	}
	return n, err
}

// Close closes the body.
func (b *endingBody) Close() error { return b.body.Close() }

// Mark says that no code of a user runs in it, if that is so for the body.
func (b *endingBody) Mark() mark.Type {
	if !call.GuardsItself(b.body) {
		return mark.Type{}
	}
	return mark.TypeOf[*endingBody]()
}

// An endingConn is the connection of an upgrade.
type endingConn struct {
	endingBody
	rw io.ReadWriteCloser
}

// Write writes until the end.
func (c *endingConn) Write(p []byte) (int, error) {
	if c.over.Load() {
		return 0, expired()
	}
	n, err := c.rw.Write(p)
	if err != nil && c.over.Load() {
		err = expired()
	}
	return n, err
}

// CloseWrite tells the other side that nothing more will come, if the connection can.
func (c *endingConn) CloseWrite() error {
	if half, ok := c.rw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
