package proxytest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
)

// callKey is the key of a context for the number of a call.
type callKey struct{}

// markName is the header that says which answer of next an answer is made of.
const markName = "X-Proxytest-Answer"

// answers tests what becomes of the answers of several calls of one proxy.
func (r rules) answers(t testing.TB, s subject) {
	for _, f := range forms {
		for _, check := range []func(testing.TB, subject, form){r.shared, r.again, r.partial} {
			if s.New != nil {
				s.Decorator = s.New() // one that keeps nothing yet
			}
			check(t, s, f)
		}
	}
}

// shared tests that two answers share no memory that a caller may write. All calls have equal
// requests, so that one that keeps answers gives them again.
func (r rules) shared(t testing.TB, s subject, f form) {
	p := f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		select {
		case <-time.After(soon): // so that two calls meet
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return r.Response(), nil
	})
	var earlier []*proxy.Response
	check := func(when string, res *proxy.Response) {
		switch {
		case slices.Contains(earlier, res):
			t.Errorf("%s, a call got the very response of another call: give each caller a copy (%s)", when, f.name)
		case scribbled(res.Header):
			t.Errorf("%s, an answer shares its header map or its values with another answer: clone Header (%s)", when, f.name)
		}
	}
	for range 3 {
		ctx, cancel := context.WithCancel(s.Context())
		req := s.Request()
		o := pipetest.Try(ctx, p, req)
		cancel()
		if !o.Returned() || o.Err != nil || o.Res == nil {
			continue
		}
		const when = "when a call follows another one"
		check(when, o.Res)
		scribble(req) // it is the caller's
		if !slices.Contains(earlier, o.Res) && scribbled(o.Res.Header) && len(earlier) == 0 {
			t.Errorf("an answer shares memory with the request of its caller: clone what it takes (%s)", f.name)
		}
		scribbleHeader(o.Res.Header)
		_ = o.Res.Close()
		earlier = append(earlier, o.Res)
	}

	outcomes := make([]pipetest.Outcome[*proxy.Response], 2)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(s.Context())
			defer cancel()
			outcomes[i] = pipetest.Try(ctx, p, s.Request())
		})
	}
	wg.Wait()
	for _, o := range outcomes {
		if !o.Returned() || o.Err != nil || o.Res == nil {
			continue
		}
		check("when two calls run at once", o.Res)
		scribbleHeader(o.Res.Header)
		_ = o.Res.Close()
		earlier = append(earlier, o.Res)
	}
}

const scribbles = "scribbled"

func scribbleHeader(h http.Header) {
	for _, values := range h {
		for i := range values {
			values[i] = scribbles
		}
	}
	if h != nil {
		h["Scribbled"] = []string{scribbles}
	}
}

func scribbled(h http.Header) bool {
	for _, values := range h {
		if slices.Contains(values, scribbles) {
			return true
		}
	}
	return false
}

// again tests calls that are answered without next, where next answers completely: whoever does so
// with an answer of an earlier call gives it again.
func (r rules) again(t testing.TB, s subject, f form) {
	var mu sync.Mutex // guards given
	var given []*proxy.Response
	p := f.around(s.Decorator, func(context.Context, *proxy.Request) (*proxy.Response, error) {
		res := r.Response()
		mu.Lock()
		defer mu.Unlock()
		given = append(given, &proxy.Response{Status: res.Status, Header: res.Header.Clone(), Document: res.Document})
		if res.Header != nil {
			res.Header.Set(markName, fmt.Sprint("answer ", len(given)))
		}
		return res, nil
	})
	effects, _ := r.inPlan(p)
	for range 3 {
		ctx, cancel := context.WithCancel(s.Context())
		mu.Lock()
		earlier := len(given)
		mu.Unlock()
		o := pipetest.Try(ctx, p, s.Request())
		cancel()
		if !o.Returned() || o.Err != nil || o.Res == nil {
			continue // other laws say what is wrong with that
		}
		_ = o.Res.Close()
		mu.Lock()
		answers := slices.Clone(given)
		mu.Unlock()
		if len(answers) > earlier {
			continue // next answered
		}
		if o.Res.Header == nil && (earlier == 0 || answers[0].Header != nil) {
			t.Errorf("when a call is answered without next, the Header of the answer is nil (%s)", f.name)
		}
		if earlier > 0 && !effects.Has(pipe.Caches) && r.made(o.Res, answers[0]) {
			t.Errorf("when a call follows another one, an answer of next is given again, and the plan does not declare %v (%s)",
				pipe.Caches, f.name)
		}
	}
}

// made reports whether a response is made of an answer of next, which were all like answered.
func (r rules) made(res, answered *proxy.Response) bool {
	return res.Header.Get(markName) != "" || r.same(res, answered) ||
		!answered.Document.IsZero() && res.Document.String() == answered.Document.String()
}

// A lacking is why the nth answer of next is partial.
type lacking struct{ n int }

func (e *lacking) Error() string { return fmt.Sprintf("a part of answer %d is missing", e.n) }

// partial tests two calls whose next answers partially, each time for another reason. The reason
// tells of which answer of next the caller's is made.
func (r rules) partial(t testing.TB, s subject, f form) {
	var mu sync.Mutex // guards given
	given := map[*lacking]any{}
	p := f.around(s.Decorator, func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		res := r.Response()
		mu.Lock()
		defer mu.Unlock()
		why := &lacking{len(given) + 1}
		given[why] = ctx.Value(callKey{})
		if res.Header != nil {
			res.Header.Set(markName, why.Error())
		}
		res.Err = why
		return res, nil
	})
	effects, alone := r.inPlan(p)
	for n := range 2 {
		ctx, cancel := context.WithCancel(context.WithValue(s.Context(), callKey{}, n))
		o := pipetest.Try(ctx, p, s.Request())
		cancel()
		if !o.Returned() || o.Err != nil || o.Res == nil {
			continue // other laws say what is wrong with that
		}
		_ = o.Res.Close()
		mu.Lock()
		own, other, called := false, false, false
		for why, call := range given {
			is := errors.Is(o.Res.Err, why) || o.Res.Header.Get(markName) == why.Error()
			own = own || is && call == n
			other = other || is && call != n
			called = called || call == n
		}
		mu.Unlock()
		when := "when next answers partially"
		if !called {
			when = "when an earlier answer was partial"
		}
		complete := r.Response()
		_, partial := errors.AsType[*lacking](o.Res.Err)
		partial = partial || other && o.Res.Err != nil // a kept answer may have lost what was missing
		if !partial && (own || other || called && r.same(o.Res, complete)) {
			t.Errorf("%s, the caller gets %s as complete: hand Err on, or do not keep the answer (%s)", when, show(o.Res), f.name)
			continue
		}
		switch {
		case own:
		case other && !effects.Has(pipe.Caches):
			t.Errorf("the caller gets the answer of an earlier call, and the plan does not declare %v (%s)", pipe.Caches, f.name)
		case called && !other && alone && effects.Has(pipe.CallsOnce) && !effects.Has(pipe.Caches):
			t.Errorf("next answered, and the caller gets %s: a step that declares %v and has next alone inside hands its answer on, "+
				"or fails; name the pipe that answers instead in pipe.Describe (%s)", show(o.Res), pipe.CallsOnce, f.name)
		}
	}
}

// same reports whether got is made of an answer like answered.
func (r rules) same(got, answered *proxy.Response) bool {
	if r.Same != nil {
		return r.Same(got, answered)
	}
	bare := proxy.Response{Status: got.Status, Header: got.Header.Clone(), Document: got.Document}
	bare.Header.Del(markName)
	return sameResponse(&bare, answered)
}

// inPlan returns the effects of all steps around next, and whether next is the only leaf.
func (r rules) inPlan(p proxy.Proxy) (effects pipe.Effects, alone bool) {
	alone = true
	for step := range pipe.PlanOf(p).All() {
		switch {
		case step.Kind == "next":
		case len(step.Steps) == 0:
			alone = false
		default:
			effects |= step.Effects
		}
	}
	return effects, alone
}
