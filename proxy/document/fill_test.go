package document_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFillAddsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, with, want string }{
		{"all of it, in order", `{"z":1}`, `{"b":1,"a":[2]}`, `{"z":1,"b":1,"a":[2]}`},
		{"nothing", `{"a":1,"b":2}`, `{"b":3,"a":4}`, `{"a":1,"b":2}`},
		{"null is there", `{"a":null}`, `{"a":1,"b":null}`, `{"a":null,"b":null}`},
		{"nothing inside", `{"a":{"b":1}}`, `{"a":{"c":2}}`, `{"a":{"b":1}}`},
		{"in an empty object", ` { } `, `{"a":1,"b":2}`, `{ "a":1,"b":2}`},
		{"with nothing", `{"a":1}`, `{}`, `{"a":1}`},
		{"equal names count once", `{"a":1,"\u0061":2}`, `{"a":3,"b":4}`, `{"a":1,"\u0061":2,"b":4}`},
		{"names by what they say", `{"\u0061":1}`, `{"a":2,"\u0062":3}`, `{"\u0061":1,"b":3}`},
		{"the last of equal defaults", `{}`, `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"a name with escapes", `{}`, `{"\"\n":1}`, `{"\"\n":1}`},
		{"an absent document", ``, `{"a":1}`, `{"a":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			with, err := document.DefaultsOf(document.MustParse(tt.with))
			require.NoError(t, err)
			var d document.Document
			if tt.in != "" {
				d = document.MustParse(tt.in)
			}
			for range 2 {
				got, err := d.Fill(with)
				require.NoError(t, err)
				assert.Equal(t, tt.want, got.String())
				assert.Equal(t, tt.want, document.MustParse(got.String()).String(), "it is valid")
				again, err := got.Fill(with)
				require.NoError(t, err)
				assert.Equal(t, got, again, "what is full stays as it is")
			}
		})
	}
}

func TestFillOfManyDefaults(t *testing.T) {
	t.Parallel()
	var all, half strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, `,"n%d":%d`, i, i)
		if i%2 == 0 {
			fmt.Fprintf(&half, `,"n%d":true`, i)
		}
	}
	with, err := document.DefaultsOf(document.MustParse("{" + all.String()[1:] + "}"))
	require.NoError(t, err)
	got, err := document.MustParse("{" + half.String()[1:] + "}").Fill(with)
	require.NoError(t, err)
	assert.Equal(t, 100, got.Len())
	assert.Equal(t, "true", got.Get(document.MustPath("n98")).String())
	assert.Equal(t, "99", got.Get(document.MustPath("n99")).String())
}

func TestOnlyObjectsAreFilled(t *testing.T) {
	t.Parallel()
	with, err := document.DefaultsOf(document.MustParse(`{"a":1}`))
	require.NoError(t, err)
	for _, text := range []string{`null`, `1`, `"x"`, `[]`} {
		d := document.MustParse(text)
		_, err := d.Fill(with)
		assert.ErrorIs(t, err, document.ErrNotObject, text)
		assert.ErrorAs(t, err, new(*document.Error), text)
		_, err = document.DefaultsOf(d)
		assert.ErrorIs(t, err, document.ErrNotObject, text)
	}
	_, err = document.DefaultsOf(document.Document{})
	assert.ErrorIs(t, err, document.ErrNotObject)
}

func TestZeroDefaultsAddNothing(t *testing.T) {
	t.Parallel()
	var none document.Defaults
	assert.Equal(t, `{}`, none.Document().String())
	d := document.MustParse(`{"a":1}`)
	got, err := d.Fill(none)
	require.NoError(t, err)
	assert.Equal(t, d, got)
	got, err = document.Document{}.Fill(none)
	require.NoError(t, err)
	assert.Equal(t, `{}`, got.String())
}

func TestDefaultsAreAnObjectWithEachNameOnce(t *testing.T) {
	t.Parallel()
	in := []byte(`{"a":1, "b":2, "a":[3]}`)
	d, err := document.Parse(in)
	require.NoError(t, err)
	with, err := document.DefaultsOf(d)
	require.NoError(t, err)
	clear(in) // no caller may do this, but it shows who still reads these bytes
	assert.Equal(t, `{"a":[3],"b":2}`, with.Document().String())
}
