package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 1: a response or an error, never both and never neither.
//   - 4: the caller closes the response, and what the call holds is given back then.

type account struct {
	ID    string    `json:"id"`
	Tags  []string  `json:"tags"`
	Since time.Time `json:"since"`
}

// upstream returns a leaf with a name in the plan.
func upstream(name string, p proxy.Proxy) proxy.Proxy {
	return pipe.Describe(p, pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
}

func gives(res *proxy.Response) proxy.Proxy {
	return called(func() (*proxy.Response, error) { return res, nil })
}

func TestDecodeFillsAType(t *testing.T) {
	t.Parallel()
	p := proxy.Decode[account](upstream("users", answers(t, 0, `{"id":"7","more":1.50,"tags":["a"],"since":"2026-01-02T03:04:05Z"}`)))
	v, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, account{"7", []string{"a"}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, v)
}

// The decoded value shares no memory with the document, which others may use too.
//
// proves L6
func TestDecodeIntoATypeSharesNothingWithTheDocument(t *testing.T) {
	t.Parallel()
	doc := asDocument(t, `{"raw":{"a":1},"bytes":"AAAA","text":"x"}`).Wrap("outer")
	type inner struct {
		Raw   json.RawMessage
		Bytes []byte
		Text  string
	}
	for range 2 {
		v, err := proxy.Decode[struct{ Outer inner }](gives(&proxy.Response{Document: doc}))(t.Context(), get())
		require.NoError(t, err)
		require.Equal(t, inner{json.RawMessage(`{"a":1}`), []byte{0, 0, 0}, "x"}, v.Outer)
		clear(v.Outer.Raw)
		clear(v.Outer.Bytes)
	}
	assert.Equal(t, `{"outer":{"raw":{"a":1},"bytes":"AAAA","text":"x"}}`, doc.String())
}

// A scribbler overwrites the bytes that it is given to unmarshal.
type scribbler struct{ text string }

func (s *scribbler) UnmarshalJSON(b []byte) error {
	s.text = string(b)
	clear(b)
	return nil
}

// proves L6
func TestDecodeKeepsAnUnmarshalerAwayFromTheDocument(t *testing.T) {
	t.Parallel()
	doc := asDocument(t, `{"a":"text"}`)
	v, err := proxy.Decode[map[string]*scribbler](gives(&proxy.Response{Document: doc}))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"text"`, v["a"].text)
	assert.Equal(t, `{"a":"text"}`, doc.String())
}

func TestDecodeOfWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	type end = func(ctx context.Context, p proxy.Proxy) error
	into := func(decode func(context.Context, proxy.Proxy) (any, error)) end {
		return func(ctx context.Context, p proxy.Proxy) error {
			v, err := decode(ctx, p)
			assert.Empty(t, v, "no value beside an error")
			return err
		}
	}
	asAccount := into(func(ctx context.Context, p proxy.Proxy) (any, error) { return proxy.Decode[account](p)(ctx, get()) })
	asPointer := into(func(ctx context.Context, p proxy.Proxy) (any, error) {
		v, err := proxy.Decode[*account](p)(ctx, get())
		return v == nil == (err == nil), err
	})
	asAny := into(func(ctx context.Context, p proxy.Proxy) (any, error) { return proxy.Decode[any](p)(ctx, get()) })
	asOwn := into(func(ctx context.Context, p proxy.Proxy) (any, error) {
		v, err := proxy.Decode[map[string]*scribbler](p)(ctx, get())
		return v, err
	})
	tests := []struct {
		name string
		doc  string
		end  end
		is   error
		text string
	}{
		{"another type", `{"id":7,"tags":["a"]}`, asAccount, nil, "backend users: decode: document: json: cannot unmarshal number into Go struct field account.id of type string"},
		{"another root", `[1]`, asAccount, nil, "backend users: decode: document: json: cannot unmarshal array into Go value of type proxy_test.account"},
		{"another root for a type with methods", `[1]`, asOwn, nil, "backend users: decode: document: json: cannot unmarshal array into Go value of type map[string]*proxy_test.scribbler"},
		{"nothing", ``, asAccount, document.ErrAbsent, "backend users: decode: document: no document"},
		{"nothing for a pointer", ``, asPointer, document.ErrAbsent, ""},
		{"null for a pointer", `null`, asPointer, document.ErrAbsent, ""},
		{"null for anything", `null`, asAny, document.ErrAbsent, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := &proxy.Response{Status: http.StatusNoContent}
			if tt.doc != "" {
				res = &proxy.Response{Document: asDocument(t, tt.doc)}
			}
			err := tt.end(t.Context(), upstream("users", gives(res)).With(proxy.Hold(0)))
			require.Error(t, err)
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
			var e *proxy.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "users", e.Backend)
			assert.Equal(t, "decode", e.Op)
			var d *document.Error
			assert.ErrorAs(t, err, &d)
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
			if tt.text != "" {
				assert.EqualError(t, err, tt.text)
			}
		})
	}
}

func TestDecodeTakesAnyDocumentAsADocument(t *testing.T) {
	t.Parallel()
	for _, doc := range []document.Document{{}, asDocument(t, `null`), asDocument(t, `{"a":1.50}`)} {
		v, err := proxy.Decode[document.Document](gives(&proxy.Response{Document: doc}))(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, doc.String(), v.String())
	}
}

func TestDecodeNamesWhatItKnows(t *testing.T) {
	t.Parallel()
	empty := called(func() (*proxy.Response, error) { return &proxy.Response{}, nil })
	tests := []struct {
		name string
		p    proxy.Proxy
		text string
	}{
		{"a backend", upstream("users", empty), "backend users: decode: document: no document"},
		{"a backend below decorators", upstream("users", empty).With(pipe.Named("audit", func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
		}), pipe.Recover), "backend users: decode: document: no document"},
		{"a named function", pipe.NamedPipe("users", empty), "backend users: decode: document: no document"},
		{"a function", empty, "decode: document: no document"},
		{"one of two", func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) { return empty(ctx, r) }, "decode: document: no document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := proxy.Decode[account](tt.p)(t.Context(), get())
			assert.EqualError(t, err, tt.text)
		})
	}
	merged := proxy.Merge(proxy.Part{Proxy: upstream("a", answers(t, 0, `{"id":1}`))}, proxy.Part{Proxy: upstream("b", empty)})
	_, err := proxy.Decode[account](merged)(t.Context(), get())
	assert.ErrorContains(t, err, "decode: document: json")
	assert.NotContains(t, err.Error(), "backend")
}

// proves M15
func TestDecodeTakesNo304ForAnAbsentDocument(t *testing.T) {
	t.Parallel()
	_, err := proxy.Decode[document.Document](gives(&proxy.Response{Status: 304}))(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrNotModified)
	assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
}

// proves C4
func TestContract4DecodeClosesWhatItGot(t *testing.T) {
	t.Parallel()
	body := newBody("rows")
	_, err := proxy.Decode[account](gives(&proxy.Response{Body: body, Document: asDocument(t, `{"id":"1"}`)}))(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrStream)
	assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
	assertClosedOnce(t, body)

	conn := new(countedConn)
	_, err = proxy.Decode[account](gives(&proxy.Response{Status: 101, Upgrade: conn}))(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrStream)
	assert.EqualValues(t, 1, conn.closed.Load())

	boom, late := errors.New("boom"), newBody("rows")
	_, err = proxy.Decode[account](called(func() (*proxy.Response, error) { return &proxy.Response{Body: late}, boom }))(t.Context(), get())
	assert.Equal(t, boom, err, "an error of the proxy stays as it is")
	assertClosedOnce(t, late)
}

// proves C1
func TestContract1DecodeRefusesNeitherResponseNorError(t *testing.T) {
	t.Parallel()
	_, err := proxy.Decode[account](gives(nil))(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrNoResponse)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
}

func TestEncodeAnswersWithTheValue(t *testing.T) {
	t.Parallel()
	p := proxy.Encode(func(context.Context, *proxy.Request) (account, error) { return account{ID: "<7>"}, nil })
	res, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, 200, res.Status)
	assert.NotNil(t, res.Header)
	assert.Equal(t, `{"id":"\u003c7\u003e","tags":null,"since":"0001-01-01T00:00:00Z"}`, res.Document.String())
	assert.NoError(t, res.Err)
	for name, id := range res.Document.Members() {
		assert.Equal(t, "id", name)
		assert.Equal(t, `"\u003c7\u003e"`, id.String())
		break
	}
}

type loop struct{ Next *loop }

// proves F8
func TestEncodeAnswersWithAValidDocumentOnly(t *testing.T) {
	t.Parallel()
	deep := &loop{}
	for range document.DefaultDepth {
		deep = &loop{deep}
	}
	type page struct{ Raw json.RawMessage }
	tests := []struct {
		name string
		p    proxy.Proxy
		is   error
	}{
		{"not a number", proxy.Encode(func(context.Context, *proxy.Request) (float64, error) { return math.NaN(), nil }), nil},
		{"raw text that is not Unicode", proxy.Encode(func(context.Context, *proxy.Request) (page, error) { return page{json.RawMessage(`"\ud800"`)}, nil }), document.ErrEncoding},
		{"nested too deep", proxy.Encode(func(context.Context, *proxy.Request) (*loop, error) { return deep, nil }), document.ErrDepth},
		{"a nil pointer", proxy.Encode(func(context.Context, *proxy.Request) (*page, error) { return nil, nil }), proxy.ErrNoResponse},
		{"a nil interface", proxy.Encode(func(context.Context, *proxy.Request) (any, error) { return nil, nil }), proxy.ErrNoResponse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := tt.p(t.Context(), get())
			assert.Nil(t, res)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			assert.ErrorContains(t, err, "encode: ")
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
		})
	}
	doc := asDocument(t, `{"a":1.50}`)
	res, err := proxy.Encode(func(context.Context, *proxy.Request) (document.Document, error) { return doc, nil })(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, doc, res.Document, "as it is")
}

func TestEncodeHandsOnWhatIsMissing(t *testing.T) {
	t.Parallel()
	boom, bug := errors.New("boom"), errors.New("bug")
	partial := gives(&proxy.Response{Document: asDocument(t, `{"id":"7"}`), Err: boom})
	p := proxy.Encode(proxy.Decode[account](partial))
	res, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.ErrorIs(t, res.Err, boom)

	_, err = proxy.Decode[account](partial)(t.Context(), get())
	assert.ErrorIs(t, err, boom, "nobody collects")
	assert.EqualError(t, err, "decode: the answer is partial: boom")

	var kept context.Context
	fails := proxy.Encode(func(ctx context.Context, _ *proxy.Request) (account, error) {
		kept = ctx
		assert.True(t, proxy.Missing(ctx, nil), "only asked")
		assert.True(t, proxy.Missing(ctx, pipe.NewPanicError(bug)))
		return account{}, boom
	})
	ctx, _, reported := reports(t.Context())
	_, err = fails(ctx, get())
	assert.Equal(t, boom, err)
	require.Len(t, reported, 1, "a panic that the error does not hold")
	assert.ErrorIs(t, <-reported, bug)
	assert.False(t, proxy.Missing(kept, boom), "it is answered")
	assert.False(t, proxy.Missing(t.Context(), boom))
}

// A context derived from a collector's context must not cost a goroutine.
func TestCollectStartsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expiry := call.After(t.Context(), time.Hour)
		defer expiry.Cancel()
		std, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, parent := range []context.Context{expiry, std} {
			ctx := &call.Collector{Tied: call.Tied{Context: parent}}
			before := runtime.NumGoroutine()
			inner, cancel := context.WithCancel(ctx)
			assert.Equal(t, before, runtime.NumGoroutine())
			assert.True(t, proxy.Missing(inner, io.EOF))
			cancel()
			assert.EqualError(t, ctx.End(), "EOF")
		}
		ctx := &call.Collector{Tied: call.Tied{Context: std}}
		inner, done := context.WithCancel(ctx)
		defer done()
		cancel()
		assert.ErrorIs(t, inner.Err(), context.Canceled)
	})
}

func TestCodecsShowTheirTypesInThePlan(t *testing.T) {
	t.Parallel()
	leaf := upstream("users", answers(t, 0, `{}`))
	plan := pipe.PlanOf(proxy.Encode(proxy.Decode[account](leaf)))
	assert.Equal(t, "← encode (proxy_test.account)\n  ← decode (proxy_test.account)\n    ↔ backend users\n", plan.String())
	assert.True(t, plan.HonoursContext())
	assert.NoError(t, plan.Before("decode", "encode"))
	assert.False(t, pipe.PlanOf(proxy.Decode[[]*scribbler](leaf)).HonoursContext(), "the code of a type may do anything")
	assert.False(t, pipe.PlanOf(proxy.Encode(proxy.Decode[map[string]any](leaf))).HonoursContext())
	assert.True(t, pipe.PlanOf(proxy.Decode[loop](leaf)).HonoursContext())
	assert.True(t, pipe.PlanOf(proxy.Decode[map[string]any](leaf)).HonoursContext())
}

func TestCodecsRefuseWrongWiring(t *testing.T) {
	t.Parallel()
	stream, err := backend.HTTP{}.New(backend.Spec{Name: "files", URL: "http://files.test/", Decode: backend.Passthrough})
	require.NoError(t, err)
	assertFault(t, "proxy: Decode: the proxy is nil", proxy.Decode[account](nil))
	assertFault(t, "proxy: Encode: the pipe is nil", proxy.Encode[account](nil))
	assertFault(t, "proxy: Decode: the proxy answers with a stream, which cannot be decoded", proxy.Decode[account](stream))
}
