package router_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

func TestSecureSetsItsFields(t *testing.T) {
	t.Parallel()
	const policy, none = "default-src 'none'; frame-ancestors 'none'", "max-age=31536000"
	header := func(frame, csp, referrer, hsts string) http.Header {
		h := http.Header{"X-Content-Type-Options": {"nosniff"}}
		for name, value := range map[string]string{"X-Frame-Options": frame, "Content-Security-Policy": csp, "Referrer-Policy": referrer,
			"Strict-Transport-Security": hsts} {
			if value != "" {
				h[name] = []string{value}
			}
		}
		return h
	}
	tests := []struct {
		name string
		spec router.SecureSpec
		tls  bool
		want http.Header
	}{
		{"the zero value by http", router.SecureSpec{}, false, header("DENY", policy, "no-referrer", "")},
		{"the zero value by https", router.SecureSpec{}, true, header("DENY", policy, "no-referrer", none)},
		{"frames of the same origin", router.SecureSpec{Frame: "SAMEORIGIN"}, false,
			header("SAMEORIGIN", "default-src 'none'; frame-ancestors 'self'", "no-referrer", "")},
		{"any frame", router.SecureSpec{Frame: "-"}, false, header("", "default-src 'none'", "no-referrer", "")},
		{"a policy", router.SecureSpec{ContentSecurityPolicy: "default-src 'self'"}, false, header("DENY", "default-src 'self'", "no-referrer", "")},
		{"as little as can be", router.SecureSpec{Frame: "-", ContentSecurityPolicy: "-", ReferrerPolicy: "-", HSTS: -1}, true, header("", "", "", "")},
		{"a referrer policy", router.SecureSpec{ReferrerPolicy: "same-origin"}, false, header("DENY", policy, "same-origin", "")},
		{"HSTS of an hour", router.SecureSpec{HSTS: time.Hour + time.Millisecond}, true, header("DENY", policy, "no-referrer", "max-age=3600")},
		{"HSTS with all", router.SecureSpec{HSTSSubdomains: true, HSTSPreload: true}, true,
			header("DENY", policy, "no-referrer", "max-age=31536000; includeSubDomains; preload")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), router.Secure(tt.spec)).ServeHTTP(w, r)
			assert.Equal(t, tt.want, w.Header())
		})
	}
}

// What the house has set comes once, whatever the upstream says of it, on documents, streams, problems
// and refusals.
//
// proves H15
func TestSecureWinsOverAnUpstream(t *testing.T) {
	t.Parallel()
	theirs := http.Header{"X-Frame-Options": {"ALLOWALL"}, "x_content_type_options": {"no"}, "Referrer-Policy": {"unsafe-url"},
		"Content-Security-Policy": {"default-src *"}, "Strict-Transport-Security": {"max-age=0"}}
	r := chi.NewRouter()
	router.Problems(r)
	r.Use(router.Secure(router.SecureSpec{}), router.Hosts("example.com"))
	answers := map[string]proxy.Proxy{
		"/document": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: theirs.Clone()}, nil
		},
		"/stream": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: theirs.Clone(), Body: http.NoBody}, nil
		},
		"/problem": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 503, Header: theirs.Clone()}
		},
	}
	for pattern, p := range answers {
		require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p}}))
	}
	for _, target := range []string{"/document", "/stream", "/problem", "/nothing", "http://evil.example/document"} {
		req := request(t, "GET", target)
		req.TLS = &tls.ConnectionState{}
		if target[0] != '/' {
			req.Host = "evil.example"
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "max-age=31536000"} {
			assert.Equal(t, []string{want}, w.Header()[name], "%s: %s", target, name)
		}
	}
}

// The fields of two answers do not share memory: who changes one changes no other.
func TestSecureGivesEachAnswerItsOwnFields(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Frame-Options"][0] = "broken"
		w.Header().Add("X-Content-Type-Options", "more")
	}), router.Secure(router.SecureSpec{}))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, []string{"nosniff", "more"}, w.Header()["X-Content-Type-Options"])
		assert.Equal(t, []string{"no-referrer"}, w.Header()["Referrer-Policy"])
		assert.NotEqual(t, "broken", w.Header().Get("Content-Security-Policy"))
	}
}
