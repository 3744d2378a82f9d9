package backend_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A userBody is a body of a user, read and closed by functions.
type userBody struct {
	read  func(p []byte) (int, error)
	close func() error
}

func (b userBody) Read(p []byte) (int, error) { return b.read(p) }
func (b userBody) Close() error               { return b.close() }

// ends are the ways in which code of a user does not return.
var ends = map[string]func(){
	"panic":  func() { panic("bug") },
	"Goexit": runtime.Goexit,
}

// secured returns a server over TLS, which speaks HTTP/2 if h2 is set, and a transport for it.
func secured(t testing.TB, h2 bool, h http.HandlerFunc) (url string, transport backend.Transport) {
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = h2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the end of the test cuts off
	srv.StartTLS()
	t.Cleanup(srv.Close)
	transport = newTransport(t)
	trust(transport, srv.Client().Transport.(*http.Transport).TLSClientConfig)
	return srv.URL, transport
}

// trust gives a transport, and its fallback, a configuration for TLS.
func trust(rt http.RoundTripper, config *tls.Config) {
	switch tr := rt.(type) {
	case *h1.Transport:
		tr.TLS = config.Clone()
		trust(tr.Fallback, config)
	case *http.Transport:
		tr.TLSClientConfig = config.Clone()
	}
}

// The transport reads the body, its trailers and informational answers on goroutines of its own.
// Code of a user that does not return there fails the call alone, and the next call is answered.
//
// proves T4, T14
func TestCodeOfAUserOnAGoroutineOfTheTransportFailsItsCallAlone(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(req *proxy.Request, end func()){
		"Read of the body": func(req *proxy.Request, end func()) {
			req.Body = userBody{func([]byte) (int, error) { end(); return 0, nil }, func() error { return nil }}
		},
		"a later Read": func(req *proxy.Request, end func()) {
			first := true
			req.Body = userBody{func(p []byte) (int, error) {
				if !first {
					end()
				}
				first = false
				return copy(p, "x"), nil
			}, func() error { return nil }}
		},
		"Trailer at the end": func(req *proxy.Request, end func()) {
			ended := false
			req.Body = userBody{func([]byte) (int, error) { ended = true; return 0, io.EOF }, func() error { return nil }}
			req.Trailer = func() http.Header {
				if ended {
					end()
				}
				return http.Header{"X-Sum": nil}
			}
		},
		"Trailer": func(req *proxy.Request, end func()) {
			req.Body = userBody{func([]byte) (int, error) { return 0, io.EOF }, func() error { return nil }}
			req.Trailer = func() http.Header { end(); return nil }
		},
		"Inform": func(req *proxy.Request, end func()) { req.Inform = func(int, http.Header) { end() } },
	}
	for _, h2 := range []bool{false, true} {
		version := map[bool]string{false: "HTTP/1", true: "HTTP/2"}[h2]
		url, transport := secured(t, h2, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			_, _ = io.Copy(io.Discard, r.Body)
		})
		p := newBackend(t, transport, backend.Spec{URL: url, Headers: []string{"*"}, Decode: backend.Passthrough})
		for name, set := range kinds {
			for how, end := range ends {
				t.Run(strings.Join([]string{version, name, how}, ", "), func(t *testing.T) {
					t.Parallel()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					req := proxy.NewRequest("POST", "/")
					req.ContentLength = -1
					set(req, end)
					_, err := p(ctx, req)
					assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%v", err)
					assert.NoError(t, ctx.Err())

					res, err := p(ctx, proxy.NewRequest("GET", "/"))
					require.NoError(t, err)
					assert.NoError(t, res.Close())
				})
			}
		}
	}
}

// proves T4, T14
func TestABodyThatIsOpenedAgainIsGuardedWhereTheTransportReadsIt(t *testing.T) {
	t.Parallel()
	fine := func() error { return nil }
	eof := func([]byte) (int, error) { return 0, io.EOF }
	for how, end := range ends {
		for name, getBody := range map[string]func() (io.ReadCloser, error){
			"GetBody": func() (io.ReadCloser, error) { end(); return nil, nil },
			"Read": func() (io.ReadCloser, error) {
				return userBody{func([]byte) (int, error) { end(); return 0, nil }, fine}, nil
			},
			"Close":          func() (io.ReadCloser, error) { return userBody{eof, func() error { end(); return nil }}, nil },
			"without a body": func() (io.ReadCloser, error) { return nil, nil },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				p := newBackend(t, trip(func(r *http.Request) (*http.Response, error) {
					failed := errExited
					done := make(chan struct{})
					go func() { // as a transport that tries again
						defer close(done)
						body, err := r.GetBody()
						if err == nil {
							_, err = io.ReadAll(body)
							err = errors.Join(err, body.Close())
						}
						failed = err
					}()
					<-done
					if failed == nil {
						failed = errors.New("no failure")
					}
					return nil, failed
				}), backend.Spec{Method: "POST"})
				req := proxy.NewRequest("POST", "/")
				req.Body = userBody{eof, fine}
				req.GetBody = getBody
				_, err := p(t.Context(), req)
				assert.NotErrorIs(t, err, errExited)
				assert.NotContains(t, err.Error(), "no failure")
			})
		}
	}
}

var errExited = errors.New("the goroutine of the transport ended")

// A transport of a user answers with a body of a user.
//
// proves T4, T14
func TestTheBodyOfAUsersTransportFailsItsCallAlone(t *testing.T) {
	t.Parallel()
	eof := func([]byte) (int, error) { return 0, io.EOF }
	for how, end := range ends {
		for name, status := range map[string]int{"an answer": 200, "no content": 204, "a refusal": 503} {
			for _, inClose := range []bool{false, true} {
				t.Run(name+", "+how, func(t *testing.T) {
					t.Parallel()
					body := userBody{func([]byte) (int, error) { end(); return 0, nil }, func() error { return nil }}
					if inClose {
						body = userBody{eof, func() error { end(); return nil }}
					}
					p := newBackend(t, trip(func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: status, Header: http.Header{}, Body: body, ContentLength: -1}, nil
					}), backend.Spec{})
					res, err := proxy.Hold(0)(p)(t.Context(), proxy.NewRequest("GET", "/"))
					switch {
					case !inClose:
						assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%v", err)
					case status == 503:
						assert.Equal(t, 503, proxy.StatusOf(err))
					default:
						require.NoError(t, err)
						assert.NoError(t, res.Close())
					}
				})
			}
		}
	}
}

// proves T3, T4, T14
func TestAStreamOfAUsersTransportIsNotReadPastItsContext(t *testing.T) {
	t.Parallel()
	for how, end := range map[string]func(){"blocks": func() { <-time.After(time.Hour) }, "panic": ends["panic"], "Goexit": ends["Goexit"]} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				closed := false
				body := userBody{func([]byte) (int, error) { end(); return 0, io.EOF }, func() error { closed = true; return nil }}
				p := newBackend(t, trip(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, ContentLength: -1}, nil
				}), backend.Spec{Decode: backend.Passthrough})
				var scope call.Scope
				ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
				defer cancel()
				res, err := p(ctx, proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				start := time.Now()
				_, err = io.ReadAll(res.Body)
				if how == "blocks" {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, time.Second, time.Since(start))
					assert.Equal(t, 1, scope.Abandoned())
				} else {
					assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
				}
				assert.NoError(t, res.Close())
				assert.True(t, closed)
				<-time.After(2 * time.Hour)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}

// Package h1 sends a body that is in memory on the goroutine of its call.
func TestATransportIsToldWhichBodiesAreInMemory(t *testing.T) {
	t.Parallel()
	var told []bool
	rt := trip(func(r *http.Request) (*http.Response, error) {
		told = append(told, call.IsInMemory(r.Body))
		return (&answers{body: "{}"}).RoundTrip(r)
	})
	p := newBackend(t, rt, backend.Spec{Method: "POST"})
	for _, body := range []io.ReadCloser{nil, io.NopCloser(strings.NewReader("{}"))} {
		req := proxy.NewRequest("POST", "/")
		req.SetBody("application/json", []byte("{}"))
		if body != nil {
			req.Body, req.GetBody = body, nil
		}
		_, err := p(t.Context(), req)
		require.NoError(t, err)
	}
	assert.Equal(t, []bool{true, false}, told)
}
