package h1

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// connect returns a connection for a call, which has begun on it: an idle one if one is fit, else a
// fresh one.
func (t *Transport) connect(ctx context.Context, k key) (*conn, error) {
	if k.https && t.Fallback != nil {
		first, err := t.ask(ctx, k)
		if err != nil {
			return nil, err
		}
		if first {
			defer t.asked(k)
		}
	}
	for {
		h, c, err := t.take(ctx, k)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return t.fresh(ctx, h)
		}
		now := time.Now()
		c.begin(ctx, now)
		if c.usable(now) {
			c.reused = true
			return c, nil
		}
		c.finish()
		c.kill()
	}
}

// fresh makes a connection. The caller has the right to make it, which goes on to the connection, or
// is given back.
func (t *Transport) fresh(ctx context.Context, h *host) (*conn, error) {
	made := false
	defer func() { // whatever Dial does
		if !made {
			t.release(h)
		}
	}()
	c, err := t.dial(ctx, h)
	switch {
	case err == nil:
		made = true
		c.begin(ctx, time.Now())
		return c, nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return nil, err
}

// dial makes a connection to a host. Code of a user may run in it: Dial, and functions of the
// configuration of TLS.
func (t *Transport) dial(ctx context.Context, h *host) (c *conn, err error) {
	var raw net.Conn
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
		if err != nil && raw != nil {
			_ = call.Close(raw)
		}
	}()
	raw, err = t.dialRaw(ctx, h.key)
	if err == nil {
		c = &conn{transport: t, host: h, dies: t.life(time.Now())}
		c.init(raw)
		c.rw = &c.wire
		if h.key.https {
			err = t.handshake(ctx, c)
		}
	}
	returned = true
	return c, err
}

func (t *Transport) dialRaw(ctx context.Context, k key) (net.Conn, error) {
	const network = "tcp"
	address := t.Address
	if address == "" {
		address = k.address()
	}
	most := duration(t.DialTimeout, 10*time.Second)
	if t.Dial == nil {
		d := net.Dialer{Timeout: most, KeepAlive: 30 * time.Second}
		return d.DialContext(ctx, network, address)
	}
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	raw, err := t.Dial(ctx, network, address)
	if err == nil && raw == nil {
		err = errNoConn
	}
	if err == nil {
		return raw, nil
	}
	if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "dial" {
		err = &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return nil, err
}
