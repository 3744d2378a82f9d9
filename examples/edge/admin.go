package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

func newTokenID() string { return rand.Text() }

// newAdmin returns the handler for operators.
func newAdmin(gateway chi.Router, revoke func(ctx context.Context, jti string, until time.Time) error) http.Handler {
	r := chi.NewRouter()
	router.Problems(r)
	r.Method("GET", "/debug/plan", router.Plans(gateway))
	r.Post("/revoke", func(w http.ResponseWriter, r *http.Request) {
		jti := r.URL.Query().Get("jti")
		if jti == "" {
			endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusBadRequest, Err: errors.New("there is no jti")})
			return
		}
		// For good, as nobody here knows when the token ends.
		if err := revoke(r.Context(), jti, time.Time{}); err != nil {
			endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusServiceUnavailable, Err: err})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return r
}
