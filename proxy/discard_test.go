package proxy_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// ends are the ways in which code of a user does not return.
var ends = map[string]func(){
	"panic":  func() { panic("close") },
	"Goexit": runtime.Goexit,
}

// badAnswer returns answers whose Close calls end: their body does, or what OnClose has.
func badAnswer(status int, inBody bool, end func()) func() (*proxy.Response, error) {
	return func() (*proxy.Response, error) {
		if inBody {
			return &proxy.Response{Status: status, Body: closeFunc(func() error { end(); return nil })}, nil
		}
		res := &proxy.Response{Status: status, Body: newBody("rows")}
		res.OnClose(end)
		return res, nil
	}
}

// proves T4, T14
func TestACloseOfADiscardedAnswerThatDoesNotReturnIsReportedAndLosesNoOther(t *testing.T) {
	t.Parallel()
	good := `{"a":1}`
	slowly := func(d time.Duration, f func() (*proxy.Response, error)) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { <-time.After(d); return f() }
	}
	tests := map[string]func(bad func(status int) proxy.Proxy) proxy.Proxy{
		"the loser of a race": func(bad func(int) proxy.Proxy) proxy.Proxy {
			both := make(chan struct{})
			wait := func(p proxy.Proxy) proxy.Proxy {
				return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					defer func() { <-both }()
					return p(ctx, req)
				}, pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
			}
			time.AfterFunc(time.Second, func() { close(both) })
			return proxy.Race(wait(bad(200)), pipe.Describe(answers(t, 500*time.Millisecond, good), pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext}))
		},
		"the late loser of a race": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Race(slowly(time.Second, func() (*proxy.Response, error) { return bad(200)(nil, nil) }), answers(t, 500*time.Millisecond, good))
		},
		"a failed stream in a race": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Race(bad(500), answers(t, time.Second, good))
		},
		"a failed stream before a fallback": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(bad(500), answers(t, 0, good))
		},
		"a failed stream before a retry": func(bad func(int) proxy.Proxy) proxy.Proxy {
			tries := 0
			return proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				if tries++; tries == 1 {
					return bad(503)(ctx, req)
				}
				return answers(t, 0, good)(ctx, req)
			}).With(policy.Retry(policy.Attempts{}))
		},
		"a stream as an optional part": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Part{Name: "good", Proxy: answers(t, 0, good)}, proxy.Optional(proxy.Part{Name: "bad", Proxy: bad(200)}))
		},
		"a stream as an optional stage": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "bad", Proxy: bad(200), Optional: true}, proxy.Stage{Name: "good", Proxy: answers(t, 0, good)})
		},
		"a late answer of a timeout": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(slowly(2*time.Second, func() (*proxy.Response, error) { return bad(200)(nil, nil) }).
				With(policy.Timeout(time.Second)), answers(t, 0, good))
		},
		"a stream that is shaped": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(bad(200).With(shape.Response(shape.Drop("x"))), answers(t, 0, good))
		},
		"a stream that is decoded": func(bad func(int) proxy.Proxy) proxy.Proxy {
			return proxy.Fallback(proxy.Encode(proxy.Decode[document.Document](bad(200))), answers(t, 0, good))
		},
	}
	for name, make := range tests {
		for how, end := range ends {
			for _, inBody := range []bool{true, false} {
				t.Run(name+", "+how, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						ctx, _, reported := reports(t.Context())
						p := make(func(status int) proxy.Proxy { return called(badAnswer(status, inBody, end)) })
						res, err := apart(func() (*proxy.Response, error) { return p(ctx, get()) })
						require.NoError(t, err)
						assert.Equal(t, good, res.Document.String())
						<-time.After(time.Minute)
						synctest.Wait()
						close(reported)
						panics := 0
						for err := range reported {
							if _, panicked := errors.AsType[*pipe.PanicError](err); panicked {
								panics++
							} else {
								assert.ErrorIs(t, err, proxy.ErrFallback)
							}
						}
						assert.Equal(t, 1, panics)
					})
				})
			}
		}
	}
}

// proves T14
func TestAFallbackDoesNotWaitForACloseThatBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		p := proxy.Fallback(called(badAnswer(500, true, func() { <-end })), answers(t, 0, `{"a":1}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		res, err := p(ctx, get())
		require.NoError(t, err)
		assert.Equal(t, `{"a":1}`, res.Document.String())
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
	})
}

// proves T4, T14
func TestACloseOfAReopenedBodyThatDoesNotReturnIsReported(t *testing.T) {
	t.Parallel()
	fail := fails(&proxy.Error{Status: 503})
	good := answers(t, 0, `{"a":1}`)
	for name, p := range map[string]proxy.Proxy{
		"merge":    proxy.Merge(proxy.Part{Name: "a", Proxy: good}, proxy.Part{Name: "b", Proxy: good}),
		"sequence": proxy.Sequence(proxy.Stage{Name: "a", Proxy: good}, proxy.Stage{Name: "b", Proxy: good}),
		"fallback": proxy.Fallback(fail, good),
		"race":     proxy.Race(good, good),
	} {
		for how, end := range ends {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				ctx, _, reported := reports(t.Context())
				req := proxy.NewRequest("PUT", "/")
				req.Body = newBody("x")
				req.GetBody = func() (io.ReadCloser, error) { return closeFunc(func() error { end(); return nil }), nil }
				res, err := apart(func() (*proxy.Response, error) { return p(ctx, req) })
				require.NoError(t, err)
				assert.Equal(t, `{"a":1}`, res.Document.String())
				assert.NotEmpty(t, reported)
			})
		}
	}
}

var errExited = errors.New("the goroutine ended")

// apart calls f on a goroutine of its own, which f may end.
func apart(f func() (*proxy.Response, error)) (res *proxy.Response, err error) {
	done := make(chan struct{})
	err = errExited
	go func() {
		defer close(done)
		res, err = f()
	}()
	<-done
	return res, err
}
