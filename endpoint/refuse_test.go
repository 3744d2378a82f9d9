package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRefuseAnswersAsTheEndpointWould(t *testing.T) {
	t.Parallel()
	var reported []error
	h, err := endpoint.New(endpoint.Spec{
		Proxy:     func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("it is not called") },
		RequestID: func(*http.Request) string { return "id-1" },
		Report:    func(_ context.Context, err error) { reported = append(reported, err) },
	})
	require.NoError(t, err)
	cause := errors.New("not here")
	w := httptest.NewRecorder()
	h.(interface {
		Refuse(http.ResponseWriter, *http.Request, error)
	}).Refuse(w, httptest.NewRequest("GET", "/", nil), &proxy.Error{Status: 400, Op: "router", Err: cause})
	assert.Equal(t, 400, w.Code)
	assert.JSONEq(t, `{"type":"about:blank","title":"Bad Request","status":400,"requestId":"id-1"}`, w.Body.String())
	require.Len(t, reported, 1)
	assert.ErrorIs(t, reported[0], cause)
}

func TestARequestThatTheServerEndedIsNotTheClients(t *testing.T) {
	t.Parallel()
	stopping := errors.New("the server stops")
	var reported []error
	h, err := endpoint.New(endpoint.Spec{
		Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		Report: func(_ context.Context, err error) { reported = append(reported, err) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopping)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Len(t, reported, 1)
	assert.ErrorIs(t, reported[0], stopping)
}
