package test_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// answerTo is what the upstream of a name answers to a request.
func answerTo(id, name string, n int) string { return string(rows(id+" "+name, n)) }

// startUpstream starts an upstream that is slow now and then, breaks some answers off, and answers
// others with a failure.
func startUpstream(t *testing.T) *httptest.Server {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.Header.Get("X-N"))
		body := answerTo(r.Header.Get("X-Id"), r.URL.Path[1:], n)
		switch rand.IntN(20) {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 1:
			_, _ = io.WriteString(w, body[:len(body)/2])
			panic(http.ErrAbortHandler)
		case 2, 3:
			select {
			case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		if rand.IntN(2) == 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		_, _ = io.WriteString(w, body)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// A socketPipe is a pipe that lends, and what it may answer.
type socketPipe struct {
	p    proxy.Proxy
	want func(id string, n int) []string
}

// socketPipes returns pipes of an upstream.
func socketPipes(url string) map[string]socketPipe {
	leaf := func(name string) proxy.Proxy {
		return pipe.Check(backend.HTTP{}.New(backend.Spec{Name: name, URL: url + "/" + name, Headers: []string{"X-Id", "X-N"}}))
	}
	either := func(names ...string) func(id string, n int) []string {
		return func(id string, n int) (want []string) {
			for _, name := range names {
				want = append(want, answerTo(id, name, n))
			}
			return want
		}
	}
	grouped := func(names ...string) func(id string, n int) []string {
		return func(id string, n int) []string {
			text := ""
			for _, name := range names {
				text += fmt.Sprintf(",%q:%s", name, answerTo(id, name, n))
			}
			return []string{"{" + text[1:] + "}"}
		}
	}
	return map[string]socketPipe{
		"one":   {leaf("a"), either("a")},
		"retry": {leaf("a").With(policy.Retry(policy.Attempts{Max: 3})), either("a")},
		"hedge": {leaf("a").With(policy.Hedge(policy.HedgeSpec{Delay: 3 * time.Millisecond})), either("a")},
		"merge": {proxy.Merge(proxy.Grouped("a", leaf("a").With(policy.Retry(policy.Attempts{Max: 3}))),
			proxy.Grouped("b", leaf("b").With(policy.Hedge(policy.HedgeSpec{Delay: 3 * time.Millisecond}))), proxy.Grouped("c", leaf("c"))),
			grouped("a", "b", "c")},
		"race":     {proxy.Race(leaf("a"), leaf("b"), leaf("c")), either("a", "b", "c")},
		"fallback": {proxy.Fallback(leaf("a").With(policy.Timeout(10*time.Millisecond)), leaf("b")), either("a", "b")},
		"sequence": {proxy.Sequence(proxy.Stage{Name: "a", Proxy: leaf("a"), Group: "a"},
			proxy.Stage{Name: "b", Proxy: leaf("b"), Group: "b", Bind: []proxy.Binding{proxy.BindQuery("q", "a", "of"), proxy.BindBody("a", "rows")}}),
			grouped("a", "b")},
		"shape": {leaf("a").With(shape.Response(shape.Keep("rows", "of"), shape.Group("a"))), grouped("a")},
	}
}

// TestNoClientGetsBytesOfAnother sends requests at once to pipes that lend, over sockets, in both
// protocols and behind middleware. Some clients are slow, some leave in the middle of an answer. Each
// whole answer is compared with what it must be, and of the others what has come.
//
// proves T30
func TestNoClientGetsBytesOfAnother(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	wants := map[string]func(string, int) []string{}
	var paths []string
	compressed := middleware.Compress(1, "application/json")
	for name, row := range socketPipes(startUpstream(t).URL) {
		h := lending(t, endpoint.Spec{Proxy: row.p, Timeout: 5 * time.Second})
		for prefix, h := range map[string]http.Handler{"/": h, "/compressed/": compressed(h), "/timed/": http.TimeoutHandler(h, 5*time.Second, "late")} {
			mux.Handle(prefix+name, h)
			paths = append(paths, prefix+name)
			wants[prefix+name] = row.want
		}
	}
	var whole, others atomic.Int64
	for _, http2 := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(mux)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		if srv.EnableHTTP2 = http2; http2 {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		t.Cleanup(srv.Close)
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() {
				for i := range 20 {
					path := paths[rand.IntN(len(paths))]
					id := fmt.Sprintf("%v-%d-%d", http2, client, i)
					n := rand.IntN(20) * rand.IntN(20) * rand.IntN(20)
					if askSocket(t, srv, path, id, n, wants[path](id, n)) {
						whole.Add(1)
					} else {
						others.Add(1)
					}
				}
			})
		}
		clients.Wait()
	}
	t.Log(whole.Load(), "whole answers,", others.Load(), "others")
	require.NotZero(t, whole.Load())
	require.NotZero(t, others.Load())
}

// askSocket sends a request, perhaps as a client that is slow or leaves, and reports whether it got a
// whole answer.
func askSocket(t *testing.T, srv *httptest.Server, path, id string, n int, want []string) bool {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if rand.IntN(8) == 0 {
		defer time.AfterFunc(time.Duration(rand.IntN(8000))*time.Microsecond, cancel).Stop()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, nil)
	if !assert.NoError(t, err) {
		return false
	}
	req.Header.Set("X-Id", id)
	req.Header.Set("X-N", strconv.Itoa(n))
	res, err := srv.Client().Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var got []byte
	buf := make([]byte, 1<<10+rand.IntN(32<<10))
	slow := rand.IntN(10) == 0
	for err == nil {
		if slow && rand.IntN(10) == 0 {
			<-time.After(time.Millisecond)
		}
		var k int
		k, err = res.Body.Read(buf)
		got = append(got, buf[:k]...)
	}
	if res.StatusCode != http.StatusOK {
		return false
	}
	for _, text := range want {
		if err == io.EOF && string(got) == text || err != io.EOF && len(got) <= len(text) && string(got) == text[:len(got)] {
			return err == io.EOF
		}
	}
	t.Errorf("%s to request %s: an answer of %d bytes, with %v, is none of those that it must be", path, id, len(got), err)
	return false
}
