package document_test

import (
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrapTakesAnyRoot(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`null`, `true`, `1.0`, `"x"`, `[1]`, `{"a":1}`} {
		d := parse(t, in).Wrap(`a."b"`).Wrap("c")
		assert.Equal(t, `{"c":{"a.\"b\"":`+in+`}}`, d.String())
		assert.Equal(t, in, d.Get(document.PathOf("c", `a."b"`)).String())
		assert.Equal(t, 1, d.Len())
	}
	assert.Equal(t, `{"a�":1}`, parse(t, `1`).Wrap("a\xff\xfe").String())
}

func TestUnwrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"an object", `{"g":{"a":1}}`, `{"a":1}`},
		{"an array", `{"g":[1]}`, `[1]`},
		{"a scalar", `{"\u0067":1.0}`, `1.0`},
		{"null", `{"g":null}`, `null`},
		{"among others", `{"a":1,"g":{"b":2 , "c":3 },"d":4}`, `{"a":1,"b":2 , "c":3 ,"d":4}`},
		{"nothing among others", `{"a":1,"g":{ },"d":4}`, `{"a":1,"d":4}`},
		{"before others", `{"g":{},"d":4}`, `{"d":4}`},
		{"a name that is there before", `{"a":1,"g":{"a":2}}`, `{"a":2}`},
		{"a name that is there behind", `{"g":{"a":2,"b":3},"a":1}`, `{"a":1,"b":3}`},
		{"its own name", `{"g":{"g":1},"a":2}`, `{"g":1,"a":2}`},
		{"several", `{"g":{"a":1},"b":2,"g":{"c":3}}`, `{"a":1,"b":2,"c":3}`},
		{"missing", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		{"of an array", `[1]`, `[1]`},
		{"of a scalar", `1`, `1`},
		{"of nothing", ``, ``},
	} {
		d := parseSome(t, tt.in)
		got, err := d.Unwrap("g")
		require.NoError(t, err, tt.name)
		assert.Equal(t, tt.want, got.String(), tt.name)
		assert.Equal(t, tt.in, d.String(), tt.name)
	}
	_, err := parse(t, `{"g.h":[1],"a":2}`).Unwrap("g.h")
	assert.EqualError(t, err, `document: path "g\\.h": not an object`)
	assert.ErrorIs(t, err, document.ErrNotObject)
	for _, in := range []string{`null`, `1.0`, `[1]`, `{"a":1}`} {
		got, err := parse(t, in).Wrap("q\xff").Unwrap("q\xff")
		require.NoError(t, err)
		assert.Equal(t, in, got.String())
	}
}
