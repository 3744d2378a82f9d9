package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/jwt"
	"github.com/sluice-go/sluice/endpoint/jwt/jwttest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A keyServer is the host of an issuer, in memory, which a test can break.
type keyServer struct {
	issuer  *jwttest.Issuer
	fetches atomic.Int32
	network *proxytest.Network

	mu     sync.Mutex
	answer http.HandlerFunc // in place of the keys; nil answers with them
}

func newKeyServer(t *testing.T) *keyServer {
	s := &keyServer{issuer: newIssuer(t, "ES256"), network: proxytest.NewNetwork(t)}
	s.network.Serve("id.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		if answer == nil {
			answer = s.issuer.ServeHTTP
		}
		answer(w, r)
	}))
	return s
}

// breaks makes the host answer something else. nil mends it.
func (s *keyServer) breaks(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *keyServer) keys() *jwt.Keys {
	return &jwt.Keys{URL: "http://id.test/jwks.json", Transport: s.network.Transport()}
}

// run runs the keys until the test is over, and returns when their first fetch has ended.
func run(t *testing.T, keys *jwt.Keys) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- keys.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
	})
	synctest.Wait()
}

// slowly waits for d, or until nobody waits for the answer.
func slowly(d time.Duration) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// brokenAnswers are what is no key set.
func brokenAnswers(t *testing.T) map[string]http.HandlerFunc {
	weak := `{"keys":[{"kty":"RSA","kid":"a","e":"AQAB","n":"` + strings.Repeat("w", 171) + `"}]}`
	return map[string]http.HandlerFunc{
		"hangs":      slowly(time.Hour),
		"status":     text(500, `{"keys":[]}`),
		"created":    text(201, string(newIssuer(t, "ES256").KeySet())),
		"no content": text(204, ""),
		"nothing":    text(200, ""),
		"no JSON":    text(200, "<html>"),
		"no object":  text(200, "[]"),
		"no set":     text(200, "{}"),
		"no array":   text(200, `{"keys":{}}`),
		"empty":      text(200, `{"keys":[]}`),
		"other keys": text(200, `{"keys":[{"kty":"XYZ"},7,null,{"kty":"EC"},{}]}`),
		"weak keys":  text(200, weak),
		"secrets":    text(200, `{"keys":[{"kty":"oct","k":"`+strings.Repeat("A", 64)+`","kid":"s"}]}`),
		"other use":  text(200, `{"keys":[`+strings.Replace(jwkOf(t, newIssuer(t, "ES256")), `"sig"`, `"enc"`, 1)+`]}`),
		"huge":       func(w http.ResponseWriter, _ *http.Request) { endless(w) },
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			slowly(time.Hour)(w, r)
		},
		"redirecting": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"resets":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
}

// endless writes a set until the connection is closed.
func endless(w http.ResponseWriter) {
	_, err := io.WriteString(w, `{"keys":[`)
	for err == nil {
		_, err = io.WriteString(w, strings.Repeat(`{"kty":"XYZ"},`, 1000))
	}
}

// proves T9, M27, F6
func TestAKeySetThatIsBrokenAtStart(t *testing.T) {
	t.Parallel()
	for name, answer := range brokenAnswers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newKeyServer(t)
				s.breaks(answer)
				keys := s.keys()
				tokens := newTokens(t, spec(keys, "ES256"))
				token := sign(t, s.issuer, good())

				assert.ErrorIs(t, keys.Ready(t.Context()), auth.ErrUnavailable, "before it runs")
				status, _ := ask(t.Context(), tokens, token)
				assert.Equal(t, 503, status, "before it runs")

				run(t, keys)
				start := time.Now()
				status, _ = ask(t.Context(), tokens, token)
				assert.Equal(t, 503, status)
				assert.LessOrEqual(t, time.Since(start), 5*time.Second, "one fetch")
				assert.ErrorIs(t, keys.Ready(t.Context()), auth.ErrUnavailable)
				status, _ = ask(t.Context(), tokens, "bad")
				assert.Equal(t, 401, status)

				s.breaks(nil)
				<-time.After(time.Minute)
				assert.NoError(t, keys.Ready(t.Context()))
				status, _ = ask(t.Context(), tokens, token)
				assert.Equal(t, 200, status)
			})
		})
	}
}

// proves T9, M27, F6
func TestAKeySetThatBreaksLater(t *testing.T) {
	t.Parallel()
	for name, answer := range brokenAnswers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newKeyServer(t)
				keys := s.keys()
				var failures atomic.Int32
				keys.OnError = func(error) { failures.Add(1) }
				tokens := newTokens(t, spec(keys, "ES256"))
				run(t, keys)
				token := sign(t, s.issuer, good(claims{"exp": time.Now().Add(9 * time.Hour).Unix()}))
				status, _ := ask(t.Context(), tokens, token)
				require.Equal(t, 200, status)

				s.breaks(answer)
				fresh := sign(t, s.issuer, good(claims{"exp": time.Now().Add(9 * time.Hour).Unix()}))
				<-time.After(59 * time.Minute)
				for _, token := range []string{token, fresh} {
					status, _ = ask(t.Context(), tokens, token)
					assert.Equal(t, 200, status, "the last good keys")
				}
				assert.NoError(t, keys.Ready(t.Context()))
				assert.NotZero(t, failures.Load())
				start := time.Now()
				status, _ = ask(t.Context(), tokens, sign(t, newIssuer(t, "ES256"), good()))
				assert.Equal(t, 401, status, "an unknown kid")
				assert.LessOrEqual(t, time.Since(start), 5*time.Second)

				<-time.After(2 * time.Minute)
				assert.ErrorIs(t, keys.Ready(t.Context()), auth.ErrUnavailable)
				for _, token := range []string{token, fresh} {
					status, _ = ask(t.Context(), tokens, token)
					assert.Equal(t, 503, status, "the keys are too old")
				}
				s.breaks(nil)
				<-time.After(time.Minute)
				status, _ = ask(t.Context(), tokens, token)
				assert.Equal(t, 200, status)
			})
		})
	}
}

// proves F6
func TestAHugeKeySetIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		var read atomic.Int64
		s.breaks(func(w http.ResponseWriter, _ *http.Request) {
			chunk := strings.Repeat(" ", 1024)
			for {
				n, err := io.WriteString(w, chunk)
				if read.Add(int64(n)); err != nil {
					return
				}
			}
		})
		keys := s.keys()
		run(t, keys)
		assert.ErrorContains(t, keys.Ready(t.Context()), "more than 262144 bytes")
		assert.Less(t, read.Load(), int64(2<<20), "the connection is closed, but for what was under way")
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		s.network.Serve("evil.test", s.issuer)
		s.breaks(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusFound)
		})
		keys := s.keys()
		run(t, keys)
		assert.ErrorContains(t, keys.Ready(t.Context()), "status 302")
		assert.EqualValues(t, 1, s.fetches.Load())
	})
}

// proves M27, T9
func TestAnUnknownKidFetchesTheSetOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		tokens := newTokens(t, spec(keys, "ES256"))
		run(t, keys)
		assert.EqualValues(t, 1, s.fetches.Load())

		s.breaks(func(w http.ResponseWriter, r *http.Request) {
			slowly(time.Second)(w, r)
			s.issuer.ServeHTTP(w, r)
		})
		require.NoError(t, s.issuer.Rotate())
		token := sign(t, s.issuer, good())
		start := time.Now()
		status, _ := ask(t.Context(), tokens, token)
		assert.Equal(t, 200, status, "the fetch at start does not count")
		assert.Equal(t, time.Second, time.Since(start))
		assert.EqualValues(t, 2, s.fetches.Load())

		require.NoError(t, s.issuer.Rotate())
		token = sign(t, s.issuer, good())
		start = time.Now()
		status, _ = ask(t.Context(), tokens, token)
		assert.Equal(t, 401, status, "one fetch in 10 s")
		assert.Zero(t, time.Since(start), "it is not queued")
		assert.EqualValues(t, 2, s.fetches.Load())

		<-time.After(9 * time.Second) // 10 s after the first fetch that a token has asked for
		status, _ = ask(t.Context(), tokens, token)
		assert.Equal(t, 200, status)
		assert.EqualValues(t, 3, s.fetches.Load())
	})
}

// proves M27
func TestAThousandUnknownKidsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		tokens := newTokens(t, spec(keys, "ES256"))
		run(t, keys)
		s.breaks(func(w http.ResponseWriter, r *http.Request) {
			slowly(2*time.Second)(w, r)
			s.issuer.ServeHTTP(w, r)
		})
		start := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				token := encode(fmt.Sprintf(`{"alg":"ES256","kid":"k%d"}`, i)) + "." + encode("{}") + "." + strings.Repeat("A", 86)
				status, _ := ask(t.Context(), tokens, token)
				assert.Equal(t, 401, status)
				assert.LessOrEqual(t, time.Since(start), 2*time.Second)
			})
		}
		all.Wait()
		assert.EqualValues(t, 2, s.fetches.Load(), "with the one at start")
	})
}

// proves M27
func TestAWaitForKeysEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		s.breaks(slowly(time.Hour))
		keys := s.keys()
		tokens := newTokens(t, spec(keys, "ES256"))
		run(t, keys)
		token := sign(t, s.issuer, good())

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		status, _ := ask(ctx, tokens, token)
		assert.Equal(t, 503, status)
		assert.Equal(t, 900*time.Millisecond, time.Since(start), "there is time left to answer")

		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		status, _ = ask(gone, tokens, token)
		assert.Equal(t, proxy.StatusClientGone, status)
		assert.EqualValues(t, 1, s.fetches.Load(), "others may still wait for it")
	})
}

// proves M27
func TestAnEndpointWithoutKeysAnswersInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		s.breaks(slowly(time.Hour))
		keys := s.keys()
		run(t, keys)
		revoked := spec(keys, "ES256")
		revoked.Revoked = func(context.Context, *proxy.Caller) error { return nil }
		for _, sp := range []jwt.Spec{spec(keys, "ES256"), revoked} {
			h, err := endpoint.New(endpoint.Spec{Guards: []proxy.Decorator{auth.Require(newTokens(t, sp))}, Proxy: passes, Timeout: time.Second})
			require.NoError(t, err)
			r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
			r.Header.Set("Authorization", "Bearer "+sign(t, s.issuer, good()))
			w, start := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, r)
			assert.Equal(t, 503, w.Code)
			assert.Less(t, time.Since(start), time.Second)
			assert.NotContains(t, w.Body.String(), "id.test", "nothing internal reaches a client")
		}
	})
}

func TestAKeyThatLeavesTheSetTakesItsTokensAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		tokens := newTokens(t, spec(keys, "ES256"))
		run(t, keys)
		old := sign(t, s.issuer, good())
		status, caller := ask(t.Context(), tokens, old)
		require.Equal(t, 200, status)

		require.NoError(t, s.issuer.Rotate())
		<-time.After(10*time.Minute + time.Second)
		assert.EqualValues(t, 2, s.fetches.Load())
		_, again := ask(t.Context(), tokens, old)
		assert.Same(t, caller, again, "its key is still in the set, so it is still known")

		s.issuer.Retire()
		<-time.After(10*time.Minute + time.Second)
		status, _ = ask(t.Context(), tokens, old)
		assert.Equal(t, 401, status)
	})
}

func TestAKeyOfTheSameKidIsAnotherKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		tokens := newTokens(t, spec(keys, "ES256"))
		run(t, keys)
		token := sign(t, s.issuer, good())
		status, _ := ask(t.Context(), tokens, token)
		require.Equal(t, 200, status)

		other := newIssuer(t, "ES256")
		set := strings.Replace(string(other.KeySet()), other.KeyID(), s.issuer.KeyID(), 1)
		s.breaks(text(200, set))
		<-time.After(10*time.Minute + time.Second)
		status, _ = ask(t.Context(), tokens, token)
		assert.Equal(t, 401, status, "the key that has signed it is gone")
	})
}

func TestKeysOfUnknownTypesAreLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		s.breaks(text(200, `{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","kid":"pq"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"broken"},`+
			`{"kty":"oct","k":"AA"},"x",`+strings.Replace(jwkOf(t, s.issuer), `{`, `{"x5c":["broken"],"x5u":"::","d2":1,`, 1)+`],"more":1}`))
		keys := s.keys()
		run(t, keys)
		require.NoError(t, keys.Ready(t.Context()))
		status, _ := ask(t.Context(), newTokens(t, spec(keys, "ES256")), sign(t, s.issuer, good()))
		assert.Equal(t, 200, status)
	})
}

// proves T9
func TestKeysForSomethingElseVerifyNothing(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, "ES256")
	jwk := jwkOf(t, issuer)
	token := sign(t, issuer, good())
	other := jwkOf(t, newIssuer(t, "ES256"))
	with := func(member string) string { return strings.Replace(jwk, "{", "{"+member+",", 1) }
	for name, set := range map[string]string{
		"use enc":            strings.Replace(jwk, `"sig"`, `"enc"`, 1),
		"use of no string":   strings.Replace(jwk, `"sig"`, `["sig"]`, 1),
		"key_ops sign":       with(`"key_ops":["sign"]`),
		"key_ops of no list": with(`"key_ops":"verify"`),
		"another alg":        strings.Replace(jwk, `"ES256"`, `"ES384"`, 1),
		"alg of encryption":  strings.Replace(jwk, `"ES256"`, `"ECDH-ES"`, 1),
		"a repeated name":    with(`"use":"sig"`),
		"its private part":   with(`"d":"AAAA"`),
		"two of the kid":     jwk + "," + strings.Replace(other, kidOf(t, other), issuer.KeyID(), 1),
	} {
		keys := jwt.ParseKeys([]byte(`{"keys":[` + set + `,` + other + `]}`))
		require.NoError(t, keys.Fault(), name)
		status, _ := ask(t.Context(), newTokens(t, spec(keys, "ES256")), token)
		assert.Equal(t, 401, status, name)
	}
	keys := jwt.ParseKeys([]byte(`{"keys":[` + with(`"key_ops":["sign","verify"]`) + `,` + jwk + `]}`))
	status, _ := ask(t.Context(), newTokens(t, spec(keys, "ES256")), token)
	assert.Equal(t, 200, status, "the same key twice")
}

func kidOf(t *testing.T, jwk string) string {
	_, rest, found := strings.Cut(jwk, `"kid":"`)
	require.True(t, found)
	kid, _, _ := strings.Cut(rest, `"`)
	return kid
}

// proves M26
func TestTheClockOfTokensMovesNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		var jump atomic.Int64
		sp := spec(keys, "ES256")
		sp.Now = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		tokens := newTokens(t, sp)
		run(t, keys)
		token := sign(t, s.issuer, good())
		for _, tt := range []struct {
			jump   time.Duration
			status int
		}{{0, 200}, {59 * time.Minute, 200}, {61 * time.Minute, 401}, {1000 * time.Hour, 401}, {-1000 * time.Hour, 200}, {0, 200}} {
			jump.Store(int64(tt.jump))
			status, _ := ask(t.Context(), tokens, token)
			assert.Equal(t, tt.status, status, "%v", tt.jump)
			assert.NoError(t, keys.Ready(t.Context()))
		}
		assert.EqualValues(t, 1, s.fetches.Load())
		jump.Store(int64(1000 * time.Hour))
		<-time.After(9 * time.Minute)
		assert.EqualValues(t, 1, s.fetches.Load())
		<-time.After(2 * time.Minute)
		assert.EqualValues(t, 2, s.fetches.Load())
	})
}

// A tripper is a transport of a user.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// proves M27
func TestATransportThatMisbehaves(t *testing.T) {
	t.Parallel()
	for name, trip := range map[string]func(release chan struct{}) (*http.Response, error){
		"panics":  func(chan struct{}) (*http.Response, error) { panic("bug") },
		"exits":   func(chan struct{}) (*http.Response, error) { runtime.Goexit(); return nil, nil },
		"nothing": func(chan struct{}) (*http.Response, error) { return nil, nil },
		"fails":   func(chan struct{}) (*http.Response, error) { return nil, errors.New("no route") },
		"blocks":  func(release chan struct{}) (*http.Response, error) { <-release; return nil, errors.New("late") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				issuer := newIssuer(t, "ES256")
				release := make(chan struct{})
				var mended atomic.Bool
				var running, most atomic.Int32
				keys := &jwt.Keys{URL: "http://id.test/", Transport: tripper(func(*http.Request) (*http.Response, error) {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					if mended.Load() {
						return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(issuer.KeySet())))}, nil
					}
					return trip(release)
				}), OnError: func(error) { panic("bug") }}
				run(t, keys)
				tokens := newTokens(t, spec(keys, "ES256"))
				token := sign(t, issuer, good())
				status, _ := ask(t.Context(), tokens, token)
				assert.Equal(t, 503, status)
				<-time.After(10*time.Minute + time.Second)
				assert.LessOrEqual(t, most.Load(), int32(8), "abandoned fetches are bounded")
				assert.Error(t, keys.Ready(t.Context()))
				mended.Store(true)
				close(release)
				<-time.After(time.Minute)
				status, _ = ask(t.Context(), tokens, token)
				assert.Equal(t, 200, status)
			})
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		keys := s.keys()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- keys.Run(ctx) }()
		synctest.Wait()
		assert.ErrorContains(t, keys.Run(t.Context()), "running already")
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
		assert.NoError(t, keys.Ready(t.Context()), "the keys are good afterwards")
		status, _ := ask(t.Context(), newTokens(t, spec(keys, "ES256")), sign(t, newIssuer(t, "ES256"), good()))
		assert.Equal(t, 401, status, "nobody fetches for an unknown kid")
		run(t, keys) // again

		static := jwt.ParseKeys(s.issuer.KeySet())
		done, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, static.Run(done), context.Canceled)
		assert.Error(t, (&jwt.Keys{}).Run(t.Context()))
	})
}

func TestAFetchEndsWithRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(t)
		s.breaks(slowly(time.Hour))
		keys := s.keys()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- keys.Run(ctx) }()
		synctest.Wait()
		asked := make(chan int)
		go func() {
			status, _ := ask(t.Context(), newTokens(t, spec(keys, "ES256")), sign(t, s.issuer, good()))
			asked <- status
		}()
		synctest.Wait()
		start := time.Now()
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
		assert.Equal(t, 503, <-asked)
		assert.Zero(t, time.Since(start))
	})
}

func TestNobodyWaitsForAFetchThatRunDoesNotMake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 20 { // Run may hear of its end or of the token first
			s := newKeyServer(t)
			s.breaks(text(500, ""))
			keys := s.keys()
			release := make(chan struct{})
			keys.OnError = func(error) { <-release }
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- keys.Run(ctx) }()
			synctest.Wait()
			asked := make(chan int)
			tokens := newTokens(t, spec(keys, "ES256"))
			token := sign(t, s.issuer, good())
			go func() {
				status, _ := ask(t.Context(), tokens, token)
				asked <- status
			}()
			synctest.Wait()
			cancel()
			close(release)
			assert.ErrorIs(t, <-ended, context.Canceled)
			assert.Equal(t, 503, <-asked)
		}
	})
}
