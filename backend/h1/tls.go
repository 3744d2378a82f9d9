package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A protocol is what a host speaks over TLS.
type protocol uint8

const (
	unknown protocol = iota
	http1
	http2
)

var (
	// errHTTP2 is why there is no connection for a call that Fallback is to make.
	errHTTP2 = errors.New("the host speaks HTTP/2")

	errLateHandshake = fmt.Errorf("TLS handshake: %w", os.ErrDeadlineExceeded)
)

// ask returns errHTTP2 if a host is known to speak HTTP/2. While it is not known, the first call
// makes a connection to find out, and is told so; the others wait for it, once.
func (t *Transport) ask(ctx context.Context, k key) (first bool, err error) {
	p := &t.pool
	p.mu.Lock()
	h := p.host(k)
	if !time.Now().Before(h.until) {
		h.speaks = unknown
	}
	speaks, probing := h.speaks, h.probing
	if speaks == unknown && probing == nil && h.open > 0 {
		speaks = http1 // as its connections do; the next that is made finds out again
	}
	if speaks == unknown && probing == nil {
		h.probing = make(chan struct{})
		first = true
	}
	p.mu.Unlock()
	switch {
	case speaks == http2:
		return false, errHTTP2
	case speaks == http1 || first:
		return first, nil
	}
	select {
	case <-probing:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.speaks == http2 {
		return false, errHTTP2
	}
	return false, nil
}

// asked lets those go on that wait for the first call to a host.
func (t *Transport) asked(k key) {
	p := &t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.host(k)
	close(h.probing)
	h.probing = nil
	p.forget(h, time.Now())
}

// learn remembers what a host speaks, for as long as a connection lives.
func (t *Transport) learn(h *host, speaks protocol) {
	now := time.Now()
	until := t.life(now)
	if until.IsZero() {
		until = now.Add(math.MaxInt64)
	}
	p := &t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	h.speaks, h.until = speaks, until
	p.arm(t, until, now)
}

// handshake puts TLS on a connection.
func (t *Transport) handshake(ctx context.Context, c *conn) error {
	config := t.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = c.host.key.name()
	}
	config.NextProtos = []string{"http/1.1"}
	if t.fallback() != nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	within := ctx
	if most := duration(t.TLSTimeout, 10*time.Second); most > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	c.sealed = &sealed{wire: &c.wire}
	c.tls = tls.Client(c.sealed, config)
	c.rw = c.tls
	c.ctx, c.stop = within, always // HandshakeContext watches the context
	if err := t.shake(within, c); err != nil {
		if within.Err() != nil && ctx.Err() == nil {
			err = &net.OpError{Op: "dial", Net: "tcp", Addr: c.RemoteAddr(), Err: errLateHandshake}
		}
		return err
	}
	c.wire.rest()
	state := c.tls.ConnectionState()
	c.state = &state
	if t.fallback() == nil {
		return nil
	}
	if state.NegotiatedProtocol == "h2" {
		t.learn(c.host, http2)
		return errHTTP2
	}
	t.learn(c.host, http1)
	return nil
}

// shake makes the handshake. The configuration may have functions of a user, which do not know of the
// context; where they may, the handshake is left to itself when the context ends.
func (t *Transport) shake(ctx context.Context, c *conn) error {
	if t.TLS == nil {
		return c.tls.HandshakeContext(ctx)
	}
	t.once.Do(func() { t.away = call.NewBound(0) })
	_, err := call.Guard(alone{ctx}, t.away, nil, func() (struct{}, error) { return struct{}{}, c.tls.HandshakeContext(ctx) })
	return err
}

// An alone is a context that belongs to no call, of which the plan could say that no user's function
// runs in it.
type alone struct{ context.Context }

func (alone) Value(any) any { return nil }
