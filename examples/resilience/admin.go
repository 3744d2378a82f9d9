package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/router"
)

// newAdmin returns the router for operators: the plan, its bounds, the figures, and the faults.
func newAdmin(public chi.Router, services map[string]*service, stats func() Stats) chi.Router {
	r := chi.NewRouter()
	router.Problems(r)
	r.Handle("/debug/plan", router.Plans(public))
	r.Get("/debug/bounds", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, boundsOf(public)) })
	r.Get("/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, stats()) })
	change := func(to func(*http.Request) (fault, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s := services[chi.URLParam(r, "upstream")]
			if s == nil {
				http.Error(w, "there is no such upstream", http.StatusNotFound)
				return
			}
			f, err := to(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if err := s.Set(r.Context(), f); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
	r.Put("/fault/{upstream}", change(func(r *http.Request) (fault, error) { return parseFault(r.URL.RawQuery) }))
	r.Delete("/fault/{upstream}", change(func(*http.Request) (fault, error) { return fault{}, nil }))
	r.Post("/upstreams/{upstream}/stop", change(func(*http.Request) (fault, error) { return fault{Crash: true}, nil }))
	return r
}

// A bound is what one request of a route can cost at most.
type bound struct {
	Calls  *int           `json:"calls"`  // of upstreams; null is any number
	Leaves map[string]int `json:"leaves"` // of each
	Within string         `json:"within,omitempty"`
	Untold []string       `json:"untold,omitempty"` // why there is no bound
}

// boundsOf returns the bounds of each endpoint on a router, by its route.
func boundsOf(r chi.Router) map[string]bound {
	all := map[string]bound{}
	for _, route := range router.PlanOf(r).Find("route") {
		for _, e := range route.Find("endpoint") {
			all[route.Name] = boundOf(bounds.Of(e))
		}
	}
	return all
}

func boundOf(b bounds.Bounds) bound {
	shown := bound{Leaves: map[string]int{}}
	if b.Calls != bounds.None {
		shown.Calls = &b.Calls
	}
	for _, l := range b.Leaves {
		shown.Leaves[l.Step.Title()] = l.Calls
	}
	if !b.Endless {
		shown.Within = b.Within.Round(time.Millisecond).String()
	}
	for _, u := range b.Untold {
		shown.Untold = append(shown.Untold, u.Step.Title()+" does not tell "+u.What)
	}
	return shown
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // fails only if the client has gone
}
