package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/sluice-go/sluice/bench/byhand"
)

// newUpstream answers
//
//	/1k/a/1 and /20k/a/1     a document of that size, for any name in place of a
//	/down?n=1000             so many bytes
//	/up                      how many bytes came
//	/pool0/hold?n=100        once so many requests for this path wait
func newUpstream() http.Handler {
	mux := http.NewServeMux()
	for size, n := range map[string]int{"1k": 1 << 10, "20k": 20 << 10} {
		for _, name := range []string{"a", "b", "c"} {
			body := byhand.Document(name, n)
			mux.HandleFunc("GET /"+size+"/"+name+"/{id}", func(w http.ResponseWriter, _ *http.Request) { document(w, body) })
		}
	}
	mux.HandleFunc("GET /down", down)
	mux.HandleFunc("POST /up", up)
	mux.Handle("GET /{pool}/hold", &barrier{waiting: map[string]*gate{}})
	return mux
}

func document(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"private, max-age=0"}
	h["Server"] = []string{"upstream"}
	h["Vary"] = []string{"Accept-Language"}
	h["Etag"] = []string{`"1"`}
	_, _ = w.Write(body)
}

func down(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	block := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	for n > 0 {
		k, err := w.Write(block[:min(n, int64(len(block)))])
		if err != nil {
			return
		}
		n -= int64(k)
	}
}

func up(w http.ResponseWriter, r *http.Request) {
	buf := make([]byte, 64<<10)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buf)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := fmt.Sprintf(`{"bytes":%12d}`, n)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = io.WriteString(w, text)
}

// A barrier lets the requests for a path wait until n are there, so that the other side needs as many
// connections.
type barrier struct {
	mu      sync.Mutex // guards what follows
	waiting map[string]*gate
}

type gate struct {
	n    int
	open chan struct{}
}

func (b *barrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-b.enter(r.URL.Path, n):
		document(w, []byte(`{"held":true}`))
	case <-r.Context().Done():
	}
}

// enter returns what closes when n requests for path have entered.
func (b *barrier) enter(path string, n int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.waiting[path]
	if g == nil {
		g = &gate{open: make(chan struct{})}
		b.waiting[path] = g
	}
	if g.n++; g.n >= n {
		delete(b.waiting, path)
		close(g.open)
	}
	return g.open
}
