package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ExampleConcat() {
	d, err := document.Concat(document.MustParse(`[1, 2]`), document.Document{}, document.MustParse(`[]`), document.MustParse(`["x"]`))
	fmt.Println(d, err)
	_, err = document.Concat(document.MustParse(`[1]`), document.MustParse(`{}`))
	fmt.Println(err)
	// Output:
	// [1, 2,"x"] <nil>
	// merge: document 1: not an array
}

func TestConcat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, `[]`},
		{"nothing but absent and empty ones", []string{``, `[ ]`, ``, `[]`}, `[]`},
		{"one", []string{`[ 1 ]`}, `[ 1 ]`},
		{"empty ones between", []string{`[]`, `[1,[2]]`, `[ ]`, ` [ {"a":3} , null ] `, `[]`}, `[1,[2], {"a":3} , null ]`},
		{"brackets in text", []string{`["]"]`, `["["]`}, `["]","["]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := document.Concat(parseAll(t, tt.in)...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, len(tt.want), got.Size())
		})
	}
}

func TestConcatNamesTheDocumentThatIsNoArray(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`null`, `true`, `1`, `"x"`, `{}`} {
		d, err := document.Concat(parse(t, `[]`), document.Document{}, parse(t, in))
		var fault *document.MergeError
		require.ErrorAs(t, err, &fault)
		assert.ErrorIs(t, err, document.ErrNotArray)
		assert.Equal(t, 2, fault.Index)
		assert.True(t, d.IsZero())
	}
}

func TestConcatOfManyMakesOneText(t *testing.T) {
	t.Parallel()
	ds := make([]document.Document, 100)
	for i := range ds {
		ds[i] = parse(t, `[0]`)
	}
	got, err := document.Concat(ds...)
	require.NoError(t, err)
	assert.Equal(t, "["+strings.Repeat("0,", 99)+"0]", got.String())
}
