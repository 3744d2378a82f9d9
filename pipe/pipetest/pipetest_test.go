package pipetest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

// A question and an answer are what the pipes of these tests take and give.
type question struct{ words map[string]string }

type answer struct{ text string }

type (
	asking    = pipe.Pipe[*question, *answer]
	decorator = pipe.Decorator[*question, *answer]
	subject   = pipetest.Subject[*question, *answer]
)

// of completes a subject of these types.
func of(s subject) subject {
	s.Request = func() *question { return &question{words: map[string]string{"who": "ada"}} }
	s.Response = func() *answer { return &answer{text: "hello"} }
	s.Snapshot = func(q *question) any { return maps.Clone(q.words) }
	s.Scribble = func(q *question) { q.words["who"] = "scribbled" }
	return s
}

// described returns a decorator that does what call does and declares effects.
func described(effects pipe.Effects, call func(ctx context.Context, q *question, next asking) (*answer, error)) decorator {
	return func(next asking) asking {
		return pipe.Describe(func(ctx context.Context, q *question) (*answer, error) { return call(ctx, q, next) },
			pipe.Step{Kind: "wrong", Effects: effects}, next)
	}
}

func once(call func(ctx context.Context, q *question, next asking) (*answer, error)) decorator {
	return described(pipe.CallsOnce, call)
}

func passOn(next asking) asking {
	return func(ctx context.Context, q *question) (*answer, error) { return next(ctx, q) }
}

func TestDecoratorsThatKeepTheLaws(t *testing.T) {
	t.Parallel()
	noted := func(context.Context, pipe.Observation[*question, *answer]) {}
	for name, s := range map[string]subject{
		"a plain function":    {Decorator: passOn},
		"only a name":         {Decorator: pipe.Named("mine", func(next asking) asking { return next })},
		"named":               {Decorator: pipe.Named("mine", passOn)},
		"several":             {Decorator: pipe.Chain(passOn, pipe.Named("mine", passOn), pipe.Recover)},
		"none":                {Decorator: pipe.Chain[*question, *answer]()},
		"recover":             {Decorator: pipe.Recover[*question, *answer], Recovers: true},
		"observe":             {Decorator: pipe.Observe(noted)},
		"with a state":        {New: func() decorator { return serial() }},
		"tries again":         {Decorator: twice},
		"answers itself":      {Decorator: fallback, Answers: true},
		"changes the answer":  {Decorator: shout, Same: func(got, answered *answer) bool { return got.text == strings.ToUpper(answered.text) }},
		"with its own time":   {Decorator: impatient},
		"returns in any case": {Decorator: holds},
		"replaces next":       {Decorator: replacing(nil), Answers: true},
		"needs an identity": {Decorator: identified, Context: func() context.Context {
			return context.WithValue(context.Background(), userKey{}, "ada")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pipetest.Laws(t, of(s))
		})
	}
}

func TestASubjectWithAsLittleAsPossible(t *testing.T) {
	t.Parallel()
	pipetest.Laws(t, subject{Decorator: passOn})
	pipetest.Laws(t, pipetest.Subject[int, string]{Decorator: pipe.Recover[int, string], Recovers: true})
	pipetest.Laws(t, pipetest.Subject[struct{}, []byte]{Decorator: func(next pipe.Pipe[struct{}, []byte]) pipe.Pipe[struct{}, []byte] {
		return next
	}, Response: func() []byte { return []byte("x") }})
}

// replacing returns a decorator that lets another pipe answer, and describes what inside says.
func replacing(inside func(next asking) []pipe.Any) decorator {
	return func(next asking) asking {
		step := pipe.Step{Kind: "maintenance", Effects: pipe.Terminal | pipe.HonoursContext}
		var inner []pipe.Any
		if inside != nil {
			step.Effects, inner = pipe.CallsOnce|pipe.HonoursContext, inside(next)
		}
		return pipe.Describe(func(context.Context, *question) (*answer, error) { return &answer{text: "closed"}, nil }, step, inner...)
	}
}

type userKey struct{}

// identified refuses a caller who is nobody.
var identified = once(func(ctx context.Context, q *question, next asking) (*answer, error) {
	if ctx.Value(userKey{}) == nil {
		return nil, errors.New("who are you?")
	}
	return next(ctx, q)
})

// serial lets one call run at a time.
func serial() decorator {
	turn := make(chan struct{}, 1)
	return described(pipe.CallsOnce|pipe.Stateful, func(ctx context.Context, q *question, next asking) (*answer, error) {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-turn }()
		return next(ctx, q)
	})
}

var twice = described(pipe.CallsMany, func(ctx context.Context, q *question, next asking) (*answer, error) {
	a, err := next(ctx, q)
	if err != nil && ctx.Err() == nil {
		return next(ctx, q)
	}
	return a, err
})

var fallback = once(func(ctx context.Context, q *question, next asking) (*answer, error) {
	a, err := next(ctx, q)
	if err != nil || a == nil {
		return &answer{text: "sorry"}, nil
	}
	return a, err
})

var shout = once(func(ctx context.Context, q *question, next asking) (*answer, error) {
	a, err := next(ctx, q)
	if err != nil || a == nil {
		return nil, errors.Join(err, errNone(a, err))
	}
	return &answer{text: strings.ToUpper(a.text)}, nil
})

func errNone(a *answer, err error) error {
	if a == nil && err == nil {
		return errors.New("no answer")
	}
	return nil
}

var impatient = once(func(ctx context.Context, q *question, next asking) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	return next(ctx, q)
})

// holds returns at the end of its context, whatever next does.
var holds = described(pipe.CallsOnce|pipe.HonoursContext, func(ctx context.Context, q *question, next asking) (*answer, error) {
	type ended struct {
		a   *answer
		err error
	}
	done := make(chan ended, 1)
	own := &question{words: maps.Clone(q.words)}
	go func() {
		e := ended{err: &pipe.PanicError{Value: "goexit"}}
		defer func() {
			if v := recover(); v != nil {
				e = ended{err: pipe.NewPanicError(v)}
			}
			done <- e
		}()
		e.a, e.err = next(ctx, own)
	}()
	select {
	case e := <-done:
		return e.a, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
})

// Every law has decorators that break it, each with the message that says so.
func TestDecoratorsThatBreakALaw(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		decorator decorator
		want      string
		more      func(*subject)
	}{
		{"does not call next", once(func(context.Context, *question, asking) (*answer, error) {
			return nil, errors.New("refused")
		}), "success: next was not called (err: refused); if the decorator may answer or refuse calls itself, set Answers", nil},
		{"fails where next answers", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			_, _ = next(ctx, q)
			return nil, errors.New("always")
		}), "success: next answered and the call failed: always", nil},
		{"changes the answer", shout, "success: the caller got &{text:HELLO} where next answered &{text:hello}", nil},
		{"passes on another answer", described(pipe.CallsOnce|pipe.PassesOn, func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil || a == nil {
				return a, err
			}
			return &answer{text: a.text}, nil
		}), "success: when next answers, the caller got &{text:hello}, which is not from next, and the plan declares passes-on", nil},
		{"passes on an answer of its own", described(pipe.CallsOnce|pipe.PassesOn, func(ctx context.Context, q *question, next asking) (*answer, error) {
			if a, err := next(ctx, q); err == nil {
				return a, nil
			}
			return &answer{text: "sorry"}, nil
		}), "errors: when next fails, the caller got &{text:sorry}, which is not from next, and the plan declares passes-on", func(s *subject) { s.Answers = true }},
		{"hides the values of the context", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			own, cancel := context.WithCancel(context.Background())
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return next(own, q)
		}), "success: the context of next lacks the values of the caller's", nil},
		{"remembers the first next", remembering(), "success: a decorator that is used twice calls the next of another pipe", nil},

		{"cuts the context off", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			return next(context.WithoutCancel(ctx), q)
		}), "cancellation: when its context is cancelled, the call never returned", nil},
		{"returns too late", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil {
				<-time.After(time.Second)
			}
			return a, err
		}), "cancellation: when the deadline of its context passes, the call went on for 1s", nil},
		{"answers nobody", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if ctx.Err() != nil {
				return &answer{}, nil
			}
			return a, err
		}), "cancellation: when its context is cancelled, the call answered &{text:}", nil},
		{"hides why the context ended", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if ctx.Err() != nil {
				return nil, errors.New("too late")
			}
			return a, err
		}), "cancellation: when its context is cancelled, the error is not context canceled: too late", nil},
		{"takes its time with nobody there", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			if ctx.Err() != nil {
				<-time.After(time.Second)
			}
			return next(ctx, q)
		}), "cancellation: with a context that has already ended, the call took 1s", nil},
		{"leaves next running", described(pipe.CallsOnce, func(ctx context.Context, q *question, next asking) (*answer, error) {
			own, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Hour)
			done := make(chan *answer, 1)
			go func() {
				defer cancel()
				defer func() { _ = recover() }()
				a, _ := next(own, &question{words: maps.Clone(q.words)})
				done <- a
			}()
			select {
			case a := <-done:
				return a, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}), "cancellation: when its context is cancelled, the context of next is still alive", nil},
		{"declares a deadline that it does not hold", described(pipe.CallsOnce|pipe.HonoursContext,
			func(ctx context.Context, q *question, next asking) (*answer, error) { return next(ctx, q) },
		), "cancellation: the plan declares honours-context, and the call did not return at the end of its context when next ignores it", nil},

		{"returns nothing", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil {
				return nil, nil
			}
			return a, nil
		}), "result: when next fails, the call returned neither a response nor an error", nil},
		{"returns both", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			_, err := next(ctx, q)
			return &answer{text: "hello"}, err
		}), "result: when next fails, the call returned a response and an error", nil},
		{"loses an error that came with a response", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if a != nil {
				return a, nil
			}
			return a, err
		}), "result: when next returns a response and an error, the call lost the error", nil},
		{"ends its goroutine", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil {
				runtime.Goexit()
			}
			return a, err
		}), "errors: when next fails, the call ended its goroutine", nil},
		{"relies on next", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err == nil {
				a.text += ""
			}
			return a, err
		}), "result: when next returns neither a response nor an error, the call panicked: runtime error: invalid memory address", nil},
		{"makes an answer up", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err == nil && a == nil {
				a = &answer{}
			}
			return a, err
		}), "result: when next returns neither a response nor an error, the call made up a response: &{text:}, want an error", nil},

		{"races: writes to the request later", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			time.AfterFunc(time.Second, func() { q.words["late"] = "yes" })
			return next(ctx, q)
		}), "request: after an answer, the caller's request was changed once the call had returned", nil},
		{"calls next later", described(pipe.CallsMany, func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			time.AfterFunc(time.Second, func() {
				defer func() { _ = recover() }()
				_, _ = next(ctx, q)
			})
			return a, err
		}), "request: after an answer, next was called with the caller's request once the call had returned: hand on a copy", nil},
		{"leaves its request to next", abandoning(func(q *question) *question { return q }),
			"request: when the call returned before next had, next had the caller's request: hand on a copy", nil},
		{"comes to no end after a failure", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil {
				<-ctx.Done()
			}
			return a, err
		}), "request: after a failure, the call never returned", nil},
		{"makes a flat copy", abandoning(func(q *question) *question { return &question{words: q.words} }),
			"request: when the call returned before next had, the request of next shared memory with the caller's", nil},

		{"hides the failure", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("wrong: %v", err)
			}
			return a, nil
		}), `errors: errors.Is does not find the failure of next in the error "wrong: the failure of next": wrap it`, nil},
		{"answers a failure", fallback, "errors: next failed and the call answered &{text:sorry}; if the decorator may answer calls itself, set Answers", nil},

		{"keeps a turn after a panic", nil, "panics: when next panics, the next call never returned", func(s *subject) {
			s.New = func() decorator {
				turn := make(chan struct{}, 1)
				return once(func(ctx context.Context, q *question, next asking) (*answer, error) {
					take(turn)
					a, err := next(ctx, q)
					<-turn
					return a, err
				})
			}
		}},
		{"loses a panic", once(func(ctx context.Context, q *question, next asking) (a *answer, err error) {
			done := make(chan struct{})
			go func() {
				defer func() { _ = recover() }()
				a, err = next(ctx, q)
				close(done)
			}()
			await(done)
			return a, err
		}), "panics: when next panics, the call never returned", nil},
		{"answers a panic", once(func(ctx context.Context, q *question, next asking) (a *answer, err error) {
			defer func() {
				if recover() != nil {
					a = &answer{text: "fine"}
				}
			}()
			return next(ctx, q)
		}), "panics: when next panics, the call answered &{text:fine}", nil},
		{"makes a common error of a panic", once(func(ctx context.Context, q *question, next asking) (a *answer, err error) {
			defer func() {
				if v := recover(); v != nil {
					err = fmt.Errorf("failed: %v", v)
				}
			}()
			return next(ctx, q)
		}), "panics: when next panics, the error does not wrap a *pipe.PanicError: failed: a panic of next", nil},
		{"promises to recover", passOn, "panics: when next panics, the panic went on although the decorator promises an error",
			func(s *subject) { s.Recovers = true }},

		{"calls more often than declared", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			a, err := next(ctx, q)
			if err != nil && ctx.Err() == nil {
				return next(ctx, q)
			}
			return a, err
		}), "calls: next was called 2 times when it fails, and the plan does not declare calls-many", nil},
		{"calls although it is a leaf", described(pipe.Terminal, func(ctx context.Context, q *question, next asking) (*answer, error) {
			return next(ctx, q)
		}), "calls: next was called 1 times when it answers, and the plan declares terminal", nil},

		{"mixes the answers", nil, "concurrency: when several calls run at once, one got an answer that is not its own", func(s *subject) {
			s.New = func() decorator {
				var last atomic.Pointer[answer]
				return once(func(ctx context.Context, q *question, next asking) (*answer, error) {
					a, err := next(ctx, q)
					if err != nil || a == nil {
						return a, err
					}
					last.CompareAndSwap(nil, a)
					return last.Load(), nil
				})
			}
		}},

		{"hides next", func(next asking) asking {
			return pipe.Describe(func(ctx context.Context, q *question) (*answer, error) { return next(ctx, q) },
				pipe.Step{Kind: "hiding", Effects: pipe.CallsOnce})
		}, `plan: the step "hiding" does not have next inside: name it in pipe.Describe`, nil},
		{"shows next and never calls it", replacing(func(next asking) []pipe.Any { return []pipe.Any{next} }),
			`plan: calls are answered and next is never called, and the step "maintenance" has next inside: describe the pipe that answers instead`,
			func(s *subject) { s.Answers = true }},
		{"shows next behind the pipe that answers", replacing(func(next asking) []pipe.Any {
			other := pipe.Describe(next, pipe.Step{Kind: "other", Effects: pipe.Terminal})
			return []pipe.Any{other, next}
		}), `plan: calls are answered and next is never called, and the step "maintenance" has next inside`, func(s *subject) { s.Answers = true }},
		{"hides next although it may answer", func(next asking) asking {
			return pipe.Describe(func(ctx context.Context, q *question) (*answer, error) { return fallback(next)(ctx, q) },
				pipe.Step{Kind: "hiding", Effects: pipe.CallsOnce})
		}, `plan: the step "hiding" does not have next inside: name it in pipe.Describe`, func(s *subject) { s.Answers = true }},
		{"needs an identity", identified, "success: next was not called (err: who are you?)", nil},
		{"declares nothing", described(0, func(ctx context.Context, q *question, next asking) (*answer, error) { return next(ctx, q) }),
			`plan: the step "wrong" does not declare how often it calls its inner pipe: calls-once or calls-many`, nil},
		{"declares two things", described(pipe.CallsOnce|pipe.CallsMany, func(ctx context.Context, q *question, next asking) (*answer, error) {
			return next(ctx, q)
		}), `plan: the step "wrong" declares both calls-once and calls-many`, nil},
		{"is a leaf with something inside", described(pipe.Terminal, func(ctx context.Context, q *question, next asking) (*answer, error) {
			return next(ctx, q)
		}), `plan: the step "wrong" declares terminal although next is inside`, nil},
		{"has a step without a kind", func(next asking) asking {
			return pipe.Describe(next, pipe.Step{Kind: "group", Acts: pipe.None, Steps: []*pipe.Step{{}}}, next)
		}, "plan: a step of the plan has no kind", nil},
		{"has a fault", func(next asking) asking {
			return pipe.Describe(next, pipe.Step{Kind: "faulty", Effects: pipe.CallsOnce, Err: errors.New("no such path")}, next)
		}, "plan: the plan has faults: no such path", nil},
		{"calls at wiring", func(next asking) asking {
			_, _ = next(context.Background(), &question{words: map[string]string{}})
			return next
		}, "plan: next was called 2 times while the pipe was made and planned", nil},
		{"returns nil", func(asking) asking { return nil }, "plan: the decorator returned a nil pipe", nil},

		{"leaves a goroutine for a day", once(func(ctx context.Context, q *question, next asking) (*answer, error) {
			go sleepForADay()
			return next(ctx, q)
		}), "success: deadlock: main bubble goroutine has exited but blocked goroutines remain\ngoroutines left: 4, such as this one:\ngoroutine", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if raceEnabled && strings.HasPrefix(tt.name, "races: ") {
				t.Skip("the race detector sees it first")
			}
			s := of(subject{Decorator: tt.decorator})
			if tt.more != nil {
				tt.more(&s)
			}
			err := pipetest.Check(t, s)
			require.Error(t, err)
			assert.Contains(t, "\n"+err.Error(), "\n"+tt.want)
		})
	}
}

func sleepForADay() { <-time.After(24 * time.Hour) }

// Functions that block forever here, which goleak ignores.

func await(done chan struct{}) { <-done }
func take(turn chan struct{})  { turn <- struct{}{} }

// remembering is a decorator that keeps the first next that it got.
func remembering() decorator {
	var mu sync.Mutex
	var first asking
	return func(next asking) asking {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = next
		}
		kept := first
		return func(ctx context.Context, q *question) (*answer, error) { return kept(ctx, q) }
	}
}

// abandoning returns at the end of its context, while next still runs with the request that hand
// returns.
func abandoning(hand func(*question) *question) decorator {
	return once(func(ctx context.Context, q *question, next asking) (*answer, error) {
		done := make(chan error, 1)
		var a *answer
		handed := hand(q)
		go func() {
			err := errors.New("no end")
			defer func() {
				_ = recover()
				done <- err
			}()
			a, err = next(ctx, handed)
		}()
		select {
		case err := <-done:
			return a, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func TestALawOfYourOwn(t *testing.T) {
	t.Parallel()
	polite := pipetest.Law[*question, *answer]{Name: "polite", Check: func(t testing.TB, s subject) {
		thanks := asking(func(context.Context, *question) (*answer, error) { return &answer{text: "thanks"}, nil })
		o := pipetest.Try(t.Context(), thanks.With(s.Decorator), s.Request())
		require.True(t, o.Returned())
		assert.Equal(t, "thanks", o.Res.text)
	}}
	err := pipetest.Check(t, of(subject{Decorator: passOn, Laws: []pipetest.Law[*question, *answer]{polite}}))
	assert.NoError(t, err)
	err = pipetest.Check(t, of(subject{Decorator: shout, Laws: []pipetest.Law[*question, *answer]{polite}}))
	assert.ErrorContains(t, err, "polite: ")
	assert.ErrorContains(t, err, `actual  : "THANKS"`)
}

func TestALawThatNeverEnds(t *testing.T) {
	t.Parallel()
	s := of(subject{Decorator: passOn})
	s.Laws = []pipetest.Law[*question, *answer]{
		{Name: "waits", Check: func(testing.TB, subject) { await(nil) }},
		{Name: "panics", Check: func(testing.TB, subject) { panic("boom") }},
		{Name: "fails", Check: func(t testing.TB, _ subject) {
			t.Cleanup(func() { t.Error("and last") })
			t.FailNow()
		}},
	}
	err := pipetest.Check(t, s)
	assert.ErrorContains(t, err, "waits: the law never ended")
	assert.ErrorContains(t, err, "panics: panicked: boom")
	assert.ErrorContains(t, err, "fails: failed\nfails: and last")
}

func TestTryTellsHowACallEnded(t *testing.T) {
	t.Parallel()
	law := func(check func(t testing.TB)) {
		s := of(subject{Decorator: passOn, Laws: []pipetest.Law[*question, *answer]{{Name: "try",
			Check: func(t testing.TB, _ subject) { check(t) }}}})
		assert.NoError(t, pipetest.Check(t, s))
	}
	law(func(t testing.TB) {
		o := pipetest.Try(t.Context(), asking(func(ctx context.Context, _ *question) (*answer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), nil)
		assert.True(t, o.Hung)
		assert.Equal(t, pipetest.Patience, o.Took)
		assert.False(t, o.Returned())
	})
	law(func(t testing.TB) {
		o := pipetest.Try(t.Context(), asking(func(context.Context, *question) (*answer, error) { panic("boom") }), nil)
		assert.Equal(t, "boom", o.Panic)
	})
}
