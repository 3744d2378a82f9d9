package document_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encodesAs checks that an Encoder returns what Of returns.
func encodesAs[T any](t *testing.T, v T) {
	t.Helper()
	got, err := document.EncoderOf[T]().Encode(v)
	want, wantErr := document.Of(v)
	assert.Equal(t, fmt.Sprintf("%T %v", wantErr, wantErr), fmt.Sprintf("%T %v", err, err), "%T", v)
	assert.Equal(t, want.String(), got.String(), "%T", v)
}

// A ring contains itself, so that it can be nested deeper than a document may be.
type ring struct {
	Next *ring `json:"next,omitempty"`
}

func TestEncoderDoesWhatOfDoes(t *testing.T) {
	t.Parallel()
	encodesAs(t, struct {
		A string    `json:"a"`
		B time.Time `json:"b"`
	}{"x\xff<", time.Unix(0, 0)})
	encodesAs(t, document.MustParse(`{"n": 1.0}`))
	encodesAs(t, document.Document{})
	encodesAs(t, []document.Document{document.MustParse(`1`)})
	encodesAs[any](t, document.MustParse(`1.0`))
	encodesAs[any](t, nil)
	encodesAs[*int](t, nil)
	encodesAs(t, math.Inf(1))
	encodesAs(t, json.RawMessage(`"\ud800"`))
	encodesAs(t, json.RawMessage(`{`))
	deep := &ring{}
	for range 600 {
		deep = &ring{deep}
	}
	encodesAs(t, deep)
	_, err := document.EncoderOf[*ring]().Encode(deep)
	require.ErrorIs(t, err, document.ErrDepth)
}

type marshalled struct{}

func (marshalled) MarshalJSON() ([]byte, error) { return []byte(`1`), nil }

type optional struct{}

func (optional) IsZero() bool { return true }

func TestEncoderKnowsWhetherCodeRuns(t *testing.T) {
	t.Parallel()
	assert.False(t, document.EncoderOf[string]().RunsCode())
	assert.False(t, document.EncoderOf[*ring]().RunsCode())
	assert.False(t, document.EncoderOf[[]time.Time]().RunsCode(), "nobody's code")
	assert.False(t, document.EncoderOf[document.Document]().RunsCode())
	assert.False(t, document.EncoderOf[json.RawMessage]().RunsCode())
	assert.True(t, document.EncoderOf[map[string]*marshalled]().RunsCode())
	assert.True(t, document.EncoderOf[struct{ O optional }]().RunsCode())
	assert.True(t, document.EncoderOf[any]().RunsCode(), "whose methods it has is not known")
}

func TestEncoderKeepsNothingOfTheValue(t *testing.T) {
	t.Parallel()
	v := map[string][]int{"a": {1, 2}}
	d, err := document.EncoderOf[map[string][]int]().Encode(v)
	require.NoError(t, err)
	v["a"][0], v["b"] = 9, nil
	assert.Equal(t, `{"a":[1,2]}`, d.String())
}
