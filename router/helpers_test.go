package router_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// seen holds what a pipe got of the last request.
type seen struct {
	called bool
	name   string
	params map[string]string
	rest   []string
}

// pipe returns a proxy that notes what it got under a name.
func (s *seen) pipe(name string) proxy.Proxy {
	return func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		*s = seen{called: true, name: name, rest: req.Params.Rest()}
		for _, name := range req.Params.Names() {
			if s.params == nil {
				s.params = map[string]string{}
			}
			s.params[name] = req.Params.Get(name)
		}
		return &proxy.Response{Status: http.StatusOK}, nil
	}
}

func (s *seen) route(method, pattern string) router.Route {
	return router.Route{Method: method, Pattern: pattern, Endpoint: endpoint.Spec{Proxy: s.pipe(pattern)}}
}

func answer(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

func route(method, pattern string) router.Route {
	return router.Route{Method: method, Pattern: pattern, Endpoint: endpoint.Spec{Proxy: answer}}
}

// request returns the request that net/http would make from a target on the wire.
func request(t testing.TB, method, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	require.NoError(t, err)
	r := httptest.NewRequest(method, "/", nil)
	r.URL, r.RequestURI = u, target
	return r
}

func serve(t testing.TB, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(t, method, target))
	return w
}

// walk lists what is on a router.
func walk(t testing.TB, r chi.Routes) []string {
	t.Helper()
	var found []string
	require.NoError(t, chi.Walk(r, func(method, route string, _ http.Handler, mws ...func(http.Handler) http.Handler) error {
		found = append(found, method+" "+route+strings.Repeat("+", len(mws)))
		return nil
	}))
	return found
}
