package flow_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/lend"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

type typed[T any] = pipe.Pipe[*proxy.Request, T]

// after returns a pipe that answers with v after d, and honours its context.
func after[T any](d time.Duration, v T) typed[T] {
	return func(ctx context.Context, _ *proxy.Request) (T, error) {
		select {
		case <-time.After(d):
			return v, nil
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

// sure describes p as one that honours its context.
func sure[T any](p typed[T]) typed[T] {
	return pipe.Describe(p, pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
}

func fails[T any](err error) typed[T] {
	return func(context.Context, *proxy.Request) (v T, _ error) { return v, err }
}

// deaf ignores its context until end is closed.
func deaf[T any](end <-chan struct{}, v T) typed[T] {
	return func(context.Context, *proxy.Request) (T, error) { <-end; return v, nil }
}

func get() *proxy.Request { return proxy.NewRequest("GET", "/") }

// as is a prepare function that leaves the request as it is.
func as[T any](*proxy.Request, T) error { return nil }

func add(ns ...int) int {
	sum := 0
	for _, n := range ns {
		sum += n
	}
	return sum
}

func add2(a, b int) (int, error)    { return a + b, nil }
func add3(a, b, c int) (int, error) { return a + b + c, nil }

var errBoom = errors.New("boom")

// reports returns a context whose scope collects what is reported to it.
func reports(ctx context.Context) (context.Context, *call.Scope, chan error) {
	reported := make(chan error, 100)
	scope := &call.Scope{Report: func(_ context.Context, err error) { reported <- err }}
	return scope.Context(ctx), scope, reported
}

// A body counts how often it is closed.
type body struct {
	io.Reader
	closes atomic.Int32
}

func (b *body) Close() error { b.closes.Add(1); return nil }

// bodies are all bodies that a request was replayed with.
type bodies struct {
	mu  sync.Mutex
	all []*body
}

func (b *bodies) request(text string, replayable bool) *proxy.Request {
	req := proxy.NewRequest("POST", "/")
	open := func() (io.ReadCloser, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all = append(b.all, &body{Reader: strings.NewReader(text)})
		return b.all[len(b.all)-1], nil
	}
	req.Body, _ = open()
	req.ContentLength = int64(len(text))
	if replayable {
		req.GetBody = open
	}
	return req
}
