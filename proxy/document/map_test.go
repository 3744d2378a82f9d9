package document_test

import (
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMapReplacesWhatAPathLeadsTo(t *testing.T) {
	t.Parallel()
	wrap := func(d document.Document) (document.Document, error) { return d.Wrap("w"), nil }
	for _, tt := range []struct{ in, path, want string }{
		{`{"a":1,"b":2}`, "a", `{"a":{"w":1},"b":2}`},
		{`{"a":1,"\u0061":2}`, "a", `{"a":{"w":1},"\u0061":{"w":2}}`},
		{`{"i":[{"a":1},{},2]}`, "i.*.a", `{"i":[{"a":{"w":1}},{},2]}`},
		{`[1,2]`, "1", `[1,{"w":2}]`},
		{`{"a":1}`, "b", `{"a":1}`},
		{`{"a":1}`, "a.b", `{"a":1}`},
		{``, "a", ``},
	} {
		d := parseSome(t, tt.in)
		got, err := d.Map(document.MustPath(tt.path), wrap)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got.String())
		assert.Equal(t, tt.in, d.String())
	}
	d := parse(t, `{"a":1}`)
	same, err := d.Map(document.MustPath("a"), func(v document.Document) (document.Document, error) { return v, nil })
	require.NoError(t, err)
	assert.Equal(t, d, same, "nothing was changed, nothing is new")
	whole, err := d.Map(document.Path{}, wrap)
	require.NoError(t, err)
	assert.Equal(t, `{"w":{"a":1}}`, whole.String())
	_, err = d.Map(document.MustPath("a"), func(document.Document) (document.Document, error) { return document.Document{}, nil })
	assert.ErrorIs(t, err, document.ErrAbsent)
	_, err = d.Map(document.MustPath("a"), func(document.Document) (document.Document, error) { return d, assert.AnError })
	assert.Equal(t, assert.AnError, err)
}
