package adapter_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/adapter"
)

func TestRunReturnsTheFirstError(t *testing.T) {
	t.Parallel()
	first, second := errors.New("first"), errors.New("second")
	fail := func(after time.Duration, err error) adapter.Runner {
		return adapter.RunnerFunc(func(context.Context) error { pass(after); return err })
	}
	tests := []struct {
		name    string
		runners []adapter.Runner
		want    error
		within  time.Duration
	}{
		{"of a runner", []adapter.Runner{fail(time.Second, first)}, first, time.Second},
		{"not the later one", []adapter.Runner{fail(2*time.Second, second), fail(time.Second, first)}, first, 2 * time.Second},
		{"not a nil before it", []adapter.Runner{fail(0, nil), fail(time.Second, first)}, first, time.Second},
		{"also one about a context", []adapter.Runner{fail(time.Second, context.Canceled)}, context.Canceled, time.Second},
		{"of a drain", []adapter.Runner{fail(time.Second, first), agent{untilDone, func(context.Context) error { return second }}}, first, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				var stop adapter.Stop
				drained := false
				r := start(t, adapter.Server{
					Listener: newMemory("public"), Handler: ok,
					OnDrain: []func(){func() { drained = true }}, OnStop: func(s adapter.Stop) { stop = s },
				}, tt.runners...)
				err := r.wait()
				require.ErrorIs(t, err, tt.want)
				assert.Equal(t, err, stop.Err)
				assert.Contains(t, err.Error(), "adapter: runner ")
				assert.Equal(t, tt.within, time.Since(begun))
				assert.True(t, drained, "stops with a drain")
			})
		})
	}
}

func TestAFailingRunnerLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		r := start(t, adapter.Server{Listener: l, Handler: work(5 * time.Second)},
			adapter.RunnerFunc(func(context.Context) error { pass(time.Second); return io.ErrClosedPipe }))
		ch := inFlight(t, l)
		require.ErrorIs(t, r.wait(), io.ErrClosedPipe)
		assert.Equal(t, reply{200, "done", nil, 5 * time.Second}, <-ch)
	})
}

func TestTheEndOfTheContextIsNotAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		defer cancel()
		runner := adapter.RunnerFunc(func(own context.Context) error {
			assert.Equal(t, "value", own.Value(key{}))
			<-ctx.Done() // the caller's, captured
			return ctx.Err()
		})
		require.NoError(t, adapter.Run(ctx, adapter.Server{Listener: newMemory("public"), Handler: ok}, runner))
		require.NoError(t, adapter.Run(ctx, adapter.Server{Listener: newMemory("public"), Handler: ok}, runner), "ended before")
	})
}

type key struct{}

func TestAServerRunsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- adapter.Server{Listener: l, Handler: ok}.Run(ctx) }()
		status, _ := get(t, l.client(t), "http://public/")
		assert.Equal(t, http.StatusOK, status)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestNothingStartsWhenAServerCannot(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	l := newMemory("public")
	var nobody *adapter.Server
	err = adapter.Run(t.Context(),
		adapter.Server{Listener: l, Handler: ok, OnDrain: []func(){func() { t.Error("drained") }}, OnStop: func(adapter.Stop) { t.Error("stopped") }},
		adapter.RunnerFunc(func(context.Context) error { t.Error("started"); return nil }),
		adapter.Server{Addr: taken.Addr().String(), Handler: ok},
		&adapter.Server{Addr: "127.0.0.1:0", Admin: true},
		nobody,
	)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 2, "all faults are told")
	assert.Contains(t, lines[0], "adapter: server "+taken.Addr().String()+": listen tcp")
	assert.Equal(t, "adapter: server 127.0.0.1:0: the Handler is nil", lines[1])
	_, err = l.DialContext(t.Context(), "", "")
	require.ErrorIs(t, err, net.ErrClosed, "the listener handed over")
}

type failing struct{ *memory }

func (f failing) Accept() (net.Conn, error) { return nil, io.ErrNoProgress }

func TestAServerThatFailsStopsTheGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		public := newMemory("public")
		err := adapter.Run(t.Context(), adapter.Server{Listener: public, Handler: ok},
			adapter.Server{Listener: failing{newMemory("broken")}, Handler: ok, Admin: true}, adapter.RunnerFunc(untilDone))
		require.ErrorIs(t, err, io.ErrNoProgress)
		assert.EqualError(t, err, "adapter: server broken: "+io.ErrNoProgress.Error())
		_, err = public.DialContext(t.Context(), "", "")
		require.Error(t, err)
	})
}

// proves F1
func TestNetHTTPDecidesAboutFraming(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"length and chunked":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"signed length":       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
		"hex length":          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
		"list of lengths":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nabcde",
		"negative length":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
		"empty length":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
		"not chunked":         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
		"disguised chunked":   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"space before colon":  "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
		"bare line feeds":     "GET / HTTP/1.1\nHost: a\n\n",
		"carriage return":     "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
		"folded line":         "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
		"NUL":                 "GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
		"no host":             "GET / HTTP/1.1\r\n\r\n",
		"two hosts":           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"chunk with bare LF":  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
		"not HTTP":            "\x16\x03\x01\x00\xa5\x01\r\n\r\n",
		"as it should be":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
		"pipelined, in order": "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		w.Header()["Date"] = nil
		_, _ = io.WriteString(w, r.URL.Path+" "+string(b))
		if err != nil {
			_, _ = io.WriteString(w, " "+err.Error())
		}
	})
	for name, sent := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, twin := newMemory("ours"), newMemory("twin")
				start(t, adapter.Server{Listener: ours, Handler: echo})
				bare := &http.Server{Handler: echo, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
				bare.ErrorLog = discard
				go bare.Serve(twin) //nolint:errcheck // http.ErrServerClosed
				defer bare.Close()

				said := func(l *memory) string {
					conn := l.dial(t)
					go func() { _, _ = io.WriteString(conn, sent) }()
					b, _ := io.ReadAll(conn) // until it is closed, at once or when idle
					return string(b)
				}
				want := said(twin)
				assert.Equal(t, want, said(ours))
				assert.True(t, strings.HasPrefix(want, "HTTP/1.1 "), want)
			})
		})
	}
}

// This test is not parallel: it counts what the process has.
//
// proves L26
func TestNothingIsLeftAfterRun(t *testing.T) {
	descriptors := func() int {
		if runtime.GOOS != "linux" {
			return 0
		}
		all, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(all)
	}
	var before int
	current := goleak.IgnoreCurrent()
	for round := range 6 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		r := start(t, adapter.Server{Listener: l, Handler: ok, H2C: true}, adapter.RunnerFunc(untilDone))
		tr := &http.Transport{MaxIdleConnsPerHost: 64}
		c := &http.Client{Transport: tr}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 20 {
					res, err := c.Get("http://" + l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
		}
		wg.Wait()
		r.stop()
		require.NoError(t, r.wait())
		tr.CloseIdleConnections()
		goleak.VerifyNone(t, current)
		if round == 0 {
			before = descriptors() // the first round opens what the runtime keeps
			continue
		}
		assert.Equal(t, before, descriptors(), "round %d", round)
	}
}

func TestAListenerIsClosedWhenItsServerCannotBeConfigured(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server adapter.Server
	}{
		{"no handler", adapter.Server{}},
		{"no certificate", adapter.Server{Handler: ok, TLS: &tls.Config{}}},
		{"a panic", adapter.Server{Handler: ok, HTTP: func(*http.Server) { panic("bug") }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := listen(t), newMemory("second")
			tt.server.Listener = first
			require.Error(t, adapter.Run(t.Context(), tt.server, adapter.Server{Listener: second}))
			conn, err := net.Dial("tcp", first.Addr().String())
			if !assert.Error(t, err) {
				_ = conn.Close()
			}
			select {
			case <-second.closed:
			default:
				assert.Fail(t, "that of a server among the runners is open")
			}
		})
	}
}
