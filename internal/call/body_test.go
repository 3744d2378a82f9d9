package call_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
)

// A reader is a body of a user.
type reader struct {
	read   func(p []byte) (int, error)
	close  func() error
	closes atomic.Int32
}

func (r *reader) Read(p []byte) (int, error) { return r.read(p) }

func (r *reader) Close() error {
	r.closes.Add(1)
	if r.close != nil {
		return r.close()
	}
	return nil
}

func TestABodyReadsWhatItStandsBefore(t *testing.T) {
	t.Parallel()
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = byte(i)
	}
	from := call.InMemory(text)
	inner := &reader{read: from.Read}
	body := call.NewBody(t.Context(), nil, inner)
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	assert.Equal(t, text, got)
	assert.NoError(t, body.Close())
	assert.EqualValues(t, 1, inner.closes.Load())
}

func TestABodyOfOursStandsForItself(t *testing.T) {
	t.Parallel()
	inner := &reader{}
	for _, body := range []io.ReadCloser{http.NoBody, call.InMemory(nil), call.InMemory([]byte("x")), call.NewBody(t.Context(), nil, inner)} {
		assert.Equal(t, body, call.NewBody(t.Context(), nil, body))
	}
	assert.Equal(t, http.NoBody, call.InMemory(nil))
	assert.Equal(t, io.ReadCloser(inner), call.NewBody(described(t.Context()), nil, inner))
}

// proves T4, T14
func TestABodySurvivesWhatItReads(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func([]byte) (int, error){
		"a panic":           func([]byte) (int, error) { panic("bug") },
		"runtime.Goexit":    func([]byte) (int, error) { runtime.Goexit(); return 0, nil },
		"too large a count": func(p []byte) (int, error) { return len(p) + 1, nil },
		"a negative count":  func([]byte) (int, error) { return -1, io.EOF },
	} {
		calls := 0
		body := call.NewBody(t.Context(), nil, &reader{read: func(p []byte) (int, error) { calls++; return read(p) }, close: func() error { panic("close") }})
		for range 2 {
			n, err := body.Read(make([]byte, 8))
			assert.Zero(t, n, name)
			assert.Error(t, err, name)
			assert.NotEqual(t, io.EOF, err, name)
		}
		assert.Equal(t, 1, calls, "%s: it is not called again after an error", name)
		assert.True(t, call.Panicked(body.Close()), name)
	}
}

// proves T3
func TestABodyIsNotReadPastItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var scope call.Scope
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		body := call.NewBody(ctx, nil, &reader{read: func(p []byte) (int, error) {
			<-time.After(time.Minute)
			return copy(p, "late"), nil
		}})
		p := make([]byte, 8)
		start := time.Now()
		_, err := body.Read(p)
		assert.Equal(t, context.DeadlineExceeded, err)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 1, scope.Abandoned())
		<-time.After(time.Hour)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assert.Equal(t, make([]byte, 8), p, "nothing is written late")
	})
}
