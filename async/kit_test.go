package async_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/require"
)

// A play is what one Receive of a script does.
type play func(ctx context.Context) (async.Message, error)

// A script is a source that plays one part per call, and then waits for the end of its context.
type script struct {
	plays   []play
	calls   atomic.Int32
	playing atomic.Int32 // calls of Receive at the moment
	overlap atomic.Bool  // two calls at a time were seen
}

func (s *script) Receive(ctx context.Context) (async.Message, error) {
	if s.playing.Add(1) > 1 {
		s.overlap.Store(true)
	}
	defer s.playing.Add(-1)
	if n := int(s.calls.Add(1)); n <= len(s.plays) {
		return s.plays[n-1](ctx)
	}
	<-ctx.Done()
	return async.Message{}, ctx.Err()
}

func fails(err error) play {
	return func(context.Context) (async.Message, error) { return async.Message{}, err }
}

// A ledger notes how messages were settled and what was reported.
type ledger struct {
	mu      sync.Mutex
	acked   []string
	nacked  []string
	causes  []error
	reports []error
}

func (l *ledger) message(id string) async.Message {
	return async.Message{
		ID:      id,
		Request: proxy.NewRequest("", "/"+id),
		Ack: func(context.Context) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.acked = append(l.acked, id)
			return nil
		},
		Nack: func(_ context.Context, cause error) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.nacked = append(l.nacked, id)
			l.causes = append(l.causes, cause)
			return nil
		},
	}
}

// delivers plays a message with the id.
func (l *ledger) delivers(id string) play { return gives(l.message(id)) }

func gives(m async.Message) play {
	return func(context.Context) (async.Message, error) { return m, nil }
}

func (l *ledger) report(_ context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, err)
}

// ok answers every message.
func ok(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }

// newAgent makes an agent whose reports go to the ledger.
func newAgent(t testing.TB, l *ledger, s async.Spec) *async.Agent {
	t.Helper()
	if s.Report == nil {
		s.Report = l.report
	}
	a, err := async.New(s)
	require.NoError(t, err)
	return a
}

// runs runs an agent over the plays, and then to the end of the source. It must be called in a
// bubble.
func runs(t testing.TB, l *ledger, s async.Spec, plays ...play) {
	t.Helper()
	s.Source = &script{plays: append(plays, fails(io.EOF))}
	require.NoError(t, newAgent(t, l, s).Run(t.Context()))
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// A body counts its closes.
type body struct {
	io.Reader
	closes atomic.Int32
}

func (b *body) Close() error {
	b.closes.Add(1)
	return nil
}
