package main

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/proxy/document"
)

// An echoServer is an upstream that answers with what it was asked, and a WebSocket that says it again.
type echoServer struct {
	listener net.Listener
	calls    atomic.Int64
}

func newEcho() (*echoServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return &echoServer{listener: l}, err
}

func (e *echoServer) url() string            { return "http://" + e.listener.Addr().String() }
func (e *echoServer) close()                 { _ = e.listener.Close() }
func (e *echoServer) server() adapter.Server { return adapter.Server{Listener: e.listener, Handler: e} }

func (e *echoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	calls := e.calls.Add(1)
	if r.Header.Get("Upgrade") != "" {
		e.socket(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	doc, err := document.Of(struct {
		Method  string              `json:"method"`
		Path    string              `json:"path"`
		Query   map[string][]string `json:"query"`
		Headers http.Header         `json:"headers"`
		Body    string              `json:"body"`
		Calls   int64               `json:"calls"`
	}{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header, string(body), calls})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(doc.AppendJSON(nil))
}

// socket says every message again until the client leaves.
func (e *echoServer) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the gateway has looked at the Origin
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
