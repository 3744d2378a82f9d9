package backend_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// proves O17
func TestASignatureCoversWhatIsSent(t *testing.T) {
	t.Parallel()
	up := &answers{body: `{}`}
	tries := 0
	f := backend.HTTP{
		Transport: trip(func(r *http.Request) (*http.Response, error) {
			res, err := up.RoundTrip(r)
			if tries < 2 {
				return nil, errors.Join(io.ErrUnexpectedEOF, err)
			}
			return res, err
		}),
		Sign: func(_ context.Context, r *http.Request) error {
			tries++
			body, err := r.GetBody()
			if err != nil {
				return err
			}
			b, err := io.ReadAll(body)
			r.Header.Set("Signature", r.Method+" "+r.URL.String()+" "+r.Header.Get("X-User")+" "+string(b))
			return errors.Join(err, body.Close())
		},
	}
	p, err := f.New(backend.Spec{Name: "up", Method: "PUT", URL: "http://h/{id}?v=1", Query: []string{"*"}, Headers: []string{"*"}, Given: []string{"id"}})
	require.NoError(t, err)
	plan := pipe.PlanOf(p)
	assert.Contains(t, plan.String(), "signed")
	assert.NotZero(t, plan.Effects&pipe.Opaque)
	p = p.With(policy.Retry(policy.Attempts{Max: 2}))
	req := proxy.NewRequest("PUT", "/")
	req.Params.Set("id", "a b")
	req.Query.Set("q", "1")
	req.SetBody("text/plain", []byte("hello"))
	req.Upstream.Set("X-User", "7")
	_, err = p(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 2, tries, "each try is signed")
	assert.Equal(t, "PUT http://h/a%20b?v=1&q=1 7 hello", up.last.Header.Get("Signature"))
	assert.Equal(t, "hello", up.sent)
	assert.Empty(t, req.Header.Get("Signature"), "it belongs to one try")
}

func TestNothingIsSentWithoutItsSignature(t *testing.T) {
	t.Parallel()
	noKey := errors.New("no key")
	for _, tt := range []struct {
		err    error
		status int
	}{{noKey, 500}, {&proxy.Error{Status: 503, Err: noKey}, 503}} {
		up := &answers{body: `{}`}
		p, err := backend.HTTP{Transport: up, Sign: func(context.Context, *http.Request) error { return tt.err }}.New(
			backend.Spec{Name: "up", URL: "http://h/"})
		require.NoError(t, err)
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		require.ErrorIs(t, err, noKey)
		assert.Equal(t, tt.status, proxy.StatusOf(err))
		assert.ErrorContains(t, err, "backend up: sign: ")
		assert.Zero(t, up.calls)
	}
}
