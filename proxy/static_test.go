package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var moments = []proxy.Moment{proxy.Always, proxy.OnSuccess, proxy.OnError, proxy.OnComplete, proxy.OnIncomplete}

func TestStaticAddsItsDataAtItsMoment(t *testing.T) {
	t.Parallel()
	boom := &proxy.Error{Status: 404, Err: errors.New("no such thing")}
	object := asDocument(t, `{"a":1}`)
	tests := []struct {
		name   string
		next   proxy.Proxy
		plain  string // the answer without the data; "" is an error
		filled string
		at     []proxy.Moment
	}{
		{"a complete answer", called(func() (*proxy.Response, error) { return &proxy.Response{Status: 201, Document: object}, nil }),
			`201 {"a":1} <nil>`, `201 {"a":1,"s":true} <nil>`, []proxy.Moment{proxy.Always, proxy.OnSuccess, proxy.OnComplete}},
		{"a partial answer", called(func() (*proxy.Response, error) { return &proxy.Response{Document: object, Err: boom}, nil }),
			`200 {"a":1} no such thing`, `200 {"a":1,"s":true} no such thing`, []proxy.Moment{proxy.Always, proxy.OnSuccess, proxy.OnIncomplete}},
		{"an error", fails(boom),
			``, `200 {"s":true} no such thing`, []proxy.Moment{proxy.Always, proxy.OnError, proxy.OnIncomplete}},
	}
	for _, tt := range tests {
		for _, when := range moments {
			t.Run(fmt.Sprintf("%s, %s", tt.name, when), func(t *testing.T) {
				t.Parallel()
				res, err := tt.next.With(proxy.Static(when, asDocument(t, `{"s":true}`)))(t.Context(), get())
				want := tt.plain
				for _, m := range tt.at {
					if m == when {
						want = tt.filled
					}
				}
				if want == "" {
					assert.Nil(t, res)
					assert.Equal(t, boom, err)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, want, fmt.Sprintf("%d %s %v", res.StatusCode(), res.Document, res.Err))
			})
		}
	}
}

// proves L6
func TestStaticFillsInWhatIsNotThere(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":%d`, i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	tests := []struct{ name, static, answer, want string }{
		{"at the end", `{"b":2,"c":3}`, `{"a":1}`, `{"a":1,"b":2,"c":3}`},
		{"never over what is there", `{"a":9,"b":2}`, `{"a":1}`, `{"a":1,"b":2}`},
		{"null is there", `{"a":9}`, `{"a":null}`, `{"a":null}`},
		{"an object is not looked into", `{"a":{"x":1}}`, `{"a":{}}`, `{"a":{}}`},
		{"names compare by what they say", `{"secret":9,"\u0062":2}`, `{"\u0073ecret":1,"b":1}`, `{"\u0073ecret":1,"b":1}`},
		{"an empty answer", `{"a":1,"b":2}`, `{}`, `{"a":1,"b":2}`},
		{"digits, order and repeated names stay", `{"z":1.50}`, "{ \"b\" : 1e400, \"a\":1,\n\"a\":2 }", "{ \"b\" : 1e400, \"a\":1,\n\"a\":2 ,\"z\":1.50}"},
		{"a repeated name is there once", `{"a":9,"z":1}`, `{"a":1,"a":2}`, `{"a":1,"a":2,"z":1}`},
		{"a repeated name of ours is its last value", `{"z":1,"z":2}`, `{}`, `{"z":2}`},
		{"nothing to add", `{}`, `{"a":1}`, `{"a":1}`},
		{"more than a few", many(100), `{"m50":"there"}`, `{"m50":"there",` + strings.Replace(many(100), `"m50":50,`, "", 1)[1:]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			static, answer := asDocument(t, tt.static), asDocument(t, tt.answer)
			before := answer.String()
			p := called(func() (*proxy.Response, error) { return &proxy.Response{Document: answer}, nil }).
				With(proxy.Static(proxy.Always, static))
			for range 2 { // shared data does not change
				res, err := p(t.Context(), get())
				require.NoError(t, err)
				assert.Equal(t, tt.want, res.Document.String())
				_, err = document.Parse([]byte(res.Document.String()))
				assert.NoError(t, err)
			}
			assert.Equal(t, before, answer.String())
		})
	}
}

func TestStaticIsTheDocumentOfAnAnswerWithoutOne(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{0: 0, 201: 201, 204: 200, 205: 200} {
		p := called(func() (*proxy.Response, error) { return &proxy.Response{Status: status}, nil }).
			With(proxy.Static(proxy.OnComplete, asDocument(t, `{"a":1}`)))
		res, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, want, res.Status)
		assert.Equal(t, `{"a":1}`, res.Document.String())
	}
}

func TestStaticRefusesADocumentItCannotFill(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`[1]`, `null`, `"text"`} {
		_, err := answers(t, 0, answer).With(proxy.Static(proxy.Always, asDocument(t, `{"a":1}`)))(t.Context(), get())
		assert.ErrorIs(t, err, document.ErrNotObject)
		assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
		res, err := answers(t, 0, answer).With(proxy.Static(proxy.OnError, asDocument(t, `{"a":1}`)))(t.Context(), get())
		require.NoError(t, err, "at another moment")
		assert.Equal(t, answer, res.Document.String())
	}
}

func TestStaticLetsStreamsPass(t *testing.T) {
	t.Parallel()
	for _, when := range moments {
		body := newBody("rows")
		want := &proxy.Response{Status: 206, Body: body}
		p := called(func() (*proxy.Response, error) { return want, nil }).With(proxy.Static(when, asDocument(t, `{"a":1}`)))
		res, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Same(t, want, res)
		assert.Zero(t, res.Document.Size())
		assert.Zero(t, body.closed.Load())
		require.NoError(t, res.Close())
		assertClosedOnce(t, body)
	}
}

// proves M22, T4
func TestStaticCoversUpNoCallThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	boom := errors.New("boom")
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		doc  string
	}{
		{"the client is gone", gone, context.Canceled, ``},
		{"the client is gone, whatever the error says", gone, boom, ``},
		{"somebody says that the client is gone", t.Context(), &proxy.Error{Status: proxy.StatusClientGone, Err: boom}, ``},
		{"the connection is to be aborted", t.Context(), pipe.NewPanicError(http.ErrAbortHandler), ``},
		{"somebody else has cancelled the call", t.Context(), context.Canceled, `{"a":1}`},
		{"the time is over", late, context.DeadlineExceeded, `{"a":1}`},
		{"a panic", t.Context(), pipe.NewPanicError("bug"), `{"a":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := fails(tt.err).With(proxy.Static(proxy.Always, asDocument(t, `{"a":1}`)))(tt.ctx, get())
			if tt.doc == "" {
				assert.Nil(t, res)
				assert.Equal(t, tt.err, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.doc, res.Document.String())
			assert.Equal(t, tt.err, res.Err)
			assert.NotNil(t, res.Header, "code may write to it")
		})
	}
}

// proves L24
func TestStaticHoldsNextToItsContract(t *testing.T) {
	t.Parallel()
	p := called(func() (*proxy.Response, error) { return nil, nil })
	_, err := p.With(proxy.Static(proxy.OnSuccess, asDocument(t, `{"a":1}`)))(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrNoResponse)
	body := newBody("")
	p = called(func() (*proxy.Response, error) { return &proxy.Response{Body: body}, errors.New("boom") })
	res, err := p.With(proxy.Static(proxy.OnError, asDocument(t, `{"a":1}`)))(t.Context(), get())
	require.NoError(t, err)
	assert.EqualError(t, res.Err, "boom")
	assertClosedOnce(t, body)
}

// proves O11, O12
func TestStaticFillsInAfterTheMergeAndBeforeTheOuterShaping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		user := answers(t, 0, `{"user":"Ada","internal":1}`).With(shape.Response(shape.Drop("internal")))
		recs := proxy.Optional(proxy.Part{Name: "recs", Proxy: answers(t, time.Hour, `{"recs":[1]}`)})
		page := proxy.Merge(proxy.Part{Proxy: user}, recs).With(
			shape.Response(shape.Rename("recs", "tips")),
			proxy.Static(proxy.OnIncomplete, asDocument(t, `{"user":"nobody","recs":[],"internal":2}`)),
		)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := page(ctx, get())
		require.NoError(t, err)
		assert.Error(t, res.Err, "it is partial")
		assert.Equal(t, `{"user":"Ada","tips":[],"internal":2}`, res.Document.String(),
			"a part was shaped before, what is static is shaped outside, and what has arrived stays")
		for _, order := range [][2]string{{"drop", "static"}, {"merge", "static"}, {"static", "rename"}} {
			assert.NoError(t, pipe.PlanOf(page).Before(order[0], order[1]), "%v", order)
		}
	})
}

// proves O16
func TestWhatACacheAnswersIsFilledOutsideOfIt(t *testing.T) {
	t.Parallel()
	var kept document.Document
	calls := 0
	cache := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if kept.IsZero() {
				res, err := next(ctx, req)
				if err != nil {
					return nil, err
				}
				kept = res.Document
			}
			return &proxy.Response{Document: kept}, nil
		}
	}
	inner := called(func() (*proxy.Response, error) {
		calls++
		return &proxy.Response{Document: asDocument(t, `{"a":1}`)}, nil
	})
	p := inner.With(proxy.Static(proxy.Always, asDocument(t, `{"s":true}`)), cache)
	for range 3 {
		res, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"a":1,"s":true}`, res.Document.String())
	}
	assert.Equal(t, `{"a":1}`, kept.String(), "what is kept was not written to")
	assert.Equal(t, 1, calls)
}

func TestStaticSaysInThePlanWhatItAddsAndWhen(t *testing.T) {
	t.Parallel()
	leaf := pipe.Describe(fails(nil), pipe.Step{Kind: "backend", Name: "files", Effects: pipe.Terminal | pipe.Streams | pipe.HonoursContext})
	tests := map[string]string{
		`{}`:                                    "← static (on error: nothing)\n  ↔ backend files\n",
		`{"b":1,"a":2}`:                         "← static (on error: b, a)\n  ↔ backend files\n",
		`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6}`: "← static (on error: 6 members)\n  ↔ backend files\n",
	}
	for doc, want := range tests {
		p := leaf.With(proxy.Static(proxy.OnError, asDocument(t, doc)))
		assert.Equal(t, want, pipe.PlanOf(p).String())
		assert.True(t, pipe.PlanOf(p).HonoursContext())
		_, err := endpoint.New(endpoint.Spec{Proxy: p, Stream: true})
		assert.NoError(t, err, "an answer that is a stream passes")
	}
}

func TestStaticRefusesAtWiring(t *testing.T) {
	t.Parallel()
	assertFault(t, "proxy: Static: the document is absent, want an object", uncalled(t).With(proxy.Static(proxy.Always, document.Document{})))
	assertFault(t, "proxy: Static: the document is array, want an object", uncalled(t).With(proxy.Static(proxy.Always, asDocument(t, `[]`))))
	assertFault(t, "proxy: Static: there is no moment 5", uncalled(t).With(proxy.Static(5, asDocument(t, `{}`))))
}

func TestStaticThatAddsNothingCostsNothing(t *testing.T) {
	doc := asDocument(t, `{"a":1,"b":[1,2]}`)
	res := &proxy.Response{Document: doc}
	p := called(func() (*proxy.Response, error) { res.Document = doc; return res, nil }).
		With(proxy.Static(proxy.Always, asDocument(t, `{"b":2,"a":1}`)))
	ctx, req := t.Context(), get()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }))
}

func TestStaticOnErrorTakesAnyValue(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, doc := range []string{`[]`, `null`, `"none"`, `0`} {
		p := fails(boom).With(proxy.Static(proxy.OnError, asDocument(t, doc)))
		res, err := p(t.Context(), get())
		require.NoError(t, err, doc)
		assert.Equal(t, doc, res.Document.String())
		assert.ErrorIs(t, res.Err, boom)
		assert.Error(t, pipe.PlanOf(fails(boom).With(proxy.Static(proxy.OnIncomplete, asDocument(t, doc)))).Faults(), "it would have to be filled in")
	}
	assert.Contains(t, pipe.PlanOf(fails(boom).With(proxy.Static(proxy.OnError, asDocument(t, `[]`)))).String(), "static (on error: array)")
	assert.Error(t, pipe.PlanOf(fails(boom).With(proxy.Static(proxy.OnError, document.Document{}))).Faults())
	res, err := answers(t, 0, `[1]`).With(proxy.Static(proxy.OnError, asDocument(t, `[]`)))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `[1]`, res.Document.String())
}
