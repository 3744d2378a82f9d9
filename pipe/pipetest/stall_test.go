package pipetest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

// A freeable lock is a mutex that locks nobody out once it is free, so that a test can end what it
// has stopped.
type freeable struct {
	mu   sync.Mutex
	free atomic.Bool
}

func (l *freeable) Lock() {
	if l.mu.Lock(); l.free.Load() {
		l.mu.Unlock()
	}
}

func (l *freeable) Unlock() {
	if !l.free.Load() {
		l.mu.Unlock()
	}
}

// release frees a lock that is held.
func (l *freeable) release() {
	l.free.Store(true)
	l.mu.Unlock()
}

// A lock stops fake time, so next never ends and the lock is never released.
func TestALockThatIsHeldWhileNextRunsIsAVerdict(t *testing.T) {
	t.Parallel()
	l := new(freeable)
	err := pipetest.CheckWithin(t, of(subject{Decorator: once(func(ctx context.Context, q *question, next asking) (*answer, error) {
		l.Lock()
		defer l.Unlock()
		return next(ctx, q)
	})}), 100*time.Millisecond)
	l.release()
	require.ErrorContains(t, err, "concurrency: the law cannot end, because fake time stands still: a goroutine waits for a lock, "+
		"which is held by code that waits for fake time: hold no lock while next runs, and release it if next panics\ngoroutine ")
	assert.ErrorContains(t, err, "pipetest_test.(*freeable).Lock", "where it waits")
	assert.NotContains(t, err.Error(), "plan: ", "the laws after it would wait for the lock too")
}

func TestALockThatAPanicLeavesHeldIsAVerdict(t *testing.T) {
	t.Parallel()
	l := new(freeable)
	err := pipetest.CheckWithin(t, of(subject{Decorator: once(func(ctx context.Context, q *question, next asking) (*answer, error) {
		l.Lock()
		a, err := next(ctx, q)
		l.Unlock()
		return a, err
	})}), 100*time.Millisecond)
	l.release()
	assert.ErrorContains(t, err, "panics: the law cannot end, because fake time stands still: a goroutine waits for a lock")
}

func TestAChannelOfNoBubbleIsAVerdict(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	err := pipetest.CheckWithin(t, of(subject{Answers: true, Decorator: described(pipe.CallsOnce|pipe.Stateful,
		func(context.Context, *question, asking) (*answer, error) {
			<-never
			return nil, errors.New("closed")
		})}), 100*time.Millisecond)
	close(never)
	assert.ErrorContains(t, err, "success: the law cannot end, because fake time stands still: a goroutine waits for "+
		"something that was not made in its bubble, such as a channel: make the decorator in New\ngoroutine ")
}
