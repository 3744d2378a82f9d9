package document_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/document"
)

// proves T11
func TestAnOperationAddsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	d := document.MustParse(`{"v":"xyz","items":[{},{"v":1}]}`)
	v, each := document.PathOf("v"), mustPath("items.*.v")
	tests := []struct {
		name string
		do   func(document.Limits) (document.Document, error)
		adds int
	}{
		{"copy", func(l document.Limits) (document.Document, error) { return l.Copy(d, v, each) }, len(`"v":"xyz"`) + len(`"xyz"`) - 1},
		{"append", func(l document.Limits) (document.Document, error) {
			return l.Append(d, v, mustPath("items.*.list"))
		}, len(`"list":["xyz"]`) + len(`,"list":["xyz"]`)},
		{"set", func(l document.Limits) (document.Document, error) { return l.Set(d, each, document.MustParse(`"xyz"`)) },
			len(`"v":"xyz"`) + len(`"xyz"`) - 1},
		{"copy the document", func(l document.Limits) (document.Document, error) {
			return l.Copy(d, document.PathOf(), mustPath("items.*.d"))
		}, len(`"d":`) + len(`,"d":`) + 2*d.Size()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, growth := range []int{tt.adds, 0, -1, math.MaxInt} {
				made, err := tt.do(document.Limits{Growth: growth})
				require.NoError(t, err, growth)
				assert.Equal(t, tt.adds, made.Size()-d.Size())
			}
			_, err := tt.do(document.Limits{Growth: tt.adds - 1})
			var e *document.Error
			require.ErrorAs(t, err, &e)
			assert.ErrorIs(t, err, document.ErrSize)
			assert.NotEmpty(t, e.Path)
		})
	}
}

// proves T11
func TestWhatHasOnePlaceHasNoLimit(t *testing.T) {
	t.Parallel()
	d := document.MustParse(`{"v":"` + strings.Repeat("x", 9<<20) + `"}`)
	moved, err := d.Move(document.PathOf("v"), document.PathOf("w"))
	require.NoError(t, err)
	assert.Equal(t, d.Size(), moved.Size())
	_, err = d.Copy(document.PathOf("v"), document.PathOf("w"))
	require.NoError(t, err)
	_, err = d.Wrap("d").Copy(mustPath("*.v"), mustPath("*.w"))
	require.NoError(t, err, "a pair of wildcards")
	_, err = document.MustParse(`{}`).Set(document.PathOf("d"), d)
	require.NoError(t, err)
}

func mustPath(text string) document.Path {
	p, err := document.ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}
