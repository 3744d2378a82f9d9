package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 6: a deadline holds even against a callee that ignores its context.

// proves L1, L18, M1, M2, M3, M8, M15, M19, M21, M35, M37, T3, T4, C1, C5, C6
func TestSequenceWithAFaultyStage(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		if f.optional == early-1 {
			continue // after another stage it has less time than beside it
		}
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, optional %t", f.name, optional), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { sequenceWithFault(t, f, optional) })
			})
		}
	}
}

// sequenceWithFault puts a fault between a stage that takes 200 ms and one that takes 50 ms. The
// sequence has a second of time.
func sequenceWithFault(t *testing.T, f fault, optional bool) {
	body, end, went := newBody("rows"), make(chan struct{}), false
	part := f.part(t, end, body)
	faulty := proxy.Stage{Name: "faulty", Proxy: part.Proxy, Optional: optional}
	if part.When != nil {
		faulty.When = func(ctx context.Context, req *proxy.Request, _ proxy.Results) bool { return part.When(ctx, req) }
	}
	last := answers(t, 50*time.Millisecond, `{"c":3}`)
	page := proxy.Sequence(
		proxy.Stage{Name: "a", Proxy: answers(t, others, `{"a":1}`)},
		faulty,
		proxy.Stage{Name: "c", Proxy: func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			went = true
			return last(ctx, req)
		}},
	)
	ctx, scope, reported := reports(t.Context())
	ctx, cancel := context.WithTimeout(ctx, full)
	defer cancel()
	start := time.Now()
	res, err := page(ctx, get())
	took := time.Since(start)
	defer res.Close()

	failure, want := err, others // if it fails at once
	if f.status == 0 && f.required > others {
		want += f.required // it is slow
	} else if f.required == full {
		if want = full; optional {
			want = early
		}
	}
	if optional || f.status == 0 {
		require.NoError(t, err)
		assert.Equal(t, `{"a":1,`+f.doc+`"c":3}`, res.Document.String())
		assert.Equal(t, 200, res.Status)
		assert.Equal(t, want+50*time.Millisecond, took)
		failure = res.Err
	} else {
		assert.Nil(t, res)
		assert.Equal(t, want, took)
		assert.False(t, went, "no later stage is called")
		assert.True(t, strings.HasPrefix(err.Error(), "sequence: "), "%v", err)
	}
	if f.status == 0 {
		assert.NoError(t, failure)
	} else {
		assert.Equal(t, f.status, proxy.StatusOf(failure), "%v", failure)
		assert.ErrorContains(t, failure, strings.ReplaceAll(f.text, "part faulty", "stage faulty"))
		assert.ErrorContains(t, failure, "faulty")
	}
	if f.is != nil {
		assert.ErrorIs(t, failure, f.is)
	}

	close(end)
	synctest.Wait()
	assert.Zero(t, scope.Abandoned(), "all came back")
	assert.Empty(t, reported, "what is in the answer is not reported beside it")
	if f.body {
		assertClosedOnce(t, body)
	}
}

// The functions of a stage are held like the stage itself.
//
// proves M3, M21, T3, T4, C6
func TestSequenceWithAFunctionThatMisbehaves(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	type end = <-chan struct{}
	tests := []struct {
		name   string
		f      func(ctx context.Context, end end) error
		status int
		text   string // after the name of the stage
		slow   bool
	}{
		{"fails", func(context.Context, end) error { return bug }, 502, "prepare: bug", false},
		{"fails with a status", func(context.Context, end) error { return &proxy.Error{Status: 400, Err: bug} }, 400, "prepare: bug", false},
		{"panics", func(context.Context, end) error { panic(bug) }, 500, "panic: bug", false},
		{"exits", func(context.Context, end) error { runtime.Goexit(); return nil }, 500, "panic: runtime.Goexit was called", false},
		{"ignores its context", func(_ context.Context, end end) error { <-end; return nil }, 504, "context deadline exceeded", true},
	}
	for _, tt := range tests {
		for _, optional := range []bool{false, true} {
			for _, asCondition := range []bool{false, true} {
				if asCondition && strings.HasPrefix(tt.name, "fails") {
					continue // a condition cannot fail like this
				}
				t.Run(fmt.Sprintf("%s, optional %t, as a condition %t", tt.name, optional, asCondition), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						end := make(chan struct{})
						stage := proxy.Stage{Name: "b", Proxy: sure(notCalled(t)), Optional: optional}
						if asCondition {
							stage.When = func(ctx context.Context, _ *proxy.Request, _ proxy.Results) bool { return tt.f(ctx, end) == nil }
						} else {
							stage.Prepare = func(ctx context.Context, _ *proxy.Request, _ proxy.Results) error { return tt.f(ctx, end) }
						}
						req, opened := withBody("text")
						page := proxy.Sequence(proxy.Stage{Name: "a", Proxy: says(t, `{"a":1}`)}, stage)
						ctx, scope, reported := reports(t.Context())
						ctx, cancel := context.WithTimeout(ctx, full)
						defer cancel()
						start := time.Now()
						res, err := page(ctx, req)
						took, want := time.Since(start), time.Duration(0)
						if tt.slow {
							if want = full; optional {
								want = early
							}
							assert.Equal(t, 1, scope.Abandoned())
						}
						assert.Equal(t, want, took)
						if optional {
							require.NoError(t, err)
							assert.Equal(t, `{"a":1}`, res.Document.String())
							assert.EqualError(t, res.Err, "stage b: "+tt.text)
							assert.Equal(t, tt.status, proxy.StatusOf(res.Err))
						} else {
							assert.EqualError(t, err, "sequence: stage b: "+tt.text)
							assert.Equal(t, tt.status, proxy.StatusOf(err))
						}
						close(end)
						synctest.Wait()
						assert.Zero(t, scope.Abandoned())
						assert.Empty(t, reported)
						assertClosedOnce(t, *opened...)
					})
				})
			}
		}
	}
}

// proves M22, T2
func TestSequenceCallsNoFurtherStageWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, optional := range []bool{false, true} {
		for name, stage := range map[string]func(end <-chan struct{}) proxy.Proxy{
			"that honours its context": func(<-chan struct{}) proxy.Proxy { return sure(hangs) },
			"that may ignore it":       func(<-chan struct{}) proxy.Proxy { return hangs },
			"that ignores it":          func(end <-chan struct{}) proxy.Proxy { return deaf(end, func() *proxy.Response { return nil }) },
			"that answers all the same": func(<-chan struct{}) proxy.Proxy {
				return sure(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
					<-ctx.Done()
					return &proxy.Response{}, nil
				})
			},
		} {
			t.Run(fmt.Sprintf("during a stage %s, optional %t", name, optional), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					end := make(chan struct{})
					page := proxy.Sequence(
						proxy.Stage{Name: "a", Proxy: stage(end), Optional: optional},
						proxy.Stage{Name: "b", Proxy: notCalled(t), Optional: optional},
						proxy.Stage{Name: "c", Proxy: sure(notCalled(t))},
					)
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(300*time.Millisecond, cancel)
					start := time.Now()
					_, err := page(ctx, get())
					assert.Equal(t, 300*time.Millisecond, time.Since(start))
					assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
					close(end)
				})
			})
		}
	}
}

// proves M23
func TestSequenceCallsNothingOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, opened := withBody("x")
	_, err := proxy.Sequence(proxy.Stage{Name: "a", Proxy: notCalled(t), Optional: true}, proxy.Stage{Name: "b", Proxy: sure(notCalled(t))})(ctx, req)
	assert.EqualError(t, err, "sequence: context canceled")
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Empty(t, *opened, "nor is the body opened")
}

// A context that ended at our own deadline is 504, no matter which code notices it.
func TestSequenceAtOurDeadlineIsAlwaysAGatewayTimeout(t *testing.T) {
	t.Parallel()
	for _, how := range []func(proxy.Proxy) proxy.Proxy{sure, func(p proxy.Proxy) proxy.Proxy { return p }} {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				ctx := call.After(t.Context(), time.Second)
				defer ctx.Cancel()
				_, err := proxy.Sequence(
					proxy.Stage{Name: "a", Proxy: how(answers(t, time.Second/2, `{}`))},
					proxy.Stage{Name: "b", Proxy: how(answers(t, time.Hour, `{}`))},
				)(ctx, get())
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
				assert.NotErrorIs(t, err, context.Canceled)
			})
		}
	}
}

// proves M2, T3
func TestAnOptionalStageLeavesTimeForTheAnswer(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	tests := []struct {
		name          string
		deadline, end time.Duration
	}{
		{"a tenth of a second", time.Second, 900 * time.Millisecond},
		{"at most 250 ms", 10 * time.Second, 9750 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				page := proxy.Sequence(
					proxy.Stage{Name: "a", Proxy: says(t, `{"a":1}`)},
					proxy.Stage{Name: "b", Proxy: hangs, Optional: true},
					proxy.Stage{Name: "c", Proxy: notCalled(t), Optional: true},
					proxy.Stage{Name: "d", Proxy: says(t, `{"d":4}`)},
				)
				outer := proxy.Merge(proxy.Part{Name: "page", Proxy: page, Optional: true}, proxy.Part{Name: "x", Proxy: says(t, `{"x":0}`)})
				for how, p := range map[string]proxy.Proxy{"alone": page, "inside an optional part": outer} {
					ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
					start := time.Now()
					res, err := p(ctx, get())
					cancel()
					require.NoError(t, err)
					assert.Equal(t, tt.end, time.Since(start), how)
					if how == "alone" {
						assert.Equal(t, `{"a":1,"d":4}`, res.Document.String())
						assert.EqualError(t, res.Err, "stage b: context deadline exceeded\nstage c: context deadline exceeded")
					}
				}
			})
		})
	}
}

func TestSequenceFailsWhereNoStageIsLeftToAnswer(t *testing.T) {
	t.Parallel()
	boom := func(name string, status int) proxy.Stage {
		return proxy.Stage{Name: name, Optional: true, Proxy: fails(&proxy.Error{Status: status, Err: errors.New("boom")})}
	}
	token := proxy.Stage{Name: "token", Internal: true, Proxy: says(t, `1`)}
	for _, stages := range [][]proxy.Stage{
		{boom("a", 404), boom("b", 503)},
		{token, boom("a", 404), boom("b", 503)},
		{boom("a", 404), token, boom("b", 503)},
	} {
		_, err := proxy.Sequence(stages...)(t.Context(), get())
		assert.EqualError(t, err, "sequence: stage a: boom\nstage b: boom")
		assert.Equal(t, 503, proxy.StatusOf(err))
	}
	_, err := proxy.Sequence(token, boom("a", 404))(t.Context(), get())
	assert.EqualError(t, err, "sequence: stage a: boom", "also where it would be the answer as it is")

	internal := boom("i", 404)
	internal.Internal = true
	res, err := proxy.Sequence(internal, proxy.Stage{Name: "a", Proxy: says(t, `{}`)})(t.Context(), get())
	require.NoError(t, err)
	assert.EqualError(t, res.Err, "stage i: boom")
}

// proves M21
func TestSequenceReportsAPanicThatItsErrorDoesNotHold(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	bad := proxy.Stage{Name: "bad", Optional: true, Proxy: called(func() (*proxy.Response, error) { panic(bug) })}
	ctx, _, reported := reports(t.Context())
	_, err := proxy.Sequence(bad, proxy.Stage{Name: "b", Proxy: fails(errors.New("boom"))})(ctx, get())
	assert.EqualError(t, err, "sequence: stage b: boom")
	require.Len(t, reported, 1)
	assert.ErrorIs(t, <-reported, bug)
}

// proves M35, M37, C5, T3
func TestALateStageIsClosedAndItsPanicReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body, end := newBody("late"), make(chan struct{})
		req, opened := withBody("text")
		late := func(last proxy.Proxy) error {
			ctx, _, reported := reports(t.Context())
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := proxy.Sequence(proxy.Stage{Name: "a", Proxy: says(t, `1`), Internal: true}, proxy.Stage{Name: "b", Proxy: last})(ctx, req)
			assert.Equal(t, 504, proxy.StatusOf(err))
			close(end)
			synctest.Wait()
			select {
			case err := <-reported:
				return err
			default:
				return nil
			}
		}
		assert.NoError(t, late(deaf(end, func() *proxy.Response { return &proxy.Response{Body: body} })))
		assertClosedOnce(t, body)
		end = make(chan struct{})
		assert.ErrorContains(t, late(deaf(end, func() *proxy.Response { panic("late") })), "late")
		assertClosedOnce(t, *opened...)
	})
}

// proves C6
func TestSequenceIsRefusedWhileTooManyOfItsCallsAreAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		leaf := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			if req.Method == "STUCK" {
				<-end
			}
			return &proxy.Response{}, nil
		})
		page := proxy.Sequence(proxy.Stage{Name: "a", Proxy: leaf}, proxy.Stage{Name: "b", Proxy: sure(says(t, `{"b":2}`))})
		lenient := proxy.Sequence(proxy.Stage{Name: "a", Proxy: leaf, Optional: true}, proxy.Stage{Name: "b", Proxy: sure(says(t, `{"b":2}`))})
		for range proxy.DefaultMaxAbandoned {
			for i, p := range []proxy.Proxy{page, lenient} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				_, err := p(ctx, proxy.NewRequest("STUCK", "/"))
				assert.Equal(t, i == 0, err != nil)
				cancel()
			}
		}
		_, err := page(t.Context(), get())
		assert.ErrorIs(t, err, proxy.ErrAbandoned)
		assert.Equal(t, 503, proxy.StatusOf(err))
		res, err := lenient(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"b":2}`, res.Document.String())
		assert.ErrorIs(t, res.Err, proxy.ErrAbandoned)
		close(end)
		synctest.Wait()
		_, err = page(t.Context(), get())
		assert.NoError(t, err)
	})
}

// proves C6
func TestContract6ASureStageStartsNoGoroutine(t *testing.T) {
	t.Parallel()
	var ran [3]string
	note := func(i int) proxy.Proxy {
		return called(func() (*proxy.Response, error) {
			ran[i] = goroutine()
			return &proxy.Response{Document: asDocument(t, `{"id":1}`)}, nil
		})
	}
	_, err := proxy.Sequence(
		proxy.Stage{Name: "a", Proxy: sure(note(0))},
		proxy.Stage{Name: "b", Proxy: note(1)},
		proxy.Stage{Name: "c", Proxy: sure(note(2)), Bind: []proxy.Binding{proxy.Bind("x", "a", "id")}},
	)(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, []bool{true, false, true}, []bool{ran[0] == goroutine(), ran[1] == goroutine(), ran[2] == goroutine()})
}

// proves M37, M19
func TestSequenceClosesEveryResponseButItsAnswerOnce(t *testing.T) {
	t.Parallel()
	bodies := []*countedBody{newBody("a"), newBody("b"), newBody("c")}
	answer := func(i int) proxy.Proxy {
		return called(func() (*proxy.Response, error) {
			return &proxy.Response{Document: asDocument(t, `{}`), Body: bodies[i]}, nil
		})
	}
	res, err := proxy.Sequence(
		proxy.Stage{Name: "a", Proxy: answer(0), Internal: true, Optional: true},
		proxy.Stage{Name: "b", Proxy: answer(1), Internal: true, Optional: true},
		proxy.Stage{Name: "c", Proxy: answer(2)},
	)(t.Context(), get())
	require.NoError(t, err)
	assert.ErrorIs(t, res.Err, proxy.ErrStream)
	assertClosedOnce(t, bodies[:2]...)
	rows, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "c", string(rows))
	assert.Zero(t, bodies[2].closed.Load())
	require.NoError(t, res.Close())
	assertClosedOnce(t, bodies...)
}
