package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sent sends a load to a server with a handler.
func sent(t *testing.T, l load, h http.HandlerFunc) (tally, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	l.Addr, l.Target = srv.Listener.Addr().String(), "/"
	return l.run(t.Context())
}

func TestGeneratorCountsAnswers(t *testing.T) {
	t.Parallel()
	tally, err := sent(t, load{Connections: 2, Count: 10, Length: 2, Upload: 100_000}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || len(body) != 100_000 || r.Header.Get("User-Agent") != "load" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "ok")
	})
	require.NoError(t, err)
	assert.Equal(t, 20, tally.Requests)
	assert.Positive(t, tally.P50)
	assert.GreaterOrEqual(t, tally.P99, tally.P50)
}

func TestGeneratorRefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		handler    http.HandlerFunc
	}{
		{"another status", "503", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ok", http.StatusServiceUnavailable) }},
		{"another length", "5 bytes, want 2", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }},
		{"no length", "no Content-Length", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "o")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "k")
		}},
		{"an end", "EOF", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := sent(t, load{Connections: 2, Time: time.Minute, Length: 2}, test.handler)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// A server that stops for a while must show in the latencies of all requests that were due meanwhile.
func TestScheduleCountsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := load{Addr: "a", Target: "/", Time: time.Second, Rate: 100, Length: 2}
		here, there := net.Pipe()
		defer there.Close()
		go answerWithPause(there, 500*time.Millisecond)
		c := newClient(here, l)
		defer here.Close()
		got, err := l.sendOn(t.Context(), []*client{c})
		require.NoError(t, err)
		assert.Equal(t, 100, got.Requests)
		assert.Equal(t, 500*time.Millisecond, got.P99.Round(time.Millisecond))
		assert.Equal(t, 10*time.Millisecond, got.P50.Round(time.Millisecond), "half of the requests were due in the pause")
		assert.Equal(t, 990*time.Millisecond, got.Elapsed.Round(10*time.Millisecond))
	})
}

// answerWithPause answers every request, the first of them after a pause.
func answerWithPause(conn net.Conn, pause time.Duration) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; pause = 0 {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		if pause > 0 {
			<-time.After(pause)
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

func TestGeneratorStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		l := load{Addr: "a", Target: "/", Time: time.Hour, Rate: 0.001}
		go func() { _, _ = io.Copy(io.Discard, there) }() // and never answers
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := l.sendOn(ctx, []*client{newClient(here, l)})
		assert.Error(t, err)
		assert.Equal(t, time.Second, time.Since(begun))
	})
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i))
	}
	assert.Equal(t, time.Duration(50), at(hundred, 0.5))
	assert.Equal(t, time.Duration(99), at(hundred, 0.99))
	assert.Equal(t, time.Duration(99), at(hundred, 1))
	assert.Zero(t, at(nil, 0.5))
}
