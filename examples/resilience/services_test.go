package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve runs the services until the test ends.
func serve(t *testing.T) map[string]*service {
	t.Helper()
	services, err := newServices()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	for _, s := range services {
		go func() { ended <- s.Run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range services {
			assert.NoError(t, <-ended)
		}
	})
	return services
}

// A user is a client with connections of its own.
func user(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func ask(ctx context.Context, client *http.Client, s *service, method, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, strings.NewReader(strings.Repeat("x", 1000)))
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestAServiceWithAFault(t *testing.T) {
	t.Parallel()
	services := serve(t)
	for name, call := range map[string][3]string{
		"a":        {"GET", "/items/7", `{"id":"7","host":"a"}`},
		"articles": {"GET", "/articles/7", `{"id":"7","title":"On resilience","edition":1}`},
		"orders":   {"POST", "/orders", `{"id":"o-1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client := services[name], user(t)
			get := func(ctx context.Context) (int, string, error) { return ask(ctx, client, s, call[0], call[1]) }
			set := func(f fault) { require.NoError(t, s.Set(t.Context(), f)) }

			status, body, err := get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, call[2], body)

			set(fault{Errors: 1})
			status, _, err = get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, http.StatusServiceUnavailable, status)

			set(fault{Latency: 50 * time.Millisecond})
			start := time.Now()
			status, _, err = get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
			assert.GreaterOrEqual(t, time.Since(start), 50*time.Millisecond)

			set(fault{Cut: true})
			_, body, err = get(t.Context())
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.NotEmpty(t, body)

			set(fault{Crash: true})
			_, _, err = get(t.Context())
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			set(fault{Crash: true, Errors: 1})
			_, _, err = get(t.Context())
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)

			set(fault{Hang: true}) // it listens again, on the same port
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, _, err = get(soon)
			assert.ErrorIs(t, err, context.DeadlineExceeded)

			set(fault{})
			status, _, err = get(t.Context())
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
		})
	}
}

func TestACrashEndsRequestsThatHang(t *testing.T) {
	t.Parallel()
	s, client := serve(t)["b"], user(t)
	require.NoError(t, s.Set(t.Context(), fault{Hang: true}))
	sent, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
		_, _, err := ask(ctx, client, s, "POST", "/items/1")
		ended <- err
	}()
	<-sent
	require.NoError(t, s.Set(t.Context(), fault{Crash: true}))
	assert.Error(t, <-ended)
}

func TestARequestWaits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fault
		takes time.Duration
		gone  bool // the client goes after 2s
	}{
		{"for the latency", fault{Latency: time.Second}, time.Second, false},
		{"until the service is healed", fault{Hang: true}, 3 * time.Second, false},
		{"for both", fault{Hang: true, Latency: time.Second}, 4 * time.Second, false},
		{"no longer than its client", fault{Hang: true}, 2 * time.Second, true},
		{"no longer than its client for the latency", fault{Latency: time.Hour}, 2 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &service{handler: handlerOf("a")}
				healed := make(chan struct{})
				s.state.Store(&state{tt.fault, healed})
				time.AfterFunc(3*time.Second, func() { close(healed) })
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if tt.gone {
					time.AfterFunc(2*time.Second, leave)
				}
				start, w := time.Now(), httptest.NewRecorder()
				var aborted any
				func() {
					defer func() { aborted = recover() }()
					s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/items/1", nil))
				}()
				assert.Equal(t, tt.takes, time.Since(start))
				assert.Equal(t, tt.gone, aborted == http.ErrAbortHandler)
				<-healed
			})
		})
	}
}

func TestSetEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &service{changes: make(chan change)} // it does not run
	assert.ErrorIs(t, s.Set(ctx, fault{Hang: true}), context.Canceled)
}
