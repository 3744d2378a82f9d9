package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// A service is the program before sluice: notes in memory, its own routes and its own middleware.
type service struct {
	mu    sync.Mutex // guards notes
	notes []note

	// added is called with each new note as JSON, outside the lock.
	added func([]byte) error
}

type note struct {
	ID     string `json:"id"`
	Author string `json:"author"`
	Text   string `json:"text"`
}

func (s *service) router() chi.Router {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.SetHeader("X-Served-By", "notes"))
	r.Get("/notes/{id}", s.get)
	r.Post("/notes", s.add)
	return r
}

func (s *service) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := strconv.Atoi(chi.URLParam(r, "id"))
	if err != nil || i < 1 || i > len(s.notes) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.notes[i-1])
}

func (s *service) add(w http.ResponseWriter, r *http.Request) {
	var n note
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&n); err != nil {
		http.Error(w, "not a note", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	n.ID = strconv.Itoa(len(s.notes) + 1)
	s.notes = append(s.notes, n)
	s.mu.Unlock()
	if s.added != nil {
		b, _ := json.Marshal(n)
		if err := s.added(b); err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
	}
	w.Header().Set("Location", "/notes/"+n.ID)
	w.WriteHeader(http.StatusCreated)
}
