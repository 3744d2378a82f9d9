package shape_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

type user struct {
	ID   json.Number `json:"id"`
	Name string      `json:"name"`
}

type card struct {
	Title string `json:"title"`
}

func TestTypedDecodesCallsAndEncodes(t *testing.T) {
	t.Parallel()
	op := shape.Typed(func(_ context.Context, u user) (card, error) { return card{u.Name + " " + u.ID.String()}, nil })
	in := parsed(t, `{"id":1.00,"name":"Ann"}`)
	out, err := op(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, `{"title":"Ann 1.00"}`, out.String())
	assert.Equal(t, `{"id":1.00,"name":"Ann"}`, in.String())

	same := shape.Typed(func(_ context.Context, d document.Document) (document.Document, error) { return d, nil })
	out, err = same(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, in.String(), out.String())

	none := shape.Typed(func(context.Context, user) (*card, error) { return nil, nil })
	out, err = none(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, `null`, out.String())
}

// proves M34
func TestTypedGivesEveryCallAValueOfItsOwn(t *testing.T) {
	t.Parallel()
	in := parsed(t, `{"list":[1,2],"raw":{"a":1}}`)
	op := shape.Typed(func(_ context.Context, v map[string]json.RawMessage) (map[string]json.RawMessage, error) {
		for _, raw := range v {
			clear(raw)
		}
		delete(v, "list")
		delete(v, "raw")
		return v, nil
	})
	for range 3 {
		out, err := op(t.Context(), in)
		require.NoError(t, err)
		assert.Equal(t, `{}`, out.String())
		assert.Equal(t, `{"list":[1,2],"raw":{"a":1}}`, in.String())
	}
}

type explosive struct{}

func (explosive) UnmarshalJSON([]byte) error { panic(errOp) }

func TestTypedFailsWithTypedErrors(t *testing.T) {
	t.Parallel()
	own := &proxy.Error{Status: http.StatusTeapot, Err: errOp}
	returns := func(err error) shape.Op {
		return shape.Typed(func(context.Context, user) (card, error) { return card{}, err })
	}
	tests := []struct {
		name   string
		op     shape.Op
		in     string
		want   string
		status int
		is     error
	}{
		{"a wrong type", returns(nil), `[1]`, "shape: typed: decode shape_test.user: document: json: cannot unmarshal array into Go value of type shape_test.user", 502, nil},
		{"a wrong field", returns(nil), `{"name":1}`, "shape: typed: decode shape_test.user: document: json: cannot unmarshal number into Go struct field user.name of type string", 502, nil},
		{"nothing", returns(nil), ``, "shape: typed: decode shape_test.user: document: no document", 502, document.ErrAbsent},
		{"an error", returns(errOp), `{}`, "shape: typed: op failed", 502, errOp},
		{"an error with a status", returns(own), `{}`, "shape: typed: op failed", http.StatusTeapot, errOp},
		{"a panic", shape.Typed(func(context.Context, user) (card, error) { panic(errOp) }), `{}`, "shape: typed: panic: op failed", 500, errOp},
		{"a panic of the decoder", shape.Typed(func(context.Context, explosive) (card, error) { return card{}, nil }), `{}`, "shape: typed: panic: op failed", 500, errOp},
		{"a result that is no JSON", shape.Typed(func(context.Context, user) (func(), error) { return nil, nil }), `{}`, "shape: typed: encode func(): document: json: unsupported type: func()", 500, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := answers(t, tt.in).With(shape.Response(tt.op))(t.Context(), proxy.NewRequest("GET", "/"))
			require.EqualError(t, err, tt.want)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
		})
	}
	_, err := tests[1].op(t.Context(), parsed(t, tests[1].in))
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	require.True(t, ok)
	assert.Equal(t, "name", mismatch.Field)
	_, _, err = sent(t, shape.Request(tests[0].op), "application/json", `[1]`)
	assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err), "the client's payload")
	_, _, err = sent(t, shape.Request(tests[7].op), "application/json", `{}`)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "not the client's payload")
}

func TestTypedOfANilFunctionIsAFault(t *testing.T) {
	t.Parallel()
	const want = "shape: typed: the function is nil"
	op := shape.Typed[user, card](nil)
	_, err := op(t.Context(), parsed(t, `{}`))
	assert.EqualError(t, err, want)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "nobody's payload is to blame")
	for _, d := range []proxy.Decorator{shape.Response(op), shape.Request(op)} {
		p := answers(t, `{}`).With(d)
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)))
		assert.ErrorContains(t, pipe.PlanOf(p).Faults(), want+" (typed_test.go:")
		_, err := p(t.Context(), proxy.NewRequest("POST", "/"))
		assert.EqualError(t, err, want)
	}
}

func TestTypedIsOpaque(t *testing.T) {
	t.Parallel()
	step := pipe.PlanOf(shape.Typed(func(context.Context, []user) (map[string]card, error) { return nil, nil }))
	assert.True(t, step.Effects.Has(pipe.Opaque))
	assert.False(t, step.HonoursContext())
	assert.Equal(t, "[]shape_test.user → map[string]shape_test.card", step.Detail)
	assert.Contains(t, step.Source, "typed_test.go")
}
