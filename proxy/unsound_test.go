package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A nilFailure is an error of a user whose Unwrap dereferences it.
type nilFailure struct{ err error }

func (*nilFailure) Error() string { return "failure" }

func (f *nilFailure) Unwrap() error { return f.err }

// A loopError is an error that wraps itself.
type loopError struct{}

func (loopError) Error() string   { return "loop" }
func (l loopError) Unwrap() error { return l }

// failsWith returns a proxy that always fails.
func failsWith(err error) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }
}

// proves T14, T13
func TestStatusOfAnErrorWithAFaultyMethodIs500(t *testing.T) {
	t.Parallel()
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf((*nilFailure)(nil)))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(errors.Join((*nilFailure)(nil))))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(loopError{}))
}

// proves T14
func TestANilErrorThatDereferencesItselfFailsItsBranchAlone(t *testing.T) {
	t.Parallel()
	bad := failsWith((*nilFailure)(nil))
	good := answers(t, 0, `{"a":1}`)
	for name, p := range map[string]proxy.Proxy{
		"merge": proxy.Merge(proxy.Part{Proxy: good}, proxy.Optional(proxy.Part{Proxy: bad})),
		"partial": proxy.Merge(proxy.Part{Proxy: called(func() (*proxy.Response, error) {
			return &proxy.Response{Document: asDocument(t, `{"a":1}`), Err: (*nilFailure)(nil)}, nil
		})}),
		"sequence": proxy.Sequence(proxy.Stage{Proxy: bad, Optional: true}, proxy.Stage{Proxy: good}),
		"fallback": proxy.Fallback(bad, good),
		"race":     proxy.Race(bad, good),
		"static":   bad.With(proxy.Static(proxy.OnError, asDocument(t, `{"a":1}`))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := p(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, `{"a":1}`, res.Document.String())
		})
	}
}

// proves T14
func TestAMirrorWhoseErrorPanicsIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, _, reported := reports(t.Context())
		mirror := pipe.Describe(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, (*nilFailure)(nil)
		}, pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
		shadow, err := proxy.NewShadow(proxy.ShadowSpec{Name: "new", Timeout: time.Second, Max: 1, Mirror: mirror})
		require.NoError(t, err)
		_, err = answers(t, 0, `{}`).With(shadow.Decorate)(ctx, get())
		require.NoError(t, err)
		synctest.Wait()
		run, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, shadow.Run(run)) // cancels the call, whose error is then no news unless it is a panic
		synctest.Wait()
		require.Len(t, reported, 1)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(<-reported))
	})
}
