package test_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// borrower returns a user's decorator that may ignore its context, and says that it borrows.
func borrower(call func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error)) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return call(ctx, req, next) },
			pipe.Step{Kind: "borrower", Effects: pipe.CallsOnce | pipe.Opaque | pipe.Borrows}, next)
	}
}

// lending returns an endpoint that lends.
func lending(t *testing.T, s endpoint.Spec) http.Handler {
	t.Helper()
	h, err := endpoint.New(s)
	require.NoError(t, err)
	require.NoError(t, h.(interface{ Plan() *pipe.Step }).Plan().Lends())
	return h
}

func get(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w
}

// A brokenWriter is a client that does not take the body, and a ResponseWriter that keeps it.
type brokenWriter struct {
	*httptest.ResponseRecorder
	write func() error
}

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.write() }

// These tests are not parallel: others must not borrow what they look at.

// proves T30
func TestMemoryOfAnAnswerThatIsNotWholeDoesNotGoBack(t *testing.T) {
	t.Run("as the client leaves", func(t *testing.T) {
		l := newLender()
		h := lending(t, endpoint.Spec{Proxy: l.leaf("a")})
		assert.Panics(t, func() {
			h.ServeHTTP(brokenWriter{httptest.NewRecorder(), func() error { return errors.New("gone") }}, httptest.NewRequest("GET", "/", nil))
		})
		assert.Zero(t, l.back())
	})
	t.Run("as the writer panics", func(t *testing.T) {
		l := newLender()
		h := lending(t, endpoint.Spec{Proxy: l.leaf("a")})
		assert.Panics(t, func() {
			h.ServeHTTP(brokenWriter{httptest.NewRecorder(), func() error { panic("writer") }}, httptest.NewRequest("GET", "/", nil))
		})
		assert.Zero(t, l.back())
	})
	t.Run("as a part is missing", func(t *testing.T) {
		l := newLender()
		broken := proxy.Optional(proxy.Grouped("b", l.leaf("b").With(borrower(func(context.Context, *proxy.Request, proxy.Proxy) (*proxy.Response, error) {
			return nil, errors.New("an error that a hook may keep")
		}))))
		assert.Equal(t, http.StatusOK, get(lending(t, endpoint.Spec{Proxy: proxy.Merge(proxy.Grouped("a", l.leaf("a")), broken)})).Code)
		assert.Zero(t, l.back())
	})
	t.Run("as it is a problem", func(t *testing.T) {
		l := newLender()
		fails := proxy.Grouped("b", l.leaf("b").With(borrower(func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
			_, _ = next(ctx, req)
			return nil, errors.New("refused")
		})))
		assert.Equal(t, http.StatusBadGateway, get(lending(t, endpoint.Spec{Proxy: proxy.Merge(fails)})).Code)
		assert.NotEmpty(t, l.read)
		assert.Zero(t, l.back())
	})
	t.Run("as something has panicked", func(t *testing.T) {
		for _, around := range []proxy.Decorator{nil, pipe.Recover[*proxy.Request, *proxy.Response]} {
			l := newLender()
			panics := l.leaf("b").With(around, borrower(func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
				_, _ = next(ctx, req)
				panic("borrower")
			}))
			get(lending(t, endpoint.Spec{Proxy: proxy.Fallback(panics, l.leaf("a"))}))
			assert.Len(t, l.read, 2)
			assert.Zero(t, l.back())
		}
	})
}

// proves T30
func TestMemoryOfAWholeAnswerGoesBack(t *testing.T) {
	l := newLender()
	h := lending(t, endpoint.Spec{Proxy: proxy.Merge(proxy.Grouped("a", l.leaf("a")), proxy.Grouped("b", l.leaf("b")))})
	for _, method := range []string{"GET", "HEAD"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		assert.Equal(t, http.StatusOK, w.Code)
	}
	assert.Equal(t, len(l.read), l.back())
}

// A call that was abandoned reads what it has borrowed, and borrows more, long after the answer.
//
// proves T30
func TestAnAbandonedCallKeepsItsMemory(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(late, other proxy.Proxy) proxy.Proxy
	}{
		{"of an optional part", func(late, other proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Grouped("a", other), proxy.Optional(proxy.Grouped("b", late)))
		}},
		{"that lost a race", func(late, other proxy.Proxy) proxy.Proxy { return proxy.Race(late, other) }},
		{"that lost a hedge", func(late, other proxy.Proxy) proxy.Proxy {
			calls := 0
			return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				if calls++; calls == 1 {
					return late(ctx, req)
				}
				return other(ctx, req)
			}, pipe.Step{Kind: "first late", Effects: pipe.CallsOnce | pipe.Opaque | pipe.Borrows}, late, other).With(policy.Hedge(policy.HedgeSpec{Delay: time.Second}))
		}},
		{"in a timeout", func(late, other proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(late.With(policy.Timeout(time.Second)), other)
		}},
		{"of optional stages", func(late, other proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "a", Proxy: other}, proxy.Stage{Name: "b", Optional: true, Group: "b", Proxy: late})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLender()
				answer := l.answer
				l.answer = func(req *http.Request) ([]byte, error) {
					if req.URL.Path == "/other" {
						<-time.After(100 * time.Millisecond) // so that the other call has begun
					}
					return answer(req)
				}
				var said []string
				var mu sync.Mutex
				done := make(chan struct{})
				say := func(res *proxy.Response) {
					mu.Lock()
					defer mu.Unlock()
					said = append(said, res.Document.String())
				}
				late := l.leaf("late").With(borrower(func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
					defer close(done)
					free := context.WithoutCancel(ctx)
					early, err := next(free, req)
					if err != nil {
						return nil, err
					}
					<-time.After(time.Hour) // whatever the context says
					say(early)
					res, err := next(free, req)
					if err == nil {
						say(res)
					}
					return res, err
				}))
				h := lending(t, endpoint.Spec{Proxy: tt.of(late, l.leaf("other")), Timeout: 10 * time.Second})
				w := get(h)
				assert.Contains(t, w.Body.String(), `"of":"/other"`)
				for range 3 { // others borrow
					get(lending(t, endpoint.Spec{Proxy: l.leaf("next")}))
				}
				<-done
				want := string(rows("/late", 100))
				assert.Equal(t, []string{want, want}, said)
			})
		})
	}
}

// A call that goes on without anybody having abandoned it: the one rule for code that says Borrows is
// broken, and still nobody else gets its memory.
//
// proves T30
func TestACallUnderWayKeepsAllMemoryOfItsExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLender()
		var once sync.Once
		began, end := make(chan struct{}), make(chan struct{})
		slow := &slowBody{began: began, end: end, once: &once}
		leaf := l.leaf("a", func(h *backend.HTTP, _ *backend.Spec) { h.Transport = &slowLender{l, slow} })
		forks := leaf.With(borrower(func(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
			go func() { _, _ = next(context.WithoutCancel(ctx), proxy.NewRequest("GET", "/")) }()
			<-began
			return next(ctx, req)
		}))
		assert.Equal(t, http.StatusOK, get(lending(t, endpoint.Spec{Proxy: forks})).Code)
		assert.NotEmpty(t, l.read)
		assert.Zero(t, l.back())
		close(end)
		synctest.Wait()
	})
}

// A slowLender is a lender whose first answer waits before its body.
type slowLender struct {
	*lender
	slow *slowBody
}

func (s *slowLender) Mark() mark.Type { return mark.TypeOf[*slowLender]() }

type slowBody struct {
	began, end chan struct{}
	once       *sync.Once
}

func (s *slowLender) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := s.lender.RoundTrip(req)
	s.slow.once.Do(func() {
		body := res.Body
		res.Body = readerOf{func(p []byte) (int, error) {
			select {
			case <-s.slow.began:
			default:
				close(s.slow.began)
			}
			<-s.slow.end
			return body.Read(p)
		}}
	})
	return res, err
}

type readerOf struct{ read func([]byte) (int, error) }

func (r readerOf) Read(p []byte) (int, error) { return r.read(p) }

func (readerOf) Close() error { return nil }

// A keeper is a watcher that keeps what it sees.
type keeper struct {
	mu   sync.Mutex
	kept []*proxy.Response
}

func (k *keeper) Enter(ctx context.Context, _ *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, k
}

func (k *keeper) Leave(res any, _ error) {
	if res, ok := res.(*proxy.Response); ok && res != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kept = append(k.kept, res)
	}
}

func (k *keeper) Note(string, string) {}

// proves T30
func TestNothingIsLentToACallThatIsWatched(t *testing.T) {
	k, watched := new(keeper), true
	watch := pipe.Watch{Start: func(context.Context) pipe.Watcher {
		if !watched {
			return nil
		}
		return k
	}}
	for _, tt := range []struct {
		name string
		spec func(l *lender) endpoint.Spec
	}{
		{"by an endpoint", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: proxy.Merge(proxy.Grouped("a", l.leaf("a"))), Watch: watch}
		}},
		{"by a pipe", func(l *lender) endpoint.Spec {
			return endpoint.Spec{Proxy: pipe.Watched(proxy.Merge(proxy.Grouped("a", l.leaf("a"))), watch)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLender()
			h := lending(t, tt.spec(l))
			watched, k.kept = true, nil
			get(h)
			assert.Zero(t, l.back())
			require.NotEmpty(t, k.kept)
			for _, res := range k.kept {
				assert.Contains(t, res.Document.String(), `"of":"/a"`)
			}
			watched = false
			get(h)
			assert.NotZero(t, l.back(), "a call that was not picked is not watched")
		})
	}
}
