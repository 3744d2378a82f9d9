package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// answers is an upstream that answers with JSON.
func answers(name, json string) proxy.Proxy {
	return replies(name, proxytest.Answer(200, json))
}

// down is an upstream that refuses connections.
func down(name string) proxy.Proxy {
	return replies(name, proxytest.Fail(errors.New("connection refused")))
}

// replies is an upstream that answers with r, including its status and headers.
func replies(name string, r proxytest.Reply) proxy.Proxy {
	factory := backend.HTTP{Transport: honest{proxytest.NewUpstream(r)}}
	return pipe.Check(factory.New(backend.Spec{Name: name, URL: "http://" + name + "/"}))
}

// upstream is a real backend over a transport that prints each request.
func upstream(s backend.Spec, r proxytest.Reply) proxy.Proxy {
	return pipe.Check(backend.HTTP{Transport: scriptedTransport(s.Name, r)}.New(s))
}

// scriptedTransport answers with r and prints each request.
func scriptedTransport(name string, r proxytest.Reply) http.RoundTripper {
	return teller{honest{proxytest.NewUpstream(r)}, name}
}

// An honest transport declares that it honours its context, so that it is not random which deadline
// an error names.
type honest struct{ *proxytest.Upstream }

func (honest) HonoursContext() bool { return true }

// A teller prints each request on a line.
type teller struct {
	honest
	name string
}

func (t teller) RoundTrip(req *http.Request) (*http.Response, error) {
	line := []string{t.name, "got", req.Method, req.URL.RequestURI()}
	line = append(line, fields(req.Header, "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent")...)
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		_ = req.Body.Close()
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		line = append(line, string(body))
	}
	fmt.Println(strings.Join(line, " "))
	return t.honest.RoundTrip(req)
}

// host starts a host that answers alike, and returns its address. It runs as long as the test.
func host(status int, json string) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, json)
	}))
	return s.Listener.Addr().String()
}

// get sends a request for a page and prints what the client gets.
func get(page proxy.Proxy, target string, header ...string) {
	send(endpoint.Spec{Proxy: page}, "GET", target, header...)
}

// send mounts an endpoint on /users/{id}, sends it a request, and prints the answer and what was
// reported.
func send(s endpoint.Spec, method, target string, header ...string) {
	var reported []error
	s.Report = func(_ context.Context, err error) { reported = append(reported, err) }
	h, err := endpoint.New(s)
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/users/{id}", h)

	req := httptest.NewRequest(method, target, nil)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, req)

	line := []string{fmt.Sprint(w.Code)}
	if w.Header().Get("Content-Type") == "application/problem+json" {
		line = append(line, http.StatusText(w.Code))
	} else {
		if w.Header().Get("X-Completed") == "true" {
			w.Header().Del("X-Completed")
		}
		line = append(line, fields(w.Header(), "Age", "Cache-Status", "Content-Length", "Content-Type", "Date", "X-Content-Type-Options")...)
		line = append(line, w.Body.String())
	}
	fmt.Println(strings.TrimSpace(strings.Join(line, " ")))
	for _, err := range reported {
		fmt.Println("reported:", err)
	}
}

// fields returns the headers as text, in the order of their names.
func fields(h http.Header, but ...string) (fs []string) {
	for name, values := range h {
		if !slices.Contains(but, name) {
			fs = append(fs, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(fs)
	return fs
}
