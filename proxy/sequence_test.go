package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/router"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// says returns a proxy that answers with a document at once.
func says(t testing.TB, doc string) proxy.Proxy {
	d := asDocument(t, doc)
	return called(func() (*proxy.Response, error) { return &proxy.Response{Document: d}, nil })
}

// notCalled returns a proxy that must not be called.
func notCalled(t testing.TB) proxy.Proxy {
	return called(func() (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	})
}

// proves M1
func TestSequenceTimesAddUp(t *testing.T) {
	t.Parallel()
	for _, how := range []func(proxy.Proxy) proxy.Proxy{sure, func(p proxy.Proxy) proxy.Proxy { return p }} {
		synctest.Test(t, func(t *testing.T) {
			page := proxy.Sequence(
				proxy.Stage{Name: "a", Proxy: how(answers(t, time.Second, `{"a":1,"x":"a"}`))},
				proxy.Stage{Name: "b", Proxy: how(answers(t, 2*time.Second, `[1,2.50]`)), Group: "b"},
				proxy.Stage{Name: "c", Proxy: how(answers(t, 3*time.Second, `{"c":3,"x":"c"}`))},
			)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			res, err := page(ctx, get())
			require.NoError(t, err)
			defer res.Close()
			assert.Equal(t, 6*time.Second, time.Since(start))
			assert.Equal(t, `{"a":1,"x":"c","b":[1,2.50],"c":3}`, res.Document.String(), "in declared order, as in Merge")
			assert.Equal(t, http.StatusOK, res.Status)
			assert.NotNil(t, res.Header)
			assert.NoError(t, res.Err)
		})
	}
}

func TestSequenceHasOneDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		page := proxy.Sequence(
			proxy.Stage{Name: "a", Proxy: answers(t, 600*time.Millisecond, `{}`)},
			proxy.Stage{Name: "b", Proxy: answers(t, 600*time.Millisecond, `{}`)},
			proxy.Stage{Name: "c", Proxy: notCalled(t)},
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := page(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.EqualError(t, err, "sequence: stage b: context deadline exceeded")
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
	})
}

func TestSequenceAnswersWithWhatIsNotInternal(t *testing.T) {
	t.Parallel()
	var before proxy.Results
	page := proxy.Sequence(
		proxy.Stage{Name: "token", Proxy: says(t, `"secret"`), Internal: true},
		proxy.Stage{Name: "user", Proxy: says(t, `{"id":7}`)},
		proxy.Stage{Name: "none", Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Status: 204}, nil })},
		proxy.Stage{Name: "list", Proxy: says(t, `[1]`), Group: "orders"},
		proxy.Stage{Name: "skipped", Proxy: notCalled(t), When: func(_ context.Context, _ *proxy.Request, rs proxy.Results) bool {
			before = rs
			return false
		}},
	)
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"id":7,"orders":[1]}`, res.Document.String())
	assert.NoError(t, res.Err, "a stage that is skipped is not missing")

	require.Len(t, before, 4)
	assert.Equal(t, `"secret"`, before.Document("token").String())
	assert.Equal(t, proxy.Result{Name: "none", Status: 204}, before[2])
	assert.Equal(t, `[1]`, before.Document("list").String(), "later stages see it without the group")
}

func TestSequenceOfSkippedStagesIsAnEmptyObject(t *testing.T) {
	t.Parallel()
	no := func(context.Context, *proxy.Request, proxy.Results) bool { return false }
	for _, stages := range [][]proxy.Stage{
		{{Name: "a", Proxy: notCalled(t), When: no}},
		{{Name: "a", Proxy: notCalled(t), When: no}, {Name: "b", Proxy: notCalled(t), When: no}},
	} {
		res, err := proxy.Sequence(stages...)(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{}`, res.Document.String())
		assert.Equal(t, http.StatusOK, res.Status)
	}
}

// proves M15, M17
func TestTheLastStageAloneIsTheAnswerAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last context.Context
		body, released := newBody("rows"), false
		page := proxy.Sequence(
			proxy.Stage{Name: "user", Proxy: called(func() (*proxy.Response, error) {
				return &proxy.Response{Header: http.Header{"X-User": {"7"}, "Set-Cookie": {"a=1"}, "Etag": {`"1"`}}, Document: asDocument(t, `7`), Err: errors.New("half")}, nil
			}), Internal: true, Expose: []string{"x-user", "set-cookie"}},
			proxy.Stage{Name: "gone", Proxy: fails(errors.New("boom")), Internal: true, Optional: true},
			proxy.Stage{Name: "export", Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				last = ctx
				res := &proxy.Response{Status: 206, Header: http.Header{"Content-Type": {"text/csv"}, "Set-Cookie": {"b=2", "c=3"}}, Body: body}
				res.OnClose(func() { released = true })
				return res, nil
			}},
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		res, err := page(ctx, get())
		require.NoError(t, err)
		assert.Equal(t, 206, res.Status)
		assert.Equal(t, http.Header{"X-User": {"7"}, "Content-Type": {"text/csv"}, "Set-Cookie": {"a=1", "b=2", "c=3"}}, res.Header)
		assert.EqualError(t, res.Err, "stage user: half\nstage gone: boom")
		assert.NoError(t, last.Err(), "the stream lives on")
		rows, err := io.ReadAll(res.Body)
		assert.Equal(t, "rows", string(rows))
		assert.NoError(t, err)
		assert.False(t, released)
		assert.NoError(t, res.Close())
		assert.True(t, released)
		assertClosedOnce(t, body)
	})
}

// If the last stage is the answer, it gets the client's connection.
//
// proves H12, H13
func TestTheStageThatIsTheAnswerCanInformAndUpgrade(t *testing.T) {
	t.Parallel()
	informed := 0
	req := get()
	req.Upgrade, req.Inform = "websocket", func(int, http.Header) { informed++ }
	tunnel := proxy.Stage{Name: "tunnel", Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		req.Inform(103, nil)
		return &proxy.Response{Status: 204, Header: http.Header{"X-Upgrade": {req.Upgrade}}}, nil
	}}
	check := proxy.Stage{Name: "check", Internal: true, Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		assert.Nil(t, req.Inform)
		assert.Empty(t, req.Upgrade)
		return &proxy.Response{}, nil
	}}
	res, err := proxy.Sequence(check, tunnel)(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "websocket", res.Header.Get("X-Upgrade"))
	assert.Equal(t, 1, informed)
}

// proves M33, H10, L4, L5, C3
func TestEachStageHasItsOwnCopyOfTheRequest(t *testing.T) {
	t.Parallel()
	req, opened := withBody("text")
	req.Params.Set("id", "7")
	req.Query.Set("q", "1")
	req.Header.Set("X-A", "1")
	req.Upstream.Set("X-B", "2")
	writes := func(_ context.Context, req *proxy.Request, _ proxy.Results) error {
		body, err := io.ReadAll(req.Body)
		assert.NoError(t, err)
		assert.Equal(t, "text", string(body))
		assert.Equal(t, "7", req.Params.Get("id"))
		assert.Equal(t, []string{"id"}, req.Params.Names())
		assert.Equal(t, url.Values{"q": {"1"}}, req.Query)
		assert.Equal(t, http.Header{"X-A": {"1"}}, req.Header)
		assert.Equal(t, http.Header{"X-B": {"2"}}, req.Upstream)
		req.Method, req.Path, req.Host = "PUT", "/changed", "changed"
		req.Params.Set("id", "8")
		req.Params.Set("more", "9")
		req.Query.Add("q", "2")
		req.Header["X-A"][0] = "changed"
		req.Upstream.Del("X-B")
		req.SetBody("text/plain", []byte("changed"))
		return nil
	}
	reads := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(req.Body)
		assert.Equal(t, "changed", string(b))
		assert.Equal(t, "8", req.Params.Get("id"))
		return &proxy.Response{}, err
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "a", Proxy: reads, Prepare: writes},
		proxy.Stage{Name: "b", Proxy: reads, Prepare: writes, Optional: true},
		proxy.Stage{Name: "c", Proxy: reads, Prepare: writes},
	)
	original := req.Body.(*countedBody)
	_, err := page(t.Context(), req)
	require.NoError(t, err)
	assert.Len(t, *opened, 3)
	assertClosedOnce(t, *opened...)
	assert.Zero(t, original.closed.Load(), "it belongs to the one who made the request")
	assert.Equal(t, "POST", req.Method)
	assert.Equal(t, "7", req.Params.Get("id"))
}

// proves M25, C3
func TestSequenceRefusesABodyThatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	req := proxy.NewRequest("POST", "/")
	req.Body = io.NopCloser(strings.NewReader("once"))
	_, err := proxy.Sequence(proxy.Stage{Name: "a", Proxy: notCalled(t)}, proxy.Stage{Name: "b", Proxy: notCalled(t)})(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	assert.EqualError(t, err, "sequence: the request body cannot be replayed")

	res, err := proxy.Sequence(proxy.Stage{Name: "a", Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(req.Body)
		return &proxy.Response{Document: asDocument(t, `"`+string(b)+`"`)}, err
	}})(t.Context(), req)
	require.NoError(t, err, "one stage needs no copy")
	assert.Equal(t, `"once"`, res.Document.String())
}

func TestAStageWhoseBodyCannotBeOpenedFails(t *testing.T) {
	t.Parallel()
	req, _ := withBody("text")
	open, n := req.GetBody, 0
	req.GetBody = func() (io.ReadCloser, error) {
		if n++; n > 1 {
			return nil, errors.New("gone")
		}
		return open()
	}
	_, err := proxy.Sequence(proxy.Stage{Name: "a", Proxy: says(t, `{}`)}, proxy.Stage{Name: "b", Proxy: notCalled(t)}, proxy.Stage{Name: "c", Proxy: notCalled(t)})(t.Context(), req)
	assert.EqualError(t, err, "sequence: stage b: clone: gone")
}

// proves M34, L6
func TestAStageCannotChangeWhatEarlierOnesAnswered(t *testing.T) {
	t.Parallel()
	shared := asDocument(t, `{"id":7}`)
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Document: shared}, nil })},
		proxy.Stage{Name: "b", Proxy: says(t, `{}`), Prepare: func(_ context.Context, _ *proxy.Request, before proxy.Results) error {
			before[0] = proxy.Result{Name: "user", Document: asDocument(t, `{"id":8}`)}
			return nil
		}},
		proxy.Stage{Name: "c", Bind: []proxy.Binding{proxy.Bind("id", "user", "id")}, Proxy: func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			assert.Equal(t, "7", req.Params.Get("id"))
			return &proxy.Response{}, nil
		}},
	)
	for range 100 {
		res, err := page(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"id":7}`, res.Document.String())
	}
}

func TestSequenceBoundsTheMembersOfItsAnswer(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range document.DefaultMembers {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "a", Proxy: says(t, "{"+b.String()[1:]+"}")},
		proxy.Stage{Name: "b", Proxy: says(t, `{"-":0}`)},
	)
	_, err := page(t.Context(), get())
	assert.EqualError(t, err, "sequence: stage b: too many members")
	assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
}

func TestSequenceRefusesAtWiring(t *testing.T) {
	t.Parallel()
	user := proxy.Stage{Name: "user", Proxy: says(t, `{}`)}
	with := func(bs ...proxy.Binding) proxy.Stage {
		return proxy.Stage{Name: "orders", Proxy: says(t, `{}`), Bind: bs}
	}
	tests := []struct {
		name   string
		stages []proxy.Stage
		want   string
	}{
		{"no stages", nil, "proxy: Sequence: there are no stages"},
		{"nothing answers", []proxy.Stage{{Proxy: says(t, `{}`), Internal: true}}, "proxy: Sequence: all stages are internal, so none of them answers"},
		{"a nil proxy", []proxy.Stage{user, {Name: "orders"}}, "proxy: Sequence: stage 2 (orders) has a nil Proxy"},
		{"a nil proxy without a name", []proxy.Stage{user, {}}, "proxy: Sequence: stage 2 has a nil Proxy"},
		{"a name twice", []proxy.Stage{user, user}, "proxy: Sequence: stage 2 (user) has the name of another stage"},
		{"a derived name twice", []proxy.Stage{user, {Proxy: pipe.Describe(says(t, `{}`), pipe.Step{Kind: "backend", Name: "user"})}}, "proxy: Sequence: stage 2 (user) has the name of another stage"},
		{"a later stage", []proxy.Stage{with(proxy.Bind("a", "user", "id")), user}, `proxy: Sequence: stage 1 (orders) binds "a" to stage "user", which is not called earlier`},
		{"itself", []proxy.Stage{user, with(proxy.Bind("a", "orders", "id"))}, `proxy: Sequence: stage 2 (orders) binds "a" to stage "orders", which is not called earlier`},
		{"no stage", []proxy.Stage{user, with(proxy.Bind("a", "usr", "id"))}, `proxy: Sequence: stage 2 (orders) binds "a" to stage "usr", which does not exist`},
		{"no path", []proxy.Stage{user, with(proxy.Bind("a", "user", "x..y"))}, `proxy: Sequence: stage 2 (orders) binds "a": document: path "x..y": invalid path: empty name`},
		{"a wildcard", []proxy.Stage{user, with(proxy.Bind("a", "user", "items.*.id"))}, `proxy: Sequence: stage 2 (orders) binds "a": the path "items.*.id" has a wildcard, so it leads to no single value`},
		{"no param", []proxy.Stage{user, with(proxy.Bind("*", "user", "id"))}, `proxy: Sequence: stage 2 (orders) binds "*": the name is not a valid placeholder name`},
		{"the zero Binding", []proxy.Stage{user, with(proxy.Binding{})}, "proxy: Sequence: stage 2 (orders) binds \"\": the name is not a valid placeholder name\n" +
			`proxy: Sequence: stage 2 (orders) binds "" to stage "", which does not exist`},
		{"a param twice", []proxy.Stage{user, with(proxy.Bind("a", "user", "id"), proxy.Bind("a", "user", "no"))}, `proxy: Sequence: stage 2 (orders) binds "a" twice`},
		{"all that is wrong", []proxy.Stage{{Name: "x"}, {Name: "y"}}, "proxy: Sequence: stage 1 (x) has a nil Proxy\nproxy: Sequence: stage 2 (y) has a nil Proxy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assertFault(t, tt.want, proxy.Sequence(tt.stages...))
		})
	}
}

// A leaf of sluice's own that is certain to stream.
func streaming(t testing.TB) proxy.Proxy {
	p, err := backend.HTTP{}.New(backend.Spec{Name: "export", URL: "http://export.test/", Decode: backend.Passthrough})
	require.NoError(t, err)
	return p
}

func TestSequenceRefusesAStreamThatCannotBeTheAnswer(t *testing.T) {
	t.Parallel()
	const want = "answers with a stream, which only a last stage that is the whole answer may do: decode it"
	user := proxy.Stage{Name: "user", Proxy: says(t, `{}`)}
	export := proxy.Stage{Proxy: streaming(t)}
	internal := user
	internal.Internal = true
	grouped := export
	grouped.Group = "rows"
	assert.NotPanics(t, func() { proxy.Sequence(internal, export) })
	assertFault(t, "proxy: Sequence: stage 2 (export) "+want, proxy.Sequence(user, export))
	assertFault(t, "proxy: Sequence: stage 1 (export) "+want, proxy.Sequence(export, user))
	assertFault(t, "proxy: Sequence: stage 2 (export) "+want, proxy.Sequence(internal, grouped))
}

func TestSequenceInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(notCalled(t), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	page := proxy.Sequence(
		proxy.Stage{Proxy: leaf("user"), Internal: true},
		proxy.Stage{Proxy: leaf("orders"), Group: "orders", Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id"), proxy.Bind("b", "user", "b")}},
		proxy.Stage{Proxy: leaf("recs"), Optional: true,
			When:    func(context.Context, *proxy.Request, proxy.Results) bool { panic("planning runs nothing") },
			Prepare: func(context.Context, *proxy.Request, proxy.Results) error { panic("planning runs nothing") }},
	)
	plan := pipe.PlanOf(page)
	assert.Equal(t, `↔ sequence (3 stages), in order
  · stage user (internal)
    ↔ backend user
  · stage orders
    ← group (orders)
      → bind account (account.id of user)
        → bind b (b of user)
          ↔ backend orders
  · stage recs (optional, conditional)
    → prepare
      ↔ backend recs
`, plan.String())
	for _, pair := range [][2]string{{"user", "account"}, {"user", "orders"}, {"account", "orders"}, {"orders", "group"}, {"group", "prepare"}, {"prepare", "recs"}, {"user", "recs"}} {
		assert.NoError(t, plan.Before(pair[0], pair[1]), "%s before %s", pair[0], pair[1])
	}
	assert.True(t, plan.HonoursContext())
	assert.True(t, plan.Effects.Has(pipe.CallsOnce|pipe.NeedsReplay|pipe.Buffers))
	assert.Equal(t, []string{"account"}, plan.Find("account")[0].Gives)
	assert.True(t, strings.HasPrefix(plan.Find("account")[0].Source, "sequence_test.go:"))
	assert.True(t, plan.Steps[2].Effects.Has(pipe.Opaque))
	assert.False(t, plan.Steps[2].HonoursContext())
	assert.True(t, plan.Steps[1].HonoursContext(), "a binding runs nothing of the user")
}

func TestASequenceWhoseAnswerIsTheLastStagesDoesNotBuffer(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(proxy.Sequence(proxy.Stage{Proxy: says(t, `{}`)}))
	assert.Equal(t, pipe.CallsOnce|pipe.HonoursContext|pipe.PassesOn, plan.Effects)
	assert.Equal(t, "↔ sequence (1 stage)", strings.SplitN(plan.String(), "\n", 2)[0])
}

// A param that a stage binds needs no Given at the backend. A param that nothing gives is still a
// startup error.
//
// proves U3, D4
func TestMountKnowsTheParamsThatAStageBinds(t *testing.T) {
	t.Parallel()
	var called []string
	upstream := backend.HTTP{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		called = append(called, r.URL.EscapedPath())
		return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader(`{"account":{"id":"{id}/7"}}`))}, nil
	})}
	leaf := func(name, path string) proxy.Proxy {
		return pipe.Check(upstream.New(backend.Spec{Name: name, URL: "http://" + name + ".test" + path}))
	}
	mount := func(bind ...proxy.Binding) (http.Handler, error) {
		r := chi.NewRouter()
		return r, router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: proxy.Sequence(
			proxy.Stage{Proxy: leaf("user", "/u/{id}")},
			proxy.Stage{Proxy: leaf("orders", "/o/{account}"), Bind: bind},
		)}})
	}
	_, err := mount()
	assert.ErrorContains(t, err, `backend orders needs the param "account"`)

	h, err := mount(proxy.Bind("account", "user", "account.id"))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/users/1", nil))
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, []string{"/u/1", "/o/%7Bid%7D%2F7"}, called, "a value is put in once")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// If the only stage that answers is skipped, the answer is an empty object of the sequence's own.
func TestASequenceWhoseAnswerMayBeSkippedDoesNotPassItOn(t *testing.T) {
	t.Parallel()
	never := func(context.Context, *proxy.Request, proxy.Results) bool { return false }
	failing := pipe.NamedPipe("failing", func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errors.New("down") })
	leaf := pipe.NamedPipe("leaf", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 204}, nil
	})
	tests := []struct {
		name   string
		stages []proxy.Stage
		passes bool
	}{
		{"required", []proxy.Stage{{Proxy: leaf}}, true},
		{"optional", []proxy.Stage{{Proxy: leaf, Optional: true}}, true},
		{"conditional", []proxy.Stage{{Proxy: leaf, When: never}}, false},
		{"bound", []proxy.Stage{{Name: "a", Proxy: failing, Optional: true, Internal: true},
			{Proxy: leaf, Optional: true, Bind: []proxy.Binding{proxy.Bind("x", "a", "x")}}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxy.Sequence(tt.stages...)
			assert.Equal(t, tt.passes, pipe.PlanOf(p).Effects.Has(pipe.PassesOn))
			trace := pipetest.Explain(t, p, proxy.NewRequest("GET", "/"))
			assert.NoError(t, trace.Entries()[0].Err)
		})
	}
}
