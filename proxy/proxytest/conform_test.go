package proxytest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

type (
	options  = proxytest.Options
	request  = proxy.Request
	response = proxy.Response
)

// decorator returns a decorator that does what call does and declares effects.
func decorator(
	effects pipe.Effects, call func(ctx context.Context, req *request, next proxy.Proxy) (*response, error),
) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *request) (*response, error) { return call(ctx, req, next) },
			pipe.Step{Kind: "wrong", Effects: effects}, next)
	}
}

// onAnswer returns a decorator that changes or replaces each response of next.
func onAnswer(change func(ctx context.Context, res *proxy.Response) (*proxy.Response, error)) proxy.Decorator {
	return decorator(pipe.CallsOnce, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
		res, err := next(ctx, req)
		if err != nil || res == nil {
			_ = res.Close()
			return nil, err
		}
		return change(ctx, res)
	})
}

func passOn(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
}

func TestAPlainDecoratorConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, passOn)
	proxytest.Conform(t, pipe.Named("mine", passOn))
	proxytest.Conform(t, passOn, options{
		Request:  func() *proxy.Request { return proxy.NewRequest("POST", "/") },
		Response: func() *proxy.Response { return &proxy.Response{Header: http.Header{}} },
	})
}

// A decorator that answers with another response, moves the ownership, and closes what it cannot
// use.
func TestADecoratorThatReplacesItsResponsesConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, onAnswer(func(_ context.Context, res *response) (*response, error) {
		by := &proxy.Response{Status: res.Status, Header: http.Header{}, Document: res.Document, Body: res.Body, Upgrade: res.Upgrade,
			Trailer: res.Trailer, Err: res.Err}
		maps.Copy(by.Header, res.Header)
		return res.Replace(by), nil
	}))
}

// The caller closes the decorator's own copy of the whole body, so the stream is closed at once.
func TestADecoratorThatReadsAStreamConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, decorator(pipe.CallsOnce|pipe.Buffers, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
		res, err := next(ctx, req)
		if err != nil || res == nil || res.Body == nil {
			return res, err
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			_ = res.Close()
			return nil, err
		}
		return res.Replace(&proxy.Response{Status: res.Status, Header: res.Header, Body: io.NopCloser(bytes.NewReader(b)),
			Trailer: res.Trailer}), nil
	}))
}

// caching returns a decorator that keeps the first complete answer of next, and every answer if all
// is true, and gives each caller what give makes of it.
func caching(effects pipe.Effects, all bool, give func(kept *proxy.Response) *proxy.Response) proxy.Decorator {
	var mu sync.Mutex // guards kept
	var kept *proxy.Response
	return decorator(effects, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
		mu.Lock()
		k := kept
		mu.Unlock()
		if k != nil && req.Body == nil {
			return give(k), nil
		}
		res, err := next(ctx, req)
		if err != nil {
			_ = res.Close()
			return nil, err
		}
		if res == nil || res.Body != nil || res.Upgrade != nil || res.Err != nil && !all || res.Header == nil {
			return res, err
		}
		mu.Lock()
		defer mu.Unlock()
		kept = res
		return give(res), nil
	})
}

func copyOf(res *proxy.Response, h http.Header, err error) *proxy.Response {
	return &proxy.Response{Status: res.Status, Header: h, Document: res.Document, Err: err}
}

type userKey struct{}

// identified refuses a caller who is nobody.
var identified = decorator(pipe.CallsOnce, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
	if ctx.Value(userKey{}) == nil {
		return nil, &proxy.Error{Status: 401, Err: errors.New("who are you?")}
	}
	return next(ctx, req)
})

func TestADecoratorThatNeedsAContextConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, identified, options{Context: func() context.Context {
		return context.WithValue(context.Background(), userKey{}, "ada")
	}})
}

func TestACacheConforms(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"of complete answers": false, "of all answers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, nil, options{Answers: true, New: func() proxy.Decorator {
				return caching(pipe.CallsOnce|pipe.Caches|pipe.Stateful, all, func(kept *response) *response {
					return copyOf(kept, kept.Header.Clone(), kept.Err)
				})
			}})
		})
	}
}

// A decorator that always answers itself gives no answer of next again.
func TestAnAnswerOfItsOwnConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, options{Answers: true, New: func() proxy.Decorator {
		var calls atomic.Int32
		return decorator(pipe.CallsOnce|pipe.Stateful, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
			if calls.Add(1)%2 == 0 {
				return &proxy.Response{Status: 202, Header: http.Header{}}, nil
			}
			return next(ctx, req)
		})
	}})
}

// Every law has decorators that break it, each with the message that says so.
//
// proves F10
func TestDecoratorsThatBreakALaw(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		decorator proxy.Decorator
		want      string
		options   options
	}{
		{"changes the response", shape.SetResponseHeader("X-New", "1"),
			`success: the caller got 200 {"id":1,"name":"ada"} map[X-New:[1] X-Tag:[a b]] where next answered 200 {"id":1,"name":"ada"} map[X-Tag:[a b]]`, options{}},
		{"races: writes to headers later", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				time.AfterFunc(time.Second, func() { req.Header["X-Tag"][0] = "late" })
				return next(ctx, req)
			}), "request: after an answer, the caller's request was changed once the call had returned", options{}},
		{"leaves the caller's request to next", abandoning(func(req *proxy.Request) *proxy.Request { return req }),
			"request: when the call returned before next had, next had the caller's request: hand on a copy", options{}},
		{"copies the request but not its headers", abandoning(func(req *proxy.Request) *proxy.Request {
			c := *req
			return &c
		}),
			"request: when the call returned before next had, the request of next shared memory with the caller's", options{}},

		{"cancels at return", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				return next(ctx, req)
			}), "streams: a stream cannot be read to its end once the call has returned: context canceled", options{}},
		{"times the stream", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				res, err := next(ctx, req)
				if err != nil || res == nil {
					cancel()
					return res, err
				}
				res.OnClose(cancel)
				return res, nil
			}), "streams: a stream cannot be read to its end once the call has returned: context deadline exceeded", options{}},
		{"never cancels", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				ctx, cancel := context.WithCancel(ctx)
				_ = cancel
				return next(ctx, req)
			}),
			"streams: when the caller has closed a stream, the context of next is still alive: cancel it, for a stream in OnClose", options{}},
		{"closes the stream that it hands on", onAnswer(func(_ context.Context, res *response) (*response, error) {
			_ = res.Close()
			return res, nil
		}), "streams: when next answers with a stream, its body is closed when the call returns", options{}},
		{"loses the stream", onAnswer(func(_ context.Context, res *response) (*response, error) {
			return res.Replace(&proxy.Response{Status: res.Status, Header: res.Header, Document: res.Document, Err: res.Err}), nil
		}), "streams: when next answers with a stream, the caller got 200 map[X-Tag:[a]]", options{}},
		{"loses the trailers", onAnswer(func(_ context.Context, res *response) (*response, error) {
			res.Trailer = nil
			return res, nil
		}), "streams: a stream has lost its trailers", options{}},
		{"eats of the stream", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.Body != nil {
				_, _ = res.Body.Read(make([]byte, 4))
			}
			return res, nil
		}), `streams: the stream is "rows of a stream", and next answered with "the rows of a stream"`, options{}},
		{"refuses a stream", shape.Response(shape.Drop("none")),
			"streams: when next answers with a stream, the call failed: shape: response (drop): the response is a stream, not a document; if the decorator needs documents, set Documents", options{}},
		{"refuses a stream with an error of its own", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.Body != nil || res.Upgrade != nil {
				_ = res.Close()
				return nil, errors.New("no streams")
			}
			return res, nil
		}),
			"streams: when next answers with a stream, the error is not proxy.ErrStream: no streams", options{Documents: true}},
		{"closes the body and not the response", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.Body != nil {
				_ = res.Body.Close()
				return nil, proxy.ErrStream
			}
			return res, nil
		}), "streams: when next answers with a stream that is refused, the function registered with OnClose ran 0 times, want once: close the response, not its body",
			options{Documents: true}},
		{"wraps the body and forgets the response", onAnswer(func(_ context.Context, res *response) (*response, error) {
			return &proxy.Response{Status: res.Status, Header: res.Header, Document: res.Document, Body: res.Body, Upgrade: res.Upgrade,
				Trailer: res.Trailer, Err: res.Err}, nil
		}),
			"streams: when the caller has closed a stream, the function registered with OnClose ran 0 times, want once: close the response, not its body", options{}},

		{"leaks what it refuses", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.StatusCode() >= 500 {
				return nil, &proxy.Error{Status: 502}
			}
			return res, nil
		}),
			"bodies: when next answers with a stream of status 503, the body of next's answer was closed 0 times, want once", options{}},
		{"closes twice what it refuses", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.StatusCode() >= 500 {
				_ = res.Body.Close()
				_ = res.Close()
				return nil, &proxy.Error{Status: 502}
			}
			return res, nil
		}),
			"bodies: when next answers with a stream of status 503, the body of next's answer was closed 2 times, want once", options{}},
		{"leaks when its hook fails", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.Status == http.StatusTeapot {
				panic("a hook")
			}
			return res, nil
		}),
			"bodies: when next answers with the response to be refused, the body of next's answer was closed 0 times, want once", options{Refused: teapot}},
		{"does not refuse", passOn, "bodies: when next answers with the response to be refused, it was not refused", options{Refused: teapot}},
		{"trips over what is not there", onAnswer(func(_ context.Context, res *response) (*response, error) {
			res.Header.Set("X-Tag", "c")
			return res, nil
		}),
			"bodies: when next answers with an empty response, the call panicked: assignment to entry in nil map", options{}},
		{"loses an upgrade", onAnswer(func(_ context.Context, res *response) (*response, error) {
			if res.Upgrade != nil {
				return &proxy.Response{Header: http.Header{}}, nil
			}
			return res, nil
		}),
			"bodies: when next answers with a protocol switch, the body of next's answer was closed 0 times, want once", options{}},
		{"answers without headers", onAnswer(func(_ context.Context, res *response) (*response, error) {
			res.Header = nil
			return res, nil
		}), "bodies: when next answers with an answer, the Header of the caller's response is nil", options{}},
		{"makes a partial answer whole", onAnswer(func(_ context.Context, res *response) (*response, error) {
			res.Err = nil
			return res, nil
		}), "bodies: when next answers with a partial answer, the caller gets a complete one: hand Err on", options{}},
		{"leaks the response that came with an error", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				res, err := next(ctx, req)
				if err != nil {
					return nil, err
				}
				return res, nil
			}),
			"bodies: when next answers with a response and an error, the body of next's answer was closed 0 times, want once", options{}},

		{"leaks what comes late", abandoning(func(req *proxy.Request) *proxy.Request {
			c, _ := req.Clone()
			return c
		}),
			"late answers: when an answer comes after the context has ended, the body of next's answer was closed 0 times, want once", options{}},
		{"leaks what it finds to be late", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				res, err := next(ctx, req)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return res, err
			}),
			"late answers: when an answer comes after the context has ended, the body of next's answer was closed 0 times, want once", options{}},

		{"sends a body that was read", decorator(pipe.CallsMany,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				res, err := next(ctx, req)
				if err != nil && res == nil && ctx.Err() == nil {
					return next(ctx, req)
				}
				return res, err
			}),
			`request bodies: with a body that can be read only once, call 2 of next read "", want it from its beginning, or proxy.ErrBodyNotReplayable`, options{}},
		{"relies on a copy of the body", decorator(pipe.CallsMany,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				c, _ := req.Clone()
				c.Body, c.GetBody = nil, nil
				return next(ctx, req)
			}),
			"request bodies: with a body that can be read only once, the call did not return: runtime error: invalid memory address", options{}},
		{"closes a copy only where it fails", decorator(pipe.CallsMany,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				res, err := next(ctx, req)
				if err == nil || res != nil || ctx.Err() != nil {
					return res, err
				}
				c, refused := req.Clone()
				if refused != nil {
					return nil, err
				}
				if res, err = next(ctx, c); err != nil && c.Body != nil {
					_ = c.Body.Close()
				}
				return res, err
			}),
			"request bodies: with a body that can be replayed, a body that GetBody opened was closed 0 times, want once", options{}},
		{"reads the body for itself", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				if req.Body != nil {
					_, _ = io.ReadAll(req.Body)
				}
				return next(ctx, req)
			}),
			`request bodies: with a body that can be replayed, call 1 of next read "", want it from its beginning, or proxy.ErrBodyNotReplayable`, options{}},
		{"does not close its copies", decorator(pipe.CallsMany,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				c, err := req.Clone()
				if err != nil {
					return nil, err
				}
				return next(ctx, c)
			}),
			"request bodies: with a body that can be replayed, a body that GetBody opened was closed 0 times, want once", options{}},
		{"refuses in words of its own", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				if !req.Replayable() {
					return nil, errors.New("once is not enough")
				}
				return next(ctx, req)
			}),
			"request bodies: with a body that can be read only once, next was not called, and the error is not proxy.ErrBodyNotReplayable: once is not enough", options{}},
		{"refuses every body", decorator(pipe.CallsOnce,
			func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
				if req.Body != nil {
					return nil, proxy.ErrBodyNotReplayable
				}
				return next(ctx, req)
			}),
			"request bodies: with a body that can be replayed, it was refused: the request body cannot be replayed", options{}},

		{"races: lets two calls that run at once share an answer", nil,
			"answers: when two calls run at once, an answer shares its header map or its values with another answer: clone Header",
			options{Answers: true, New: func() proxy.Decorator {
				var mu sync.Mutex // guards shared
				var shared http.Header
				return onAnswer(func(_ context.Context, res *response) (*response, error) {
					mu.Lock()
					if shared == nil {
						shared = res.Header
						time.AfterFunc(time.Nanosecond, func() { mu.Lock(); defer mu.Unlock(); shared = nil })
					}
					h := shared
					mu.Unlock()
					return res.Replace(&proxy.Response{Status: res.Status, Header: h, Document: res.Document, Body: res.Body,
						Upgrade: res.Upgrade, Trailer: res.Trailer, Err: res.Err}), nil
				})
			}}},
		{"answers with the headers of the request", decorator(pipe.CallsOnce, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
			res, err := next(ctx, req)
			if res != nil && res.Header != nil {
				res.Header["X-Tag"] = req.Header["X-Tag"]
			}
			return res, err
		}), "answers: an answer shares memory with the request of its caller: clone what it takes", options{}},
		{"makes a partial answer whole although it may answer", onAnswer(func(_ context.Context, res *response) (*response, error) {
			res.Err = nil
			return res, nil
		}), "answers: when next answers partially, the caller gets 200", options{Answers: true}},
		{"hands on another answer than next's", decorator(pipe.CallsOnce, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
			res, err := next(ctx, req)
			_ = res.Close()
			if err != nil || res == nil {
				return nil, err
			}
			return proxytest.Answer(200, `{"id":2}`).Proxy()(ctx, req)
		}), `answers: next answered, and the caller gets 200 {"id":2}: a step that declares calls-once and has next alone inside hands its answer on, or fails; name the pipe that answers instead in pipe.Describe`, options{Answers: true}},
		{"shows next in place of the proxy that it calls", func(next proxy.Proxy) proxy.Proxy {
			other := proxytest.Answer(200, `{"id":2}`).Proxy()
			return pipe.Describe(func(ctx context.Context, req *request) (*response, error) { return other(ctx, req) },
				pipe.Step{Kind: "replacing", Effects: pipe.CallsOnce}, next)
		}, `plan: calls are answered and next is never called, and the step "replacing" has next inside: describe the pipe that answers instead`,
			options{Answers: true}},
	}
	const caches = pipe.CallsOnce | pipe.Caches | pipe.Stateful
	kept := func(name, want string, effects pipe.Effects, all bool, give func(*response) *response) {
		tests = append(tests, struct {
			name      string
			decorator proxy.Decorator
			want      string
			options   options
		}{name, nil, want, options{Answers: true, New: func() proxy.Decorator { return caching(effects, all, give) }}})
	}
	kept("races: gives its one response to everybody", "answers: when a call follows another one, a call got the very response of another call: give each caller a copy",
		caches, false, func(kept *response) *response { return kept })
	kept("races: shares its header map", "answers: when a call follows another one, an answer shares its header map or its values with another answer: clone Header",
		caches, false, func(kept *response) *response { return copyOf(kept, kept.Header, nil) })
	kept("races: shares its header values", "answers: when a call follows another one, an answer shares its header map or its values with another answer: clone Header",
		caches, false, func(kept *response) *response { return copyOf(kept, maps.Clone(kept.Header), nil) })
	kept("keeps a partial answer as complete", `answers: when next answers partially, the caller gets 200 {"id":1,"name":"ada"} map[X-Proxytest-Answer:[a part of answer 1 is missing] X-Tag:[a b]] as complete: hand Err on, or do not keep the answer`,
		caches, true, func(kept *response) *response { return copyOf(kept, kept.Header.Clone(), nil) })
	first := true
	kept("gives a partial answer again as complete", "answers: when an earlier answer was partial, the caller gets 200",
		caches, true, func(kept *response) *response {
			if first && kept.Err != nil {
				first = false
				return copyOf(kept, kept.Header.Clone(), kept.Err)
			}
			return copyOf(kept, kept.Header.Clone(), nil)
		})
	kept("keeps answers and does not say so", "answers: the caller gets the answer of an earlier call, and the plan does not declare caches",
		pipe.CallsOnce, true, func(kept *response) *response { return copyOf(kept, kept.Header.Clone(), kept.Err) })
	kept("keeps complete answers and does not say so", "answers: when a call follows another one, an answer of next is given again, and the plan does not declare caches",
		pipe.CallsOnce|pipe.Stateful, false, func(kept *response) *response { return copyOf(kept, kept.Header.Clone(), nil) })
	kept("keeps documents and does not say so", "answers: when a call follows another one, an answer of next is given again, and the plan does not declare caches",
		pipe.CallsOnce|pipe.Stateful, false, func(kept *response) *response { return copyOf(kept, http.Header{}, nil) })
	kept("gives an answer again without a header", "answers: when a call is answered without next, the Header of the answer is nil",
		caches, false, func(kept *response) *response { return copyOf(kept, nil, nil) })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && strings.HasPrefix(tt.name, "races: ") {
				t.Skip("the race detector sees it first")
			}
			err := proxytest.Check(t, tt.decorator, tt.options)
			require.Error(t, err)
			assert.Contains(t, "\n"+err.Error(), "\n"+tt.want)
		})
	}
}

// abandoning returns at the end of its context, while next still runs with the request that hand
// returns.
func abandoning(hand func(*proxy.Request) *proxy.Request) proxy.Decorator {
	return decorator(pipe.CallsOnce, func(ctx context.Context, req *request, next proxy.Proxy) (*response, error) {
		type ended struct {
			res *proxy.Response
			err error
		}
		done := make(chan ended, 1)
		handed := hand(req)
		go func() {
			e := ended{err: &pipe.PanicError{Value: "runtime.Goexit"}}
			defer func() {
				if v := recover(); v != nil {
					e = ended{err: pipe.NewPanicError(v)}
				}
				done <- e
			}()
			e.res, e.err = next(ctx, handed)
		}()
		select {
		case e := <-done:
			return e.res, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}
