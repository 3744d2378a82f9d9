package redis

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A server is the Redis of a spec, with what is known about how it does.
type server struct {
	Spec
	fault error // why it cannot be asked
	pause pause
	left  atomic.Int64 // calls that are under way although their callers have gone on
}

func newServer(s Spec, fault error) *server { return &server{Spec: s.withDefaults(), fault: fault} }

// key returns the key in Redis for that of a limit. 192 bits of SHA-256 are enough that nobody finds
// two keys with the same one.
func (s *server) key(what, key string) string {
	hash := sha256.Sum256([]byte(key))
	return s.Prefix + what + base64.RawURLEncoding.EncodeToString(hash[:24])
}

// ask makes a call of Redis, and returns when ctx ends or the time is over, whatever the call does.
// It runs on a goroutine of its own: while go-redis waits for an answer it does not look at a
// cancelled context, and its hooks and dialers may be code of a user.
func ask[T any](ctx context.Context, s *server, call func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if s.fault != nil {
		return none, s.fault
	}
	if s.left.Load() >= proxy.DefaultMaxAbandoned {
		return none, fmt.Errorf("redis: %w", proxy.ErrAbandoned)
	}
	probe, err := s.pause.begin()
	if err != nil {
		return none, fmt.Errorf("redis: %w", err)
	}
	value, err := await(ctx, s, call)
	switch {
	case err == nil:
		s.pause.end(probe, succeeded, nil)
		return value, nil
	case over(ctx) != nil:
		s.pause.end(probe, undecided, nil)
		return none, over(ctx)
	}
	s.pause.end(probe, failed, err)
	return none, fmt.Errorf("redis: %w", err)
}

// over returns why the context of a call has ended, or nil. The deadline of a socket may come just
// before that of the context that it was taken from.
func over(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// await makes the call and waits for its end, or until the time is over.
func await[T any](ctx context.Context, s *server, call func(context.Context) (T, error)) (T, error) {
	if s.Timeout > 0 {
		within, cancel := context.WithTimeout(ctx, s.Timeout)
		defer cancel()
		ctx = within
	}
	q := &question[T]{server: s, answered: make(chan struct{})}
	go q.put(ctx, call)
	select {
	case <-q.answered:
		return q.value, q.err
	case <-ctx.Done():
	}
	if q.leave() {
		var none T
		return none, fmt.Errorf("no answer: %w", ctx.Err())
	}
	<-q.answered // at the same moment
	return q.value, q.err
}

// A question is one call of Redis, which its caller may leave.
type question[T any] struct {
	*server
	ended    atomic.Bool   // answered or left, whichever came first
	answered chan struct{} // closed unless it was left
	value    T             // to be read after that, and so is err
	err      error
}

// put makes the call, and hands over what it returns.
func (q *question[T]) put(ctx context.Context, call func(context.Context) (T, error)) {
	var value T
	err := errExit
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(runtime.Error); !ok {
				v = fmt.Sprint(v) // recovers a panic of its methods
			}
			err = pipe.NewPanicError(v)
		}
		if !q.ended.CompareAndSwap(false, true) {
			q.left.Add(-1)
			return
		}
		q.value, q.err = value, err
		close(q.answered)
	}()
	got, failed := call(ctx)
	if failed != nil {
		failed = newFailure(failed)
	}
	value, err = got, failed
}

var errExit = errors.New("runtime.Goexit was called")

// leave reports whether the caller can go on without an answer, because there is none yet.
func (q *question[T]) leave() bool {
	q.left.Add(1)
	left := q.ended.CompareAndSwap(false, true)
	if !left {
		q.left.Add(-1)
	}
	return left
}

// A failure is an error of the client. Its text is one short line, whatever Redis has answered.
type failure struct {
	text string
	err  error
}

const maxText = 300 // bytes

func newFailure(err error) *failure {
	text := fmt.Sprint(err) // recovers a panic of its methods
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	return &failure{strings.Map(printable, text), err}
}

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return unicode.ReplacementChar
	}
	return r
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }
