package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  *proxy.Error
		text string
	}{
		{&proxy.Error{Backend: "orders", Op: "decode", Err: io.ErrUnexpectedEOF}, "backend orders: decode: unexpected EOF"},
		{&proxy.Error{Op: "limit", Err: errors.New("too many calls")}, "limit: too many calls"},
		{&proxy.Error{Backend: "orders", Op: "status", Status: 502, Upstream: &proxy.UpstreamAnswer{Status: 500}}, "backend orders: status: upstream answered 500"},
		{&proxy.Error{Op: "auth", Status: 401}, "auth: unauthorized"},
		{&proxy.Error{Status: 404}, "not found"},
		{&proxy.Error{Status: 599}, "status 599"},
		{&proxy.Error{Op: "x", Status: 599}, "x: status 599"},
		{&proxy.Error{Op: "x"}, "x"},
		{&proxy.Error{}, "status 0"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.text, tt.err.Error())
	}
}

func TestErrorWrapsItsCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("merge: %w", &proxy.Error{Op: "decode", Err: io.ErrUnexpectedEOF})
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	e, ok := errors.AsType[*proxy.Error](err)
	assert.True(t, ok)
	assert.Equal(t, "decode", e.Op)
}

// cancelledDial returns the error of package net for a dial whose context was cancelled. It sends
// no packet.
func cancelledDial(t *testing.T) error {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	return err
}

// Each row is one rule of how a failure becomes a status.
func TestStatusOf(t *testing.T) {
	t.Parallel()
	status := func(status int, err error) error { return &proxy.Error{Status: status, Err: err} }
	plain := errors.New("plain")
	panicked := &pipe.PanicError{Value: status(404, nil)}
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nil", nil, 200},

		{"an Error with a status", status(404, nil), 404},
		{"wrapped", fmt.Errorf("merge: %w", status(404, nil)), 404},
		{"the outermost with a status", status(503, status(404, nil)), 503},
		{"one without leaves it to its cause", status(0, fmt.Errorf("x: %w", status(404, nil))), 404},
		{"over what is inside", status(429, context.DeadlineExceeded), 429},
		{"a status that is no failure does not count", status(200, status(404, nil)), 404},
		{"nor one that is none", status(1000, plain), 502},
		{"nor a negative one", status(-1, context.Canceled), 499},

		{"of joined errors a 5xx before a 4xx", errors.Join(status(404, nil), status(503, nil)), 503},
		{"whatever the order", errors.Join(status(503, nil), status(404, nil)), 503},
		{"then declared order: 5xx", errors.Join(status(404, nil), status(504, nil), status(503, nil)), 504},
		{"then declared order: 4xx", errors.Join(status(404, nil), status(429, nil)), 404},
		{"what says nothing is 502 there too", errors.Join(status(404, nil), plain), 502},
		{"joined by Errorf", fmt.Errorf("a: %w, b: %w", status(404, nil), status(503, nil)), 503},
		{"joined further in", status(0, fmt.Errorf("merge: %w", errors.Join(status(404, nil), fmt.Errorf("x: %w", errors.Join(plain))))), 502},
		{"an outer status over joined ones", status(400, errors.Join(status(404, nil), status(503, nil))), 400},
		{"client gone beside a 404", errors.Join(context.Canceled, status(404, nil)), 499},

		{"a deadline", context.DeadlineExceeded, 504},
		{"wrapped", fmt.Errorf("x: %w", context.DeadlineExceeded), 504},
		{"a network timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 504},
		{"a dial that says os.ErrDeadlineExceeded", os.ErrDeadlineExceeded, 504},
		{"a host that was not found in time", &net.DNSError{IsTimeout: true}, 504},
		{"through net/http", &url.Error{Op: "Get", URL: "http://x", Err: context.DeadlineExceeded}, 504},

		{"client gone", context.Canceled, 499},
		{"wrapped", &url.Error{Op: "Get", URL: "http://x", Err: context.Canceled}, 499},
		{"in a dial", cancelledDial(t), 499},

		{"a panic", &pipe.PanicError{Value: "bug"}, 500},
		{"of an error with a status", panicked, 500},
		{"in an Error without one", status(0, panicked), 500},
		{"in an Error with one", status(503, panicked), 503},
		{"http.ErrAbortHandler", &pipe.PanicError{Value: http.ErrAbortHandler}, 500},

		{"anything else", plain, 502},
		{"a refused connection", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, 502},
		{"a host that does not exist", &net.DNSError{IsNotFound: true}, 502},
		{"a broken body", io.ErrUnexpectedEOF, 502},
		{"an Error that says nothing", &proxy.Error{}, 502},
		{"abandoned calls", status(503, proxy.ErrAbandoned), 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, proxy.StatusOf(tt.err), "%v", tt.err)
		})
	}
}

func TestStatusIsThatOfTheErrorOrElseOfTheResponse(t *testing.T) {
	t.Parallel()
	boom := &proxy.Error{Status: 503, Err: errors.New("boom")}
	assert.Equal(t, 503, proxy.Status(nil, boom))
	assert.Equal(t, 404, proxy.Status(&proxy.Response{Status: 404}, nil))
	assert.Equal(t, 200, proxy.Status(&proxy.Response{}, nil))
	assert.Equal(t, 500, proxy.Status(nil, nil), "neither is a failure of code")
}
