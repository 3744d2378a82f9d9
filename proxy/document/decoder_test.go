package document_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecoderFailsAsDocumentDecodeDoes(t *testing.T) {
	t.Parallel()
	numbers := document.DecoderOf[map[string]int]()
	var got map[string]int
	for _, d := range []document.Document{{}, document.MustParse(`[]`), document.MustParse(`{"a":"x"}`)} {
		err, want := numbers.Decode(d, &got), d.Decode(new(map[string]int))
		assert.ErrorAs(t, err, new(*document.Error))
		assert.Equal(t, want, err)
	}
	assert.ErrorIs(t, numbers.Decode(document.Document{}, &got), document.ErrAbsent)
}

func TestDecoderOfDocumentsTakesAnyDocument(t *testing.T) {
	t.Parallel()
	same := document.DecoderOf[document.Document]()
	got := document.MustParse(`1`)
	require.NoError(t, same.Decode(document.MustParse(`{"a":1.0}`), &got))
	assert.Equal(t, `{"a":1.0}`, got.String())
	require.NoError(t, same.Decode(document.Document{}, &got))
	assert.True(t, got.IsZero(), "the absent one too")
}

// A keeper keeps its input, against the contract of json.Unmarshaler.
type keeper struct{ kept []byte }

func (k *keeper) UnmarshalJSON(b []byte) error { k.kept = b; return nil }

// proves L6
func TestDecoderGivesAnUnmarshalerBytesOfItsOwn(t *testing.T) {
	t.Parallel()
	keepers := document.DecoderOf[struct{ A keeper }]()
	for _, text := range []string{`{"a":"first","other":[1,2,3,4,5,6,7,8,9]}`, `{"a":"later"}`} { // with projection, and soon without
		d := document.MustParse(text)
		var before []byte
		for range 3 {
			var v struct{ A keeper }
			require.NoError(t, keepers.Decode(d, &v))
			assert.Contains(t, text, string(v.A.kept))
			assert.Empty(t, bytes.Trim(before, "\x00"), "nobody else writes to it")
			before = v.A.kept
			clear(before)
			assert.Equal(t, text, d.String())
		}
	}
}

func TestDecoderIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	rows := document.DecoderOf[struct{ ID int }]()
	wide, narrow := document.MustParse(`{"id":1}`), document.MustParse(`{"id":2,"text":"`+strings.Repeat("x", 100)+`"}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				var v struct{ ID int }
				assert.NoError(t, rows.Decode(wide, &v))
				assert.Equal(t, 1, v.ID)
				assert.NoError(t, rows.Decode(narrow, &v))
				assert.Equal(t, 2, v.ID)
			}
		})
	}
	wg.Wait()
}

type textual struct{ V int }

func (*textual) UnmarshalText([]byte) error { return nil }

func TestDecoderKnowsWhetherCodeRuns(t *testing.T) {
	t.Parallel()
	assert.False(t, document.DecoderOf[string]().RunsCode())
	assert.False(t, document.DecoderOf[hardDeep]().RunsCode())
	assert.False(t, document.DecoderOf[any]().RunsCode(), "what is decoded into an interface has no methods")
	assert.False(t, document.DecoderOf[map[string]time.Time]().RunsCode(), "nobody's code")
	assert.False(t, document.DecoderOf[document.Document]().RunsCode())
	assert.False(t, document.DecoderOf[struct {
		Hidden keeper `json:"-"`
		Raw    json.RawMessage
	}]().RunsCode())
	assert.True(t, document.DecoderOf[keeper]().RunsCode())
	assert.True(t, document.DecoderOf[[]struct{ A *keeper }]().RunsCode())
	assert.True(t, document.DecoderOf[map[textual]int]().RunsCode())
}

func TestDecoderNeedsAPointer(t *testing.T) {
	t.Parallel()
	one := document.MustParse(`1`)
	assert.ErrorAs(t, document.DecoderOf[int]().Decode(one, nil), new(*json.InvalidUnmarshalError))
	assert.ErrorAs(t, document.DecoderOf[document.Document]().Decode(one, nil), new(*json.InvalidUnmarshalError))
	assert.ErrorIs(t, document.DecoderOf[document.Document]().Decode(document.Document{}, nil), document.ErrAbsent)
}
