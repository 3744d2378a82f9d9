package idempotency_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestARepeatGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
	first := outcome(p(t.Context(), post(`"k"`, "{}")))
	assert.Equal(t, `201 { "id":1 } map[Location:[/orders/1]]`, first)
	for range 2 {
		assert.Equal(t, `201 { "id":1 } map[Idempotent-Replayed:[true] Location:[/orders/1]]`, outcome(p(t.Context(), post(`"k"`, "{}"))))
	}
	assert.Equal(t, `201 { "id":2 } map[Location:[/orders/2]]`, outcome(p(t.Context(), post(`"l"`, "{}"))))
	assert.EqualValues(t, 2, u.calls.Load())
}

func TestSafeMethodsPass(t *testing.T) {
	t.Parallel()
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		for range 2 {
			req := post(`"k"`, "")
			req.Method = method
			_, err := p(t.Context(), req)
			assert.NoError(t, err)
		}
	}
	assert.EqualValues(t, 8, u.calls.Load())
}

// sent is an answer over HTTP.
type sent struct {
	status int
	header http.Header
	body   string
}

// send has a handler answer a POST.
func send(h http.Handler, key, body string) sent {
	r := httptest.NewRequest("POST", "/orders?a=1", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return sent{w.Code, w.Header(), w.Body.String()}
}

func TestClientsAreToldWhatIsWrongWithAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := &upstream{do: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-release
			return &proxy.Response{Header: http.Header{}}, nil
		}}
		h, err := endpoint.New(endpoint.Spec{Proxy: u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))})
		require.NoError(t, err)
		done := make(chan sent)
		go func() { done <- send(h, `"k"`, `{}`) }()
		synctest.Wait()

		for _, tt := range []struct {
			name, key, body string
			status          int
			detail          string
		}{
			{"none", "", "{}", 400, "The request needs an Idempotency-Key."},
			{"a token", "k", "{}", 400, "must be one string in double quotes"},
			{"running", `"k"`, "{}", 409, "still running"},
			{"another payload", `"k"`, `{"a":1}`, 422, "was used for another request"},
		} {
			got := send(h, tt.key, tt.body)
			assert.Equal(t, tt.status, got.status, tt.name)
			assert.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
			assert.Contains(t, got.body, `"detail":"`)
			assert.Contains(t, got.body, tt.detail, tt.name)
			assert.Equal(t, tt.status == 409, got.header.Get("Retry-After") == "1")
		}
		close(release)
		assert.Equal(t, 200, (<-done).status)
		assert.Equal(t, "true", send(h, `"k"`, `{}`).header.Get("Idempotent-Replayed"))
		assert.EqualValues(t, 1, u.calls.Load())
	})
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 255)
	for value, ok := range map[string]bool{
		`"a"`: true, `  "a" `: true, `"` + long + `"`: true, `"a\"b"`: true, `"` + strings.Repeat(`\"`, 255) + `"`: true, `" "`: true,
		``: false, ` `: false, `""`: false, `a`: false, `*a`: false, `1`: false, `1.5`: false, `?1`: false, `:YWJj:`: false, `@1`: false, `%"a"`: false,
		`"a";x=1`: false, `"a";x`: false, `"a", "b"`: false, `("a")`: false, `"a`: false, `a"`: false, `"a"b`: false, "\"\xc3\xa9\"": false,
		"\"\x00\"": false, "\"\t\"": false, `"\a"`: false, `"` + long + `a"`: false, `'a'`: false, "\"a\x7f\"": false, strings.Repeat(" ", 2000) + `"a"`: false,
	} {
		u := &upstream{}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
		req := post("", "{}")
		req.Header["Idempotency-Key"] = []string{value}
		_, err := p(t.Context(), req)
		if ok {
			assert.NoError(t, err, "%q", value)
			continue
		}
		assert.ErrorIs(t, err, idempotency.ErrKey, "%q", value)
		assert.Equal(t, 400, proxy.StatusOf(err))
		assert.Zero(t, u.calls.Load())
	}
	p := (&upstream{}).proxy().With(idempotency.Require(idempotency.NewMemory(0)))
	for _, lines := range [][]string{{`"a"`, `"a"`}, {`"a"`, ``}, {``, `"a"`}, {}} {
		req := post("", "{}")
		req.Header["Idempotency-Key"] = lines
		_, err := p(t.Context(), req)
		assert.ErrorIs(t, err, idempotency.ErrKey, "%q", lines)
	}
}

// proves T8
func TestAKeyBelongsToOneRequestOfOneCallerOfOneRoute(t *testing.T) {
	t.Parallel()
	caller := func(scheme, issuer, id string) *proxy.Caller {
		return &proxy.Caller{Scheme: scheme, Issuer: issuer, ID: id}
	}
	ada := func(req *proxy.Request) { req.Caller = caller("jwt", "i", "ada") }
	for _, tt := range []struct {
		name          string
		first, second func(req *proxy.Request)
		want          string // same, other or reused
	}{
		{"the same", nil, nil, "same"},
		{"the order of the query", func(r *proxy.Request) { r.RawQuery = "a=1&b=2" }, func(r *proxy.Request) { r.RawQuery = "b=2&a=1" }, "same"},
		{"a header that does not count", nil, func(r *proxy.Request) { r.Header.Set("User-Agent", "x") }, "same"},
		{"the case of the host", nil, func(r *proxy.Request) { r.Host = "Shop.example" }, "same"},
		{"the port of the host", nil, func(r *proxy.Request) { r.Host = "shop.example:8443" }, "same"},
		{"a caller whose token was renewed", ada, func(r *proxy.Request) { ada(r); r.Header.Set("Authorization", "Bearer new") }, "same"},

		{"another host", nil, func(r *proxy.Request) { r.Host = "other.example" }, "other"},
		{"another method", nil, func(r *proxy.Request) { r.Method = "PATCH" }, "other"},
		{"another route", nil, func(r *proxy.Request) { r.Pattern = "/other" }, "other"},
		{"a caller", nil, ada, "other"},
		{"another caller", ada, func(r *proxy.Request) { r.Caller = caller("jwt", "i", "bob") }, "other"},
		{"another issuer", ada, func(r *proxy.Request) { r.Caller = caller("jwt", "j", "ada") }, "other"},
		{"another credential", ada, func(r *proxy.Request) { r.Caller = caller("api-key", "i", "ada") }, "other"},
		{"parts that are cut elsewhere", func(r *proxy.Request) { r.Host, r.Pattern = "a", "bPOSTc" }, func(r *proxy.Request) { r.Host, r.Pattern = "abPOST", "c" }, "other"},
		{"a key that continues a caller", func(r *proxy.Request) { r.Caller = caller("", "", "a"); r.Header.Set("Idempotency-Key", `"bc"`) },
			func(r *proxy.Request) { r.Caller = caller("", "", "ab"); r.Header.Set("Idempotency-Key", `"c"`) }, "other"},

		{"another path", nil, func(r *proxy.Request) { r.Path = "/orders/2" }, "reused"},
		{"another query", nil, func(r *proxy.Request) { r.Query.Set("a", "1") }, "reused"},
		{"another body", nil, func(r *proxy.Request) { r.SetBody("application/json", []byte("{} ")) }, "reused"},
		{"no body", nil, func(r *proxy.Request) { r.Body, r.GetBody = nil, nil }, "reused"},
		{"another type", nil, func(r *proxy.Request) { r.Header.Set("Content-Type", "text/plain") }, "reused"},
		{"another coding", nil, func(r *proxy.Request) { r.Header.Set("Content-Encoding", "gzip") }, "reused"},
		{"the credentials of nobody in particular", nil, func(r *proxy.Request) { r.Header.Set("Authorization", "Bearer other") }, "reused"},
		{"the certificate of nobody in particular", nil, func(r *proxy.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("other")}}}
		}, "reused"},
		{"values that are cut elsewhere", func(r *proxy.Request) { r.Query["a"] = []string{"b", "c"} }, func(r *proxy.Request) { r.Query["a"] = []string{"bc"} }, "reused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := &upstream{}
			p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
			call := func(change func(*proxy.Request)) (*proxy.Response, error) {
				req := post(`"k"`, "{}")
				if change != nil {
					change(req)
				}
				return p(t.Context(), req)
			}
			_, err := call(tt.first)
			require.NoError(t, err)
			res, err := call(tt.second)
			switch tt.want {
			case "same":
				require.NoError(t, err)
				assert.Equal(t, "true", res.Header.Get("Idempotent-Replayed"))
			case "other":
				require.NoError(t, err)
				assert.Empty(t, res.Header.Get("Idempotent-Replayed"))
				assert.EqualValues(t, 2, u.calls.Load())
			default:
				assert.ErrorIs(t, err, idempotency.ErrReused)
				assert.Equal(t, 422, proxy.StatusOf(err))
				assert.EqualValues(t, 1, u.calls.Load())
			}
		})
	}
}

// proves T8
func TestCookiesCountWhereSomethingInsideTakesThem(t *testing.T) {
	t.Parallel()
	for _, takes := range [][]string{{}, {"Cookie"}} {
		leaf := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil },
			pipe.Step{Kind: "backend", Effects: pipe.Terminal, Takes: takes})
		p := leaf.With(idempotency.Require(idempotency.NewMemory(0)))
		_, err := p(t.Context(), post(`"k"`, "{}"))
		require.NoError(t, err)
		req := post(`"k"`, "{}")
		req.Header.Set("Cookie", "session=other")
		_, err = p(t.Context(), req)
		assert.Equal(t, len(takes) > 0, errors.Is(err, idempotency.ErrReused))
	}
}

func TestARepeatOverHTTPHasTheSameBytesAndNoCookie(t *testing.T) {
	t.Parallel()
	members := document.MustParse(`{"detail":"out of stock","left":0}`)
	for name, do := range map[string]proxy.Proxy{
		"a document": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 201, Document: document.MustParse(`{ "n" : 1.50, "n":2 }`),
				Header: http.Header{"Set-Cookie": {"a=b"}, "Etag": {`"x"`}, "X-Raw": {"\xff"}}}, nil
		},
		"null": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse("null")}, nil
		},
		"no content": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 204}, nil
		},
		"a partial answer": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse("{}"), Err: errors.New("a part is missing")}, nil
		},
		"a problem": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 409, Err: errors.New("secret"), Members: members, Header: http.Header{"Retry-After": {"7"}, "Set-Cookie": {"a=b"}}}
		},
		"a failure":         func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errors.New("secret") },
		"a panic":           func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("secret") },
		"an end":            func(context.Context, *proxy.Request) (*proxy.Response, error) { runtime.Goexit(); return nil, nil },
		"nothing":           func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil },
		"an ended context":  func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, context.Canceled },
		"an upstream's own": passing(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := &upstream{do: do}
			h, err := endpoint.New(endpoint.Spec{Proxy: u.proxy().With(idempotency.Require(idempotency.NewMemory(0))),
				RequestID: func(*http.Request) string { return "r-1" }})
			require.NoError(t, err)
			first, second := send(h, `"k"`, "{}"), send(h, `"k"`, "{}")
			assert.Equal(t, first.status, second.status)
			assert.Equal(t, first.body, second.body)
			assert.NotContains(t, second.body, "secret")
			assert.Equal(t, "true", second.header.Get("Idempotent-Replayed"))
			assert.Empty(t, first.header.Get("Idempotent-Replayed"))
			assert.Empty(t, second.header.Get("Set-Cookie"))
			first.header.Del("Set-Cookie")
			second.header.Del("Idempotent-Replayed")
			assert.Equal(t, first.header, second.header)
			assert.EqualValues(t, 1, u.calls.Load())
		})
	}
}

// passing is an upstream that refuses with a body for clients.
func passing(t *testing.T) proxy.Proxy {
	p, err := backend.HTTP{Transport: proxytest.NewUpstream(proxytest.Answer(404, "no such sku").Header("Content-Type", "text/plain").
		Header("Content-Language", "en"))}.New(backend.Spec{Name: "orders", URL: "http://orders/", PassErrors: true})
	require.NoError(t, err)
	return p
}

func TestACallOutlivesItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inner context.Context
		u := &upstream{do: func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			inner = ctx
			select {
			case <-time.After(time.Second):
				b, err := io.ReadAll(req.Body)
				return &proxy.Response{Header: http.Header{"X-Body": {string(b)}}}, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
		deadline, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		ctx, leave := context.WithCancel(deadline)
		time.AfterFunc(100*time.Millisecond, leave)
		start := time.Now()
		_, err := p(ctx, post(`"k"`, "{}"))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 100*time.Millisecond, time.Since(start), "a client that leaves is not kept")

		synctest.Wait()
		until, ok := inner.Deadline()
		assert.True(t, ok)
		assert.Equal(t, start.Add(5*time.Second), until)
		_, err = p(t.Context(), post(`"k"`, "{}"))
		assert.ErrorIs(t, err, idempotency.ErrRunning)
		<-time.After(time.Second)
		res, err := p(t.Context(), post(`"k"`, "{}"))
		require.NoError(t, err)
		assert.Equal(t, "true", res.Header.Get("Idempotent-Replayed"))
		assert.Equal(t, "{}", res.Header.Get("X-Body"))
		assert.EqualValues(t, 1, u.calls.Load())
	})
}

func TestACallDoesNotOutliveItsDeadline(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]proxy.Proxy{
		"an upstream that hangs": func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"one that ignores its context": nil,
		"one whose client has left": func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"one in a context without deadline": func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				var calls atomic.Int64
				leaf := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					calls.Add(1)
					if do != nil {
						return do(ctx, req)
					}
					<-release
					return &proxy.Response{}, nil
				})
				p := leaf.With(idempotency.RequireWith(idempotency.Spec{Answers: idempotency.NewMemory(0), Timeout: 3 * time.Second}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if !strings.Contains(name, "without") {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, 2*time.Second)
					defer stop()
				}
				if strings.Contains(name, "left") {
					time.AfterFunc(time.Second, cancel)
				}
				_, err := p(ctx, post(`"k"`, "{}"))
				assert.Error(t, err)
				<-time.After(3*time.Second + time.Millisecond)
				_, err = p(t.Context(), post(`"k"`, "{}"))
				assert.ErrorIs(t, err, idempotency.ErrReplayed)
				assert.Equal(t, 504, proxy.StatusOf(err))
				assert.EqualValues(t, 1, calls.Load())
			})
		})
	}
}

// A client that is told 504 repeats its request at once.
func TestTheOutcomeIsKeptBeforeTheClientHearsOfADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{do: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		h, err := endpoint.New(endpoint.Spec{Timeout: time.Second, Proxy: u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))})
		require.NoError(t, err)
		for n := range 3 {
			start := time.Now()
			got := send(h, `"k"`, "{}")
			assert.Equal(t, 504, got.status)
			assert.Equal(t, n > 0, got.header.Get("Idempotent-Replayed") == "true")
			assert.Equal(t, n == 0, time.Since(start) == time.Second)
		}
		assert.EqualValues(t, 1, u.calls.Load())
	})
}

// So it is where keeping the outcome takes a while.
func TestAClientWaitsAMomentForItsOutcomeToBeKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := idempotency.NewMemory(0)
		slow := &hooks{Answers: memory, keep: func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
			<-time.After(40 * time.Millisecond)
			return memory.Keep(ctx, key, claim, value, ttl)
		}}
		u := &upstream{do: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		h, err := endpoint.New(endpoint.Spec{Timeout: time.Second, Proxy: u.proxy().With(idempotency.Require(slow))})
		require.NoError(t, err)
		start := time.Now()
		assert.Equal(t, 504, send(h, `"k"`, "{}").status)
		assert.LessOrEqual(t, time.Since(start), 1050*time.Millisecond)
		assert.Equal(t, "true", send(h, `"k"`, "{}").header.Get("Idempotent-Replayed"))
	})
}

// What is inside may need the body again when the client has left.
func TestARetryGoesOnWithoutTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		u.do = func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			<-time.After(time.Second)
			b, err := io.ReadAll(req.Body)
			if u.calls.Load() == 1 {
				return nil, &proxy.Error{Status: 503, Op: "status"}
			}
			return &proxy.Response{Header: http.Header{"X-Body": {string(b)}}}, err
		}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)), policy.Retry(policy.Attempts{Unsafe: true}))
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		_, err := p(ctx, post(`"k"`, "{}"))
		assert.ErrorIs(t, err, context.Canceled)
		<-time.After(5 * time.Second)
		res, err := p(t.Context(), post(`"k"`, "{}"))
		require.NoError(t, err)
		assert.Equal(t, "{}", res.Header.Get("X-Body"))
		assert.EqualValues(t, 2, u.calls.Load())
	})
}

// brokenBreaker lets nothing pass.
type brokenBreaker struct{}

func (brokenBreaker) Allow() (func(error), error) { return nil, errors.New("open") }

func TestAKeyIsGivenBackIfNothingCanHaveHappened(t *testing.T) {
	t.Parallel()
	refuses := func(err error) proxy.Decorator {
		return func(proxy.Proxy) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }
		}
	}
	panics := func(proxy.Proxy) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }
	}
	unreachable := backendWith(t, proxytest.NewUpstream(proxytest.Fail(&dialError{}), proxytest.Fail(&dialError{}), proxytest.Fail(&dialError{})))
	for _, tt := range []struct {
		name   string
		first  proxy.Proxy // with the upstream inside, if it is nil
		around []proxy.Decorator
		status int
		back   bool
	}{
		{"an open breaker", nil, []proxy.Decorator{policy.Break(brokenBreaker{})}, 503, true},
		{"a validation", nil, []proxy.Decorator{refuses(&proxy.Error{Status: 400})}, 400, true},
		{"no credentials", nil, []proxy.Decorator{auth.Require(auth.APIKeys(auth.NewKeys()))}, 401, true},
		{"a judge", nil, []proxy.Decorator{auth.Ask(failing(&proxy.Error{Status: 403}))}, 403, true},
		{"a limit by a key of a user", nil, []proxy.Decorator{policy.LimitBy(pipe.NamedPipe("nobody",
			func(context.Context, *proxy.Request) (string, error) { return "", &proxy.Error{Status: 429} }), policy.PerSecond(1))}, 429, true},
		{"a panic in front of the upstream", nil, []proxy.Decorator{panics}, 500, true},
		{"no connection", unreachable, nil, 502, true},
		{"no connection, by several tries", unreachable, []proxy.Decorator{policy.Retry(policy.Attempts{Max: 3, Unsafe: true, Backoff: -1})}, 502, true},
		{"no hosts", backendWith(t, proxytest.NewUpstream(proxytest.Fail(&proxy.Error{Status: 503, Err: proxy.ErrNoHosts}))), nil, 503, true},
		{"an upstream that refuses", failing(&proxy.Error{Status: 409, Backend: "orders"}), nil, 409, false},
		{"a reset", failing(errors.New("reset")), nil, 502, false},
		{"a breaker that opens between two tries", failing(&proxy.Error{Status: 503, Op: "status"}),
			[]proxy.Decorator{policy.Retry(policy.Attempts{Max: 2, Unsafe: true, Backoff: -1}), second(refuses(&proxy.Error{Status: 503, Err: policy.ErrOpen}))}, 503, false},
		{"a function that says that it has not dialled", func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return nil, &proxy.Error{Op: "dial", Err: errors.New("refused")}
		}, nil, 502, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answers := idempotency.NewMemory(0)
			u := &upstream{}
			broken := tt.first
			if broken == nil {
				broken = u.proxy()
			}
			_, err := broken.With(append([]proxy.Decorator{idempotency.Require(answers)}, tt.around...)...)(t.Context(), post(`"k"`, "{}"))
			assert.Equal(t, tt.status, proxy.StatusOf(err), "%v", err)
			assert.Zero(t, u.calls.Load())

			res, err := u.proxy().With(idempotency.Require(answers))(t.Context(), post(`"k"`, "{}"))
			if tt.back {
				require.NoError(t, err)
				assert.Equal(t, 201, res.Status)
				return
			}
			assert.ErrorIs(t, err, idempotency.ErrReplayed)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			assert.Zero(t, u.calls.Load())
		})
	}
}

// A sequence has two upstreams, of which the second cannot be reached.
func TestAKeyIsNotGivenBackIfAnEarlierUpstreamWasReached(t *testing.T) {
	t.Parallel()
	unreachable := backendWith(t, proxytest.NewUpstream(proxytest.Fail(&dialError{})))
	u := &upstream{}
	both := proxy.Sequence(proxy.Stage{Name: "pay", Proxy: u.proxy()}, proxy.Stage{Name: "ship", Proxy: unreachable})
	p := both.With(idempotency.Require(idempotency.NewMemory(0)))
	_, err := p(t.Context(), post(`"k"`, "{}"))
	assert.Equal(t, 502, proxy.StatusOf(err))
	_, err = p(t.Context(), post(`"k"`, "{}"))
	assert.ErrorIs(t, err, idempotency.ErrReplayed)
	assert.EqualValues(t, 1, u.calls.Load())
}

// A mirror is no upstream of the call.
func TestAMirrorDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mirror := &upstream{}
		shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: mirror.proxy()})
		require.NoError(t, err)
		u := &upstream{}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)), shadow.Decorate, policy.Break(brokenBreaker{}))
		for range 2 {
			_, err = p(t.Context(), post(`"k"`, "{}"))
			assert.ErrorIs(t, err, policy.ErrOpen)
			synctest.Wait()
		}
		assert.EqualValues(t, 2, mirror.calls.Load())
		assert.NoError(t, shadow.Drain(t.Context()))
	})
}

func failing(err error) proxy.Proxy {
	return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err },
		pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
}

// second returns a decorator of which only the first call is not decorated with d.
func second(d proxy.Decorator) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		var calls atomic.Int64
		other := d(next)
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if calls.Add(1) == 1 {
				return next(ctx, req)
			}
			return other(ctx, req)
		}
	}
}

// A dialError is what package net returns if nobody listens.
type dialError struct{}

func (*dialError) Error() string { return "connection refused" }

func backendWith(t *testing.T, rt http.RoundTripper) proxy.Proxy {
	p, err := backend.HTTP{Transport: dialling{rt}}.New(backend.Spec{Name: "orders", Method: "POST", URL: "http://orders/"})
	require.NoError(t, err)
	return p
}

func TestWhatIsTooLargeOrAStreamIsForTheFirstClientAlone(t *testing.T) {
	t.Parallel()
	stream := func(n int, announced bool) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			h := http.Header{"Content-Type": {"text/plain"}}
			if announced {
				h["Content-Length"] = []string{fmt.Sprint(n)}
			}
			return &proxy.Response{Header: h, Body: proxytest.NewBody(strings.Repeat("x", n))}, nil
		}
	}
	doc := func(n int) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{}, Document: document.MustParse(`"` + strings.Repeat("x", n-2) + `"`)}, nil
		}
	}
	for _, tt := range []struct {
		name string
		do   proxy.Proxy
		size int
		kept bool
	}{
		{"a document of 64 KiB", doc(64 << 10), 64 << 10, true},
		{"a larger one", doc(64<<10 + 1), 64<<10 + 1, false},
		{"a body of 64 KiB", stream(64<<10, true), 64 << 10, true},
		{"a larger body", stream(64<<10+1, true), 64<<10 + 1, false},
		{"a body of any length", stream(3, false), 3, false},
		{"an empty body", stream(0, true), 0, true},
		{"a large header", func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"X-Large": {strings.Repeat("x", 64<<10)}}}, nil
		}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := &upstream{do: tt.do}
			p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
			size := func(res *proxy.Response) int {
				defer res.Close()
				if res.Body != nil {
					b, err := io.ReadAll(res.Body)
					assert.NoError(t, err)
					return len(b)
				}
				return res.Document.Size()
			}
			res, err := p(t.Context(), post(`"k"`, "{}"))
			require.NoError(t, err)
			assert.Equal(t, tt.size, size(res))
			res, err = p(t.Context(), post(`"k"`, "{}"))
			if tt.kept {
				require.NoError(t, err)
				assert.Equal(t, tt.size, size(res))
				assert.Equal(t, "true", res.Header.Get("Idempotent-Replayed"))
				return
			}
			assert.ErrorIs(t, err, idempotency.ErrNotKept)
			assert.Equal(t, 409, proxy.StatusOf(err))
			assert.EqualValues(t, 1, u.calls.Load())
		})
	}
}

func TestAStreamOutlivesTheDeadlineAndEndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inner context.Context
		body := proxytest.NewBody("rows")
		u := &upstream{do: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			inner = ctx
			return &proxy.Response{Header: http.Header{}, Body: body}, nil
		}}
		h := u.proxy().With(policy.Timeout(time.Second), idempotency.Require(idempotency.NewMemory(0)))
		client, leave := context.WithCancel(t.Context())
		res, err := h(client, post(`"k"`, "{}"))
		require.NoError(t, err)
		<-time.After(2 * time.Minute)
		assert.NoError(t, inner.Err())
		leave()
		synctest.Wait()
		assert.ErrorIs(t, inner.Err(), context.Canceled)
		require.NoError(t, res.Close())
		body.AssertClosedOnce(t)
	})
}

func TestAnAnswerThatBreaksIsAFailureForAll(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]*proxytest.Body{
		"broken": proxytest.NewBrokenBody("ro", io.ErrUnexpectedEOF), "longer than announced": proxytest.NewBody("rows and rows"),
	} {
		u := &upstream{do: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"Content-Length": {"4"}}, Body: body}, nil
		}}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
		for n := range 2 {
			_, err := p(t.Context(), post(`"k"`, "{}"))
			assert.Equal(t, 502, proxy.StatusOf(err), name)
			assert.Equal(t, n == 1, errors.Is(err, idempotency.ErrReplayed), name)
		}
		body.AssertClosedOnce(t)
	}
}

func TestOfManyRepeatsAtOnceOneIsExecuted(t *testing.T) {
	t.Parallel()
	answers := idempotency.NewMemory(0)
	u := &upstream{}
	var processes []proxy.Proxy // two gateways over one store
	for range 2 {
		processes = append(processes, u.proxy().With(idempotency.Require(&hooks{Answers: answers})))
	}
	var wg sync.WaitGroup
	var executed atomic.Int64
	for n := range 200 {
		wg.Go(func() {
			res, err := processes[n%2](t.Context(), post(fmt.Sprintf(`"%d"`, n%10), "{}"))
			switch {
			case err != nil:
				assert.ErrorIs(t, err, idempotency.ErrRunning)
			case res.Header.Get("Idempotent-Replayed") == "":
				executed.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 10, executed.Load())
	assert.EqualValues(t, 10, u.calls.Load())
}

func TestAKeyIsFreeAgainAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{}
		p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
		ask := func() bool {
			res, err := p(t.Context(), post(`"k"`, "{}"))
			require.NoError(t, err)
			return res.Header.Get("Idempotent-Replayed") == "true"
		}
		assert.False(t, ask())
		<-time.After(24*time.Hour - 1)
		assert.True(t, ask())
		<-time.After(1)
		assert.False(t, ask())
	})
}

// A process dies, and so says nothing of its call any more.
func TestAClaimIsOverSomeTimeAfterTheDeadlineOfItsCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := idempotency.NewMemory(0)
		died := errors.New("died")
		dead := (&upstream{}).proxy().With(idempotency.Require(&hooks{Answers: answers,
			keep: func(context.Context, string, []byte, []byte, time.Duration) (bool, error) { return false, died }}))
		u := &upstream{}
		other := u.proxy().With(idempotency.Require(answers))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := dead(ctx, post(`"k"`, "{}"))
		assert.NoError(t, err, "it was executed")
		<-time.After(15*time.Second - 1)
		_, err = other(t.Context(), post(`"k"`, "{}"))
		assert.ErrorIs(t, err, idempotency.ErrRunning)
		<-time.After(1)
		_, err = other(t.Context(), post(`"k"`, "{}"))
		assert.NoError(t, err)
		assert.EqualValues(t, 1, u.calls.Load())
	})
}

func TestALateHolderChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := idempotency.NewMemory(0)
		reports := &reports{}
		late := &hooks{Answers: answers, keep: func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
			<-time.After(900 * time.Millisecond)
			return answers.Keep(ctx, key, claim, value, ttl)
		}}
		first, second := &upstream{}, &upstream{}
		second.calls.Store(100)
		h, err := endpoint.New(endpoint.Spec{Report: reports.add, Timeout: time.Millisecond,
			Proxy: first.proxy().With(idempotency.RequireWith(idempotency.Spec{Answers: late, Lease: time.Millisecond}))})
		require.NoError(t, err)
		go send(h, `"k"`, "{}")
		<-time.After(500 * time.Millisecond)
		other, err := endpoint.New(endpoint.Spec{Proxy: second.proxy().With(idempotency.Require(answers))})
		require.NoError(t, err)
		assert.Contains(t, send(other, `"k"`, "{}").body, "101")
		<-time.After(time.Second)
		assert.Contains(t, send(other, `"k"`, "{}").body, "101")
		if all := reports.list(); assert.NotEmpty(t, all) {
			assert.ErrorContains(t, all[len(all)-1], "the claim of the key is over")
		}
	})
}

func TestWhatIsWrongIsAFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		spec idempotency.Spec
		want string
	}{
		{idempotency.Spec{}, "idempotency: Require: the Answers are nil"},
		{idempotency.Spec{Answers: (*idempotency.Memory)(nil)}, "idempotency: Require: the Answers are nil"},
		{idempotency.Spec{Answers: faulty{}}, "no Redis"},
		{idempotency.Spec{Answers: faulty{}, TTL: -1, Lease: -1, Timeout: -1}, "idempotency: Require: TTL is -1ns, want 0 or more\n" +
			"idempotency: Require: Lease is -1ns, want 0 or more\nidempotency: Require: Timeout is -1ns, want 0 or more\nno Redis"},
	} {
		p := (&upstream{}).proxy().With(idempotency.RequireWith(tt.spec))
		assert.Equal(t, tt.want, pipetest.Faults(pipe.PlanOf(p)))
	}
}

type faulty struct{ idempotency.Answers }

func (faulty) Fault() error { return errors.New("no Redis") }

func TestRequireInThePlan(t *testing.T) {
	t.Parallel()
	answers := idempotency.NewMemory(0)
	p := (&upstream{}).proxy().With(policy.Timeout(time.Second), idempotency.Require(answers))
	plan := pipe.PlanOf(p)
	assert.Contains(t, plan.String(), "idempotency (kept for 24h0m0s, up to 65536 bytes)")
	assert.True(t, plan.HonoursContext())
	assert.False(t, bounds.Of(plan).Endless)
	any := (&upstream{}).proxy().With(idempotency.RequireWith(idempotency.Spec{Answers: answers, MaxAnswer: -1, TTL: time.Minute}))
	assert.Contains(t, pipe.PlanOf(any).String(), "idempotency (kept for 1m0s, any size)")
}

func TestABodyThatCanBeReadOnceIsRefused(t *testing.T) {
	t.Parallel()
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(idempotency.NewMemory(0)))
	req := post(`"k"`, "{}")
	req.GetBody = nil
	_, err := p(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	assert.Equal(t, 500, proxy.StatusOf(err))
	for _, get := range []func() (io.ReadCloser, error){
		func() (io.ReadCloser, error) { return nil, errors.New("no") }, func() (io.ReadCloser, error) { return nil, nil },
		func() (io.ReadCloser, error) { panic("bug") }, func() (io.ReadCloser, error) { runtime.Goexit(); return nil, nil },
		func() (io.ReadCloser, error) { return proxytest.NewBrokenBody("{", io.ErrUnexpectedEOF), nil },
	} {
		req := post(`"k"`, "{}")
		req.GetBody = get
		_, err := p(t.Context(), req)
		assert.Error(t, err)
	}
	assert.Zero(t, u.calls.Load())
}

func TestRequireIsNoGuard(t *testing.T) {
	t.Parallel()
	_, err := endpoint.New(endpoint.Spec{Proxy: (&upstream{}).proxy(), Guards: []proxy.Decorator{idempotency.Require(idempotency.NewMemory(0))}})
	assert.ErrorContains(t, err, "idempotency")
}
